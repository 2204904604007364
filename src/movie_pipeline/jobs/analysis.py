"""Charts, model and report of the films as they are now: for a batch of the consumer, and for the DAG's verbs."""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from movie_pipeline import __version__, figures, logs, quality
from movie_pipeline.figures import Style
from movie_pipeline.model.learning import IMPORTANCE_FILE, MAX_FILMS, Learned, learn, untrained
from movie_pipeline.model.versions import versions as model_versions
from movie_pipeline.ports import Catalogue, Finding, RunFolders
from movie_pipeline.report import page, tables
from movie_pipeline.report.charts import (
    GENRES,
    IMPORTANCE,
    RATINGS,
    TOP,
    TRENDS,
    WAREHOUSE,
    described,
    described_importance,
    title,
)
from movie_pipeline.report.highlights import highlights
from movie_pipeline.report.page import Chart, Content, Picture, RunFacts
from movie_pipeline.texts import Texts

log = logs.get(__name__)

TOP_FILMS, TOP_DIRECTORS, DIRECTOR_FILMS, MOVERS = 15, 25, 5, 6
TABLE_FILMS = 50
CHARTS_FOLDER, MODEL_FOLDER, BATCH_FOLDER = "visualizations_v2_", "ml_model_v2_", "batch_"
LATEST = "latest"
BATCH_MODEL, RUN_MODEL = "movie_success_model", "model"


@dataclass(frozen=True)
class Numbers:
    """Everything that charts and report say about the films, from one snapshot of the catalogue."""

    overview: Mapping[str, Any]
    films: pd.DataFrame
    genres: pd.DataFrame
    directors: pd.DataFrame
    levels: pd.DataFrame
    decades: pd.DataFrame
    history: pd.DataFrame
    verdicts: Sequence[quality.Verdict]
    corrections: Sequence[Finding]

    @property
    def findings(self) -> dict[str, tuple[int, str | None]]:
        """Counted findings, as `RunLog.add_findings` takes them; a breached floor is told with its numbers."""
        return {verdict.name: (verdict.count, verdict.told) for verdict in self.verdicts}


class Drawn(NamedTuple):
    """A chart as the report shows it, and the figure of the page's width, which the folders get as PNG."""

    chart: Chart
    figure: Figure


@dataclass(frozen=True)
class Outcome:
    """What a verb leaves: paths by name, counts and findings for the run's record."""

    files: Mapping[str, str]
    counts: Mapping[str, int]
    findings: Mapping[str, tuple[int, str | None]]


