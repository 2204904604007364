"""The whole pipeline on one machine, from nothing to the report: the stages in order, and what to say at the end."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from movie_pipeline.errors import OutputError, PipelineError

NEEDED_BYTES = 400_000_000
"""Free space that a run on the sample takes: broker log, database and its journal, backups, charts."""

QUERIES = (
    (
        "The ten films that returned most on what they cost",
        """\
SELECT title, release_year, roi FROM movies_in_warehouse
WHERE budget >= 1000000 AND roi IS NOT NULL ORDER BY roi DESC LIMIT 10;""",
    ),
    (
        "Genres by films, with the mean of their ratings",
        """\
SELECT g.name, count(*) AS films, round(avg(m.vote_average)::numeric, 2) AS rating
FROM movies m JOIN movie_genres mg ON mg.movie_id = m.id JOIN genres g ON g.id = mg.genre_id
GROUP BY g.name ORDER BY films DESC;""",
    ),
    (
        "Who directed most, told apart by TMDB id and not by name",
        """\
SELECT p.tmdb_id, p.name, count(*) AS films, sum(m.revenue) AS revenue
FROM people p JOIN movie_directors d ON d.person_id = p.id JOIN movies m ON m.id = d.movie_id
GROUP BY p.id ORDER BY films DESC, revenue DESC NULLS LAST LIMIT 10;""",
    ),
)


class Stage(NamedTuple):
    """One part of the demo: its name for people, and its work, which returns an exit code."""

    name: str
    work: Callable[[], int]


class Timed(NamedTuple):
    """How long a part took."""

    name: str
    seconds: float


@dataclass(frozen=True)
class Ending:
    """What the demo leaves behind."""

    rows: Mapping[str, int]
    files: Sequence[Path]
    backups: int


@dataclass(frozen=True)
class Addresses:
    """Where broker and database can be reached while they are kept up."""

    broker: str
    database: str


def run_stages(stages: Sequence[Stage], say: Callable[[str], None]) -> tuple[int, list[Timed]]:
    """Run the stages in order until one does not return 0; return that code and how long each took."""
    times = []
    for number, stage in enumerate(stages, start=1):
        say(f"[{number}/{len(stages)}] {stage.name}")
        began = time.monotonic()
        code = stage.work()
        times.append(Timed(stage.name, time.monotonic() - began))
        if code:
            return code, times
    return 0, times


def require_space(folder: Path, free_bytes: int) -> None:
    """Raise OutputError when the disk is so full that the run would break off."""
    if free_bytes < NEEDED_BYTES:
        raise OutputError(
            f"only {free_bytes / 1e6:.0f} MB are free in {folder}, the demo needs {NEEDED_BYTES / 1e6:.0f} MB: "
            "make room, or choose a folder on another disk with --output-dir (OUTPUT_DIR)"
        )


def require_report(before: int | None, after: int | None, report: Path) -> None:
    """Raise PipelineError unless the report was written by this run; arguments are its modification times."""
    if after is None or after == before:
        raise PipelineError(f"{report} was not written: the analysis failed, its error stands in the log above")


def farewell(ending: Ending, times: Sequence[Timed], addresses: Addresses | None) -> str:
    """Return the last words of the demo: rows, files, times, queries, and addresses when the servers stay up."""
    parts = [
        ["", "Rows in the database", *_aligned({name: f"{count:,}" for name, count in ending.rows.items()})],
        ["", "Files", *(f"  {path}" for path in ending.files), f"  and {ending.backups:,} backups movie_*.json"],
        ["", "Seconds", *_aligned({item.name: f"{item.seconds:.1f}" for item in [*times, _total(times)]})],
        ["", *_look(addresses)],
    ]
    return "\n".join(line for part in parts for line in part)


def _aligned(values: Mapping[str, str]) -> list[str]:
    wide = max(map(len, values), default=0)
    long = max(map(len, values.values()), default=0)
    return [f"  {name:<{wide}}  {value:>{long}}" for name, value in values.items()]


def _total(times: Sequence[Timed]) -> Timed:
    return Timed("total", sum(item.seconds for item in times))


def _look(addresses: Addresses | None) -> list[str]:
    queries = [line for title, query in QUERIES for line in ("", f"-- {title}", query)]
    if addresses is None:
        return ["Three queries to try (run the demo with --keep, and the database stays up for them)", *queries]
    return [
        f"Kafka       {addresses.broker}",
        f"PostgreSQL  {addresses.database}",
        "",
        "Three queries to try with psql and that address",
        *queries,
        "",
        "Ctrl-C ends broker and database; their data stay for the next run.",
    ]
