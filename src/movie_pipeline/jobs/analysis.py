"""Charts, model and report of the films as they are now: for a batch of the consumer, and for the DAG's verbs."""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from movie_pipeline import __version__, figures, logs, quality
from movie_pipeline.figures import Style
from movie_pipeline.model import files as model_files
from movie_pipeline.model import training
from movie_pipeline.model.features import FeatureSet
from movie_pipeline.model.training import NothingToLearnError, Training
from movie_pipeline.ports import Catalogue, Finding, RunFolders
from movie_pipeline.report import page, tables
from movie_pipeline.report.charts import GENRES, IMPORTANCE, RATINGS, TOP, TRENDS, WAREHOUSE, described
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


@dataclass(frozen=True)
class Model:
    """A training, or why there is none; with what `metrics.json` says."""

    training: Training | None
    metrics: Mapping[str, Any]

    @property
    def importance(self) -> list[tuple[str, pd.DataFrame]]:
        """Importances by feature set."""
        models = self.training.models.values() if self.training else ()
        return [(model.features.value, model.importance) for model in models]


@dataclass(frozen=True)
class Outcome:
    """What a verb leaves: paths by name, counts and findings for the run's record."""

    files: Mapping[str, str]
    counts: Mapping[str, int]
    findings: Mapping[str, tuple[int, str | None]]