@dataclass(frozen=True)
class Analyst:
    """The jobs' surroundings: where files go, the language, how many folders are kept, what time it is.

    `beside` runs a training while this draws: the two take about as long, and need different libraries.
    """

    store: RunFolders
    texts: Texts
    keep_runs: int
    clock: Callable[[], datetime]
    beside: Executor

    def analyse_batch(self, catalogue: Catalogue, facts: RunFacts) -> Outcome:
        """Write `batch_{n}` and the report of the whole catalogue as of this batch."""
        learning = self._begin_learning(catalogue, BATCH_MODEL)
        numbers, facts = _timed("aggregates", facts, partial(gather, catalogue))
        drawn, facts = _timed("charts", facts, partial(self._drawn, numbers, facts))
        pictures = _pictures(drawn)
        learned = _ended(learning)
        of_model = self._drawn_importance(learned)
        facts = replace(facts, seconds={**facts.seconds, "model": learned.seconds})
        name = f"{BATCH_FOLDER}{facts.batch}"
        with self.store.folder(name) as folder:
            _write(folder, {**pictures, **_pictures(of_model)})
            _write(folder, {"metrics.json": _metrics(learned), **learned.files})
        content = self._content(facts, numbers, learned, {**drawn, **of_model})
        files = {"batch": str(self.store.root / name), **self._reports(content, ())}
        self._tidy(BATCH_FOLDER, name)
        return Outcome(files, _counts(numbers, learned), numbers.findings)

    def charts(self, catalogue: Catalogue, facts: RunFacts) -> Outcome:
        """Write `visualizations_v2_{date}_{time}`: pictures and `report.txt`; `report` adds the model's part."""
        numbers, facts = _timed("aggregates", facts, partial(gather, catalogue))
        no_model = untrained(self.texts.choose("sin entrenar", "not trained"))
        pictures, facts = _timed("charts", facts, partial(self._figures, numbers, facts))
        name = f"{CHARTS_FOLDER}{self._stamp()}"
        with self.store.folder(name) as folder:
            _write(folder, {f"{chart}.png": figures.png(figure) for chart, figure in pictures.items()})
            _write(folder, {"report.txt": page.summary(self._content(facts, numbers, no_model, {}), self.texts)})
        self._tidy(CHARTS_FOLDER, name)
        return Outcome({"visualizations": str(self.store.root / name)}, _counts(numbers, no_model), numbers.findings)

    def train(self, catalogue: Catalogue) -> Outcome:
        """Write `ml_model_v2_{date}_{time}`: model, skops twins, manifest, metrics, importance.

        Too few films are no failure: `metrics.json` and the log say why there is no model.
        """
        learned = _ended(self._begin_learning(catalogue, RUN_MODEL))
        name = f"{MODEL_FOLDER}{self._stamp()}"
        with self.store.folder(name) as folder:
            _write(folder, {"metrics.json": _metrics(learned), **learned.files})
            _write(folder, _pictures(self._drawn_importance(learned)))
        if learned.files:
            self._tidy(MODEL_FOLDER, name)
        path = self.store.root / name
        return Outcome(
            {"model": str(path), "metrics": str(path / "metrics.json")}, {"rows": learned.metrics.get("rows", 0)}, {}
        )

    def report(
        self,
        catalogue: Catalogue,
        facts: RunFacts,
        *,
        charts_folder: str | None,
        model_folder: str | None,
    ) -> Outcome:
        """Write `report.html` and `report.txt` to the output directory and to the run's folder of charts.

        `charts_folder` and `model_folder` are names below the output directory, None where there is none.
        """
        numbers, facts = _timed("aggregates", facts, partial(gather, catalogue))
        learned = self._stored_model(model_folder)
        drawn, facts = _timed("charts", facts, partial(self._drawn, numbers, facts))
        content = self._content(facts, numbers, learned, {**drawn, **self._drawn_importance(learned)})
        return Outcome(
            self._reports(content, [charts_folder] if charts_folder else []),
            _counts(numbers, learned),
            numbers.findings,
        )

    def _begin_learning(self, catalogue: Catalogue, stem: str) -> "Future[Learned]":
        created = self.clock().astimezone(UTC).isoformat(timespec="seconds")
        return self.beside.submit(learn, catalogue.training_films(MAX_FILMS), stem, created)

    def _drawn(self, numbers: Numbers, facts: RunFacts) -> dict[str, Drawn]:
        """Draw each chart of the films for a page and for a phone."""
        wide, narrow = (self._figures(numbers, facts, narrow=narrow) for narrow in (False, True))
        say = described(
            films=numbers.films,
            genres=numbers.genres,
            levels=numbers.levels,
            history=numbers.history,
            texts=self.texts,
            small_group=figures.SMALL_GROUP,
        )
        return {name: self._shown(name, say[name], figure, narrow[name]) for name, figure in wide.items()}

    def _figures(self, numbers: Numbers, facts: RunFacts, *, narrow: bool = False) -> dict[str, Figure]:
        style = Style(self.texts, note=self._note(numbers, facts), narrow=narrow)
        drawn = {
            TOP: figures.top_films(numbers.films.head(TOP_FILMS), style),
            GENRES: figures.popular_genres(numbers.genres, style),
            RATINGS: figures.genre_ratings(numbers.genres, style),
            WAREHOUSE: figures.warehouse(numbers.levels, numbers.decades, style),
        }
        if not numbers.history.empty:
            drawn[TRENDS] = figures.trends(numbers.history, style)
        return drawn

    def _drawn_importance(self, learned: Learned) -> dict[str, Drawn]:
        """Draw the chart of the model; none where there is no model."""
        if not learned.importance:
            return {}
        note = self.texts["films_n"].format(self.texts.number(learned.metrics["rows"]))
        importance = list(learned.importance.items())
        wide, narrow = (
            figures.feature_importance(importance, Style(self.texts, note=note, narrow=narrow))
            for narrow in (False, True)
        )
        say = described_importance(importance[-1][1], self.texts)
        return {IMPORTANCE: self._shown(IMPORTANCE, say, wide, narrow)}

    def _shown(self, name: str, say: str, wide: Figure, narrow: Figure) -> Drawn:
        pictures = (_both(figures.svg(figure)) for figure in (wide, narrow))
        return Drawn(Chart(name, title(name, self.texts), say, *pictures), wide)

    def _note(self, numbers: Numbers, facts: RunFacts) -> str:
        whole = self.texts["catalogue_of"].format(self.texts.number(numbers.overview["films"]))
        if facts.batch is None:
            return whole
        messages = self.texts.number(sum((facts.batch_counts or {}).values()))
        return f"{self.texts['batch'].format(facts.batch, messages)}, {whole}"

    def _content(self, facts: RunFacts, numbers: Numbers, learned: Learned, drawn: Mapping[str, Drawn]) -> Content:
        return Content(
            facts=facts,
            overview=numbers.overview,
            highlights=highlights(
                overview=numbers.overview,
                films=numbers.films,
                genres=numbers.genres,
                breached=[verdict.name for verdict in numbers.verdicts if verdict.breached],
                metrics=learned.metrics,
                texts=self.texts,
                small_group=figures.SMALL_GROUP,
            ),
            charts=[one.chart for one in drawn.values()],
            tables=[
                tables.top_films(numbers.films, self.texts),
                tables.genres(numbers.genres, self.texts),
                tables.directors(numbers.directors, self.texts, DIRECTOR_FILMS),
                tables.decades(numbers.decades, self.texts),
            ],
            verdicts=numbers.verdicts,
            cleaning=numbers.corrections,
            metrics=learned.metrics,
        )

    def _stored_model(self, folder: str | None) -> Learned:
        """Return metrics and importances that `train` left; the pipeline itself is not needed for a report."""
        path = self.store.root / (folder or "") / "metrics.json"
        if folder is None or not path.is_file():
            return untrained(self.texts.choose("no se ha entrenado", "none was trained"))
        importances = path.with_name(IMPORTANCE_FILE)
        if not importances.is_file():
            return Learned(json.loads(path.read_bytes()))
        by_set = pd.read_csv(importances).groupby("feature_set", sort=False)
        return Learned(json.loads(path.read_bytes()), {str(kind): rows.reset_index(drop=True) for kind, rows in by_set})

    def _reports(self, content: Content, folders: Iterable[str]) -> dict[str, str]:
        rendered = {"report.html": page.html(content, self.texts), "report.txt": page.summary(content, self.texts)}
        for folder in folders:
            for name, body in rendered.items():
                self.store.write_bytes(f"{folder}/{name}", body)
        paths = {name: self.store.write_bytes(name, body) for name, body in rendered.items()}
        return {"report": str(paths["report.html"]), "summary": str(paths["report.txt"])}

    def _tidy(self, prefix: str, name: str) -> None:
        self.store.link(f"{prefix}{LATEST}", name)
        removed = self.store.prune(prefix, self.keep_runs)
        if removed:
            log.info("old runs removed", folders=removed, kept=self.keep_runs)

    def _stamp(self) -> str:
        return self.clock().astimezone(UTC).strftime("%Y%m%d_%H%M%S")


