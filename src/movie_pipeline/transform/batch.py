"""From the records of an offset range to a batch that can be loaded: decoded, cleaned, dead letters set apart."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import pandas as pd

from movie_pipeline.errors import InvalidMessageError
from movie_pipeline.messages import OffsetRange, Record, decode_row, tombstone_id, written_at
from movie_pipeline.transform.clean import Findings, clean_rows


class DeadLetter(NamedTuple):
    """A record that cannot be loaded, and why."""

    record: Record
    error_class: str
    error: str


class Tombstone(NamedTuple):
    """A film that is gone at TMDB."""

    movie_id: int
    offset: int
    at: datetime


class Round(NamedTuple):
    """Films and tombstones of one batch in which no film stands twice."""

    films: pd.DataFrame
    tombstones: tuple[Tombstone, ...]


class Batch(NamedTuple):
    """What one transaction loads: rounds in order, and the move of the offset that stands for them."""

    offsets: OffsetRange
    rounds: tuple[Round, ...]
    dead: tuple[DeadLetter, ...]
    findings: Findings
    records: dict[int, Record]


def prepare(offsets: OffsetRange, records: Sequence[Record]) -> Batch:
    """Decode and clean the records of an offset range.

    A film that comes several times goes into as many rounds, so that each version takes effect in its turn and
    the result does not depend on how a topic was cut into batches.
    """
    rounds: list[tuple[list[tuple[Any, ...]], list[Tombstone]]] = []
    dead: list[DeadLetter] = []
    times: dict[int, int] = {}
    kept: dict[int, Record] = {}
    for record in records:
        try:
            film = decode_row(record)
            movie_id = film[0] if film else tombstone_id(record)
        except InvalidMessageError as error:
            dead.append(DeadLetter(record, type(error).__name__, str(error)))
            continue
        kept[record.offset] = record
        time = times.get(movie_id, 0)
        times[movie_id] = time + 1
        if time == len(rounds):
            rounds.append(([], []))
        films, tombstones = rounds[time]
        if film:
            films.append(film)
        else:
            tombstones.append(Tombstone(movie_id, record.offset, written_at(record)))
    cleaned = [(*clean_rows(films), tuple(tombstones)) for films, tombstones in rounds]
    findings = sum((found for _, found, _ in cleaned), Counter())
    return Batch(offsets, tuple(Round(films, gone) for films, _, gone in cleaned), tuple(dead), findings, kept)


def total(findings: Iterable[Findings]) -> Findings:
    """Return the sum of counted findings."""
    return sum(findings, Counter())