@dataclass(frozen=True)
class Analyst:
    """The jobs' surroundings: where files go, the language, how many folders are kept, what time it is."""

    store: RunFolders
    texts: Texts
    keep_runs: int
    clock: Callable[[], datetime]

    def analyse_batch(self, catalogue: Catalogue, facts: RunFacts) -> Outcome:
        """Write `batch_{n}` and the report of the whole catalogue as of this batch."""
        numbers, facts = _timed("aggregates", facts, partial(gather, catalogue))
        model, facts = _timed("model", facts, partial(learn, catalogue))
        name = f"{BATCH_FOLDER}{facts.batch}"
        drawn, facts = _timed("charts", facts, partial(self._drawn, numbers, model, facts))
        with self.store.folder(name) as folder:
            _write(folder, {f"{chart}.png": figures.png(figure) for chart, (figure, _) in drawn.items()})
            _write(folder, {"metrics.json": _metrics(model), **self._model_files(model, BATCH_MODEL)})
        content = self._content(facts, numbers, model, drawn)
        files = {"batch": str(self.store.root / name), **self._reports(content, ())}
        self._tidy(BATCH_FOLDER, name)
        return Outcome(files, _counts(numbers, model), numbers.findings)

    def charts(self, catalogue: Catalogue, facts: RunFacts) -> Outcome:
        """Write `visualizations_v2_{date}_{time}`: pictures and `report.txt`; `report` adds the model's part."""
        numbers, facts = _timed("aggregates", facts, partial(gather, catalogue))
        no_model = Model(None, {"trained": False, "message": self.texts.choose("sin entrenar", "not trained")})
        drawn, facts = _timed("charts", facts, partial(self._drawn, numbers, no_model, facts))
        name = f"{CHARTS_FOLDER}{self._stamp()}"
        with self.store.folder(name) as folder:
            _write(folder, {f"{chart}.png": figures.png(figure) for chart, (figure, _) in drawn.items()})
            _write(folder, {"report.txt": page.summary(self._content(facts, numbers, no_model, {}), self.texts)})
        self._tidy(CHARTS_FOLDER, name)
        return Outcome({"visualizations": str(self.store.root / name)}, _counts(numbers, no_model), numbers.findings)

    def train(self, catalogue: Catalogue) -> Outcome:
        """Write `ml_model_v2_{date}_{time}`: model, skops twins, manifest, metrics, importance.

        Too few films are no failure: `metrics.json` and the log say why there is no model.
        """
        model = learn(catalogue)
        name = f"{MODEL_FOLDER}{self._stamp()}"
        with self.store.folder(name) as folder:
            _write(folder, {"metrics.json": _metrics(model), **self._model_files(model, RUN_MODEL)})
            if model.importance:
                _write(folder, {f"{IMPORTANCE}.png": figures.png(self._importance(model))})
        if model.training:
            self._tidy(MODEL_FOLDER, name)
        path = self.store.root / name
        return Outcome(
            {"model": str(path), "metrics": str(path / "metrics.json")}, {"rows": model.metrics.get("rows", 0)}, {}
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
        model = self._stored_model(model_folder)
        drawn, facts = _timed("charts", facts, partial(self._drawn, numbers, model, facts))
        content = self._content(facts, numbers, model, drawn)
        return Outcome(
            self._reports(content, [charts_folder] if charts_folder else []), _counts(numbers, model), numbers.findings
        )

    def _drawn(self, numbers: Numbers, model: Model, facts: RunFacts) -> dict[str, tuple[Figure, Figure]]:
        """Return each chart for a page and for a phone."""
        wide, narrow = (self._figures(numbers, model, facts, narrow=narrow) for narrow in (False, True))
        return {name: (wide[name], narrow[name]) for name in wide}

    def _figures(self, numbers: Numbers, model: Model, facts: RunFacts, *, narrow: bool) -> dict[str, Figure]:
        style = Style(self.texts, note=self._note(numbers, facts), narrow=narrow)
        drawn = {
            TOP: figures.top_films(numbers.films.head(TOP_FILMS), style),
            GENRES: figures.popular_genres(numbers.genres, style),
            RATINGS: figures.genre_ratings(numbers.genres, style),
            WAREHOUSE: figures.warehouse(numbers.levels, numbers.decades, style),
        }
        if not numbers.history.empty:
            drawn[TRENDS] = figures.trends(numbers.history, style)
        if model.importance:
            drawn[IMPORTANCE] = self._importance(model, narrow=narrow)
        return drawn

    def _importance(self, model: Model, *, narrow: bool = False) -> Figure:
        rows = self.texts["films_n"].format(self.texts.number(model.metrics["rows"]))
        return figures.feature_importance(model.importance, Style(self.texts, note=rows, narrow=narrow))

    def _note(self, numbers: Numbers, facts: RunFacts) -> str:
        whole = self.texts["catalogue_of"].format(self.texts.number(numbers.overview["films"]))
        if facts.batch is None:
            return whole
        messages = self.texts.number(sum((facts.batch_counts or {}).values()))
        return f"{self.texts['batch'].format(facts.batch, messages)}, {whole}"

    def _content(
        self, facts: RunFacts, numbers: Numbers, model: Model, drawn: Mapping[str, tuple[Figure, Figure]]
    ) -> Content:
        return Content(
            facts=facts,
            overview=numbers.overview,
            highlights=highlights(
                overview=numbers.overview,
                films=numbers.films,
                genres=numbers.genres,
                breached=[verdict.name for verdict in numbers.verdicts if verdict.breached],
                metrics=model.metrics,
                texts=self.texts,
                small_group=figures.SMALL_GROUP,
            ),
            charts=[self._chart(name, pair, numbers, model) for name, pair in drawn.items()],
            tables=[
                tables.top_films(numbers.films, self.texts),
                tables.genres(numbers.genres, self.texts),
                tables.directors(numbers.directors, self.texts, DIRECTOR_FILMS),
                tables.decades(numbers.decades, self.texts),
            ],
            verdicts=numbers.verdicts,
            cleaning=numbers.corrections,
            metrics=model.metrics,
        )

    def _chart(self, name: str, pair: tuple[Figure, Figure], numbers: Numbers, model: Model) -> Chart:
        title, description = described(
            name,
            films=numbers.films,
            genres=numbers.genres,
            levels=numbers.levels,
            history=numbers.history,
            importance=model.importance,
            texts=self.texts,
            small_group=figures.SMALL_GROUP,
        )
        wide, narrow = (figures.svg(figure) for figure in pair)
        return Chart(name, title, description, _both(wide), _both(narrow))

    def _model_files(self, model: Model, stem: str) -> dict[str, bytes]:
        if model.training is None:
            return {}
        table = pd.concat([rows.assign(feature_set=name) for name, rows in model.importance], ignore_index=True)
        created = self.clock().astimezone(UTC).isoformat(timespec="seconds")
        return {
            **model_files.dump(model.training, stem, created),
            f"{IMPORTANCE}.csv": table.to_csv(index=False).encode(),
        }

    def _stored_model(self, folder: str | None) -> Model:
        """Return metrics and importances that `train` left; the pipeline itself is not needed for a report."""
        path = self.store.root / (folder or "") / "metrics.json"
        if folder is None or not path.is_file():
            return Model(
                None, {"trained": False, "message": self.texts.choose("no se ha entrenado", "none was trained")}
            )
        metrics = json.loads(path.read_bytes())
        return StoredModel(None, metrics, path.with_name(f"{IMPORTANCE}.csv"))

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


@dataclass(frozen=True)
class StoredModel(Model):
    """A model that an earlier verb trained: its figures, and its importances from their file."""

    importances: Path

    @property
    def importance(self) -> list[tuple[str, pd.DataFrame]]:
        """Importances by feature set."""
        if not self.importances.is_file():
            return []
        table = pd.read_csv(self.importances)
        return [(kind.value, table[table["feature_set"] == kind.value].reset_index(drop=True)) for kind in FeatureSet]


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


def learn(catalogue: Catalogue) -> Model:
    """Train on the catalogue's training films, or say why that cannot be."""
    films = catalogue.training_films(training.MAX_FILMS)
    try:
        trained = training.train(films)
    except NothingToLearnError as error:
        log.warning("no model", reason=str(error))
        return Model(
            None, {"trained": False, "message": str(error), "rows": len(films), "libraries": training.versions()}
        )
    return Model(trained, trained.metrics)


def versions() -> dict[str, str]:
    """Return what the report says about the software."""
    return {"movie-pipeline": __version__, **training.versions()}


def _metrics(model: Model) -> bytes:
    return json.dumps(model.metrics, indent=1, ensure_ascii=False).encode()


def _both(picture: bytes) -> Picture:
    return Picture(picture, figures.recoloured(picture))


def _timed(name: str, facts: RunFacts, work: Callable[[], Any]) -> tuple[Any, RunFacts]:
    began = time.monotonic()
    result = work()
    return result, replace(facts, seconds={**facts.seconds, name: time.monotonic() - began})


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    for name, body in contents.items():
        (folder / name).write_bytes(body)


def _counts(numbers: Numbers, model: Model) -> dict[str, int]:
    breaches = sum(verdict.breached for verdict in numbers.verdicts)
    return {"films": int(numbers.overview["films"]), "rows": int(model.metrics.get("rows", 0)), "breaches": breaches}