def gather(catalogue: Catalogue) -> Numbers:
    """Ask the catalogue for everything that is published."""
    overview = catalogue.overview()
    verdicts = quality.judge(catalogue.findings(), overview["films"])
    log.info("quality", **{verdict.name: verdict.count for verdict in verdicts})
    for verdict in verdicts:
        if verdict.breached:
            log.warning("quality below the floor", finding=verdict.name, share=verdict.share, allowed=verdict.allowed)
    return Numbers(
        overview=overview,
        films=catalogue.top_films(TABLE_FILMS),
        genres=catalogue.genres(),
        directors=catalogue.directors(TOP_DIRECTORS, DIRECTOR_FILMS),
        levels=catalogue.levels(),
        decades=catalogue.decades(),
        history=catalogue.history(MOVERS),
        verdicts=verdicts,
        corrections=catalogue.corrections(),
    )


def _ended(learning: "Future[Learned]") -> Learned:
    """Wait for a training, and say when it found nothing to learn."""
    learned = learning.result()
    if not learned.metrics["trained"]:
        log.warning("no model", reason=learned.metrics["message"])
    return learned


def versions() -> dict[str, str]:
    """Return what the report says about the software."""
    return {"movie-pipeline": __version__, **model_versions()}


def _metrics(learned: Learned) -> bytes:
    return json.dumps(learned.metrics, indent=1, ensure_ascii=False).encode()


def _pictures(drawn: Mapping[str, Drawn]) -> dict[str, bytes]:
    return {f"{name}.png": figures.png(one.figure) for name, one in drawn.items()}


def _both(picture: bytes) -> Picture:
    return Picture(picture, figures.recoloured(picture))


def _timed(name: str, facts: RunFacts, work: Callable[[], Any]) -> tuple[Any, RunFacts]:
    began = time.monotonic()
    result = work()
    return result, replace(facts, seconds={**facts.seconds, name: time.monotonic() - began})


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    for name, body in contents.items():
        (folder / name).write_bytes(body)


def _counts(numbers: Numbers, learned: Learned) -> dict[str, int]:
    breaches = sum(verdict.breached for verdict in numbers.verdicts)
    return {"films": int(numbers.overview["films"]), "rows": int(learned.metrics.get("rows", 0)), "breaches": breaches}
