"""Charts, model, report and predictions: which catalogue they read, and what the run's record says of them."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from movie_pipeline import logs
from movie_pipeline.errors import DatabaseUnavailableError
from movie_pipeline.settings import Settings
from movie_pipeline.wiring import parts

if TYPE_CHECKING:
    from movie_pipeline.jobs.analysis import Analyst, Outcome
    from movie_pipeline.ports import Catalogue
    from movie_pipeline.report.page import RunFacts

log = logs.get(__name__)

DEGRADED_EXIT = 3
LEARNING = "movie_pipeline.model.files"


def analyse_batch(settings: Settings, number: int, counts: Mapping[str, int]) -> None:
    """Write `batch_{n}` and the report for a batch of the consumer, from the database as it is now."""
    from dataclasses import replace

    with _analyst(settings, LEARNING) as analyst, _catalogue(settings, {}) as catalogue:
        run = parts.run_id(settings)
        facts = replace(_facts(run, "consume", _recorded(settings, run)), batch=number, batch_counts=dict(counts))
        outcome = analyst.analyse_batch(catalogue, facts)
    keep_findings(settings, run, f"batch_{number}", outcome.findings)
    log.info("batch analysed", batch=number, **outcome.counts)


def charts(settings: Settings) -> int:
    """Draw the charts into a folder of the run."""
    return _verb(settings, "charts", lambda analyst, catalogue, facts, _earlier: analyst.charts(catalogue, facts))


def train(settings: Settings) -> int:
    """Train the models into a folder of the run."""
    return _verb(settings, "train", lambda analyst, catalogue, _facts, _earlier: analyst.train(catalogue), LEARNING)


def report(settings: Settings) -> int:
    """Write the report, with the run's own charts folder and model where it has them, else the newest ones."""
    from movie_pipeline.jobs.analysis import CHARTS_FOLDER, MODEL_FOLDER

    def write(analyst: "Analyst", catalogue: "Catalogue", facts: "RunFacts", earlier: Mapping[str, Any]) -> "Outcome":
        return analyst.report(
            catalogue,
            facts,
            charts_folder=_folder(earlier, "charts", "visualizations") or analyst.store.newest(CHARTS_FOLDER),
            model_folder=_folder(earlier, "train", "model") or analyst.store.newest(MODEL_FOLDER),
        )

    return _verb(settings, "report", write)


def _verb(
    settings: Settings,
    verb: str,
    work: "Callable[[Analyst, Catalogue, RunFacts, Mapping[str, Any]], Outcome]",
    ahead: str | None = None,
) -> int:
    with parts.recorded(settings, verb, optional=True) as record:
        earlier = _recorded(settings, record.run_id)
        with _analyst(settings, ahead) as analyst, _catalogue(settings, earlier) as catalogue:
            facts = _facts(record.run_id, verb, earlier)
            outcome = work(analyst, catalogue, facts, earlier)
        record.source, record.state = facts.source, "degraded" if facts.degraded else "done"
        record.counts.update(outcome.counts)
        record.files.update(outcome.files)
        keep_findings(settings, record.run_id, verb, outcome.findings)
    for path in outcome.files.values():
        print(path)  # noqa: T201 - the result of the verb
    return DEGRADED_EXIT if facts.degraded else 0


@contextmanager
def _analyst(settings: Settings, ahead: str | None) -> "Iterator[Analyst]":
    """Give the analyst; `ahead` is a module that the process beside it imports while this one imports its own."""
    from movie_pipeline.adapters.background import beside

    with beside(*[ahead] if ahead else []) as other:
        from movie_pipeline.adapters.artifacts import RunStore
        from movie_pipeline.jobs.analysis import Analyst
        from movie_pipeline.texts import Texts

        store, texts = RunStore(settings.output_dir), Texts(settings.chart_language)
        yield Analyst(store, texts, settings.keep_runs, lambda: datetime.now(UTC), other)


def _facts(run_id: str, verb: str, earlier: Mapping[str, Any]) -> "RunFacts":
    """Say where the films of a run came from, by what `process` and `produce` of the same run recorded."""
    from movie_pipeline.jobs.analysis import versions
    from movie_pipeline.report.page import RunFacts

    told = [earlier[name] for name in ("process", "produce") if name in earlier]
    source = next((entry["source"] for entry in told if entry["source"]), "postgresql")
    degraded = any(entry["degraded"] for entry in told)
    return RunFacts(run_id, verb, source, degraded, datetime.now(UTC), {}, versions())


@contextmanager
def _catalogue(settings: Settings, earlier: Mapping[str, Any]) -> "Iterator[Catalogue]":
    """Give the database's films, or those of this run's files when the run had to do without the database."""
    from movie_pipeline.adapters.aggregates import PostgresCatalogue
    from movie_pipeline.adapters.frames import FrameCatalogue
    from movie_pipeline.jobs.process import MESSAGES_FILE, processed_films

    processed = earlier.get("process", {})
    if processed.get("degraded") and processed.get("source") != PostgresCatalogue.source:
        films, findings = processed_films((settings.output_dir / MESSAGES_FILE).read_bytes(), datetime.now(UTC))
        yield FrameCatalogue(films, processed["source"], findings.items())
        return
    with PostgresCatalogue(settings.database_dsn()) as catalogue:
        yield catalogue


def _recorded(settings: Settings, run_id: str) -> dict[str, Any]:
    """Return what earlier verbs of this run recorded; without the database, what `process` wrote beside its files."""
    try:
        return parts.run_log(settings).find(run_id)
    except DatabaseUnavailableError as error:
        log.warning("the run's record cannot be read", reason=str(error))
    from movie_pipeline.jobs.process import FACTS_FILE

    path = settings.output_dir / FACTS_FILE
    facts = json.loads(path.read_bytes()) if path.is_file() else {}
    return {"process": facts} if facts.get("run_id") == run_id else {}


def keep_findings(settings: Settings, run_id: str, verb: str, findings: Mapping[str, tuple[int, str | None]]) -> None:
    """Record counted findings of a run, unless the database is away."""
    try:
        parts.run_log(settings).add_findings(run_id, verb, findings)
    except DatabaseUnavailableError as error:
        log.warning("findings are not recorded", reason=str(error))


def _folder(earlier: Mapping[str, Any], verb: str, name: str) -> str | None:
    path = earlier.get(verb, {}).get("files", {}).get(name)
    return Path(path).name if path else None
