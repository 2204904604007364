"""Bookkeeping of one crawl: the list of films, what is settled, and how both are saved.

A crawl is saved as a plan (the whole list, once) and a mark (position in the list, and what before it is still open).
After a crash the open films are taken again, then the list goes on at the position: nothing is skipped, and only what
was in the air is fetched twice.
"""

import base64
import threading
import zlib
from array import array
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from movie_pipeline.ports import CrawlState


class Crawl(NamedTuple):
    """A list of films to fetch, identified by its name and the run that made it."""

    name: str
    run_id: str
    started: datetime
    ids: "array[int]"
    position: int = 0
    open_ids: tuple[int, ...] = ()

    @property
    def left(self) -> int:
        """Films that are still to be fetched."""
        return len(self.ids) - self.position + len(self.open_ids)


def save_plan(state: CrawlState, crawl: Crawl) -> None:
    """Save a crawl's list; must come before its first mark."""
    plan = {"run_id": crawl.run_id, "started": crawl.started.isoformat(), "ids": pack_ids(crawl.ids)}
    state.save(f"{crawl.name}/plan", plan)


def save_mark(state: CrawlState, crawl: Crawl, mark: "Mark") -> None:
    """Save how far a crawl has come."""
    state.save(f"{crawl.name}/mark", {"run_id": crawl.run_id, "position": mark.position, "open": list(mark.open_ids)})


def forget(state: CrawlState, crawl: Crawl) -> None:
    """Forget a crawl that has settled every film."""
    state.save(f"{crawl.name}/plan", None)
    state.save(f"{crawl.name}/mark", None)


def unfinished(state: CrawlState, name: str) -> Crawl | None:
    """Return the crawl of this name that an earlier process left, None when there is none."""
    plan = state.load(f"{name}/plan")
    if plan is None:
        return None
    mark = state.load(f"{name}/mark")
    crawl = Crawl(name, plan["run_id"], datetime.fromisoformat(plan["started"]), unpack_ids(plan["ids"]))
    if mark is None or mark["run_id"] != crawl.run_id:
        return crawl
    return crawl._replace(position=mark["position"], open_ids=tuple(mark["open"]))


class Mark(NamedTuple):
    """Position in the list, and the films before it that are not settled."""

    position: int
    open_ids: tuple[int, ...]


class Ledger:
    """Hands out a crawl's films and knows which of them are settled; safe from several threads."""

    def __init__(self, crawl: Crawl) -> None:
        self._again: Iterator[int] = iter(crawl.open_ids)
        self._ids, self._position = crawl.ids, crawl.position
        # A film of an earlier process is open from the start, even before it is handed out.
        self._open = dict.fromkeys(crawl.open_ids)
        self._changed = threading.Condition()

    def next_id(self) -> int | None:
        """Return the next film to fetch, None at the end; it is open until it is settled."""
        with self._changed:
            movie_id = next(self._again, None)
            if movie_id is None and self._position < len(self._ids):
                movie_id = self._ids[self._position]
                self._position += 1
                self._open[movie_id] = None
            return movie_id

    def settle(self, movie_id: int) -> None:
        """Declare a film done: its record acknowledged, or its fate on the retry list."""
        with self._changed:
            self._open.pop(movie_id, None)
            self._changed.notify_all()

    def mark(self) -> Mark:
        """Return how far the crawl has come, as of now."""
        with self._changed:
            return Mark(self._position, tuple(self._open))

    def wait_below(self, most_open: int, timeout_seconds: float) -> bool:
        """Wait until fewer films are open; False when the time is over first."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._open) < most_open, timeout_seconds)


def unique(ids: Iterable[int]) -> "array[int]":
    """Return the ids in their order, each once."""
    return array("i", dict.fromkeys(ids))


def pack_ids(ids: Iterable[int]) -> str:
    """Return ids as a short text: differences as variable-length numbers, packed; sorted ids take about a byte."""
    packed = bytearray()
    before = 0
    for movie_id in ids:
        number = (movie_id - before) << 1 if movie_id >= before else ((before - movie_id) << 1) - 1
        before = movie_id
        while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
            packed.append(number & 0x7F | 0x80)
            number >>= 7
        packed.append(number)
    return base64.b85encode(zlib.compress(bytes(packed))).decode()


def unpack_ids(text: str) -> "array[int]":
    """Return what `pack_ids` packed."""
    ids = array("i")
    before = number = shift = 0
    for byte in zlib.decompress(base64.b85decode(text)):
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:  # noqa: PLR2004 - seven bits a byte
            before += -((number + 1) >> 1) if number & 1 else number >> 1
            ids.append(before)
            number = shift = 0
    return ids
