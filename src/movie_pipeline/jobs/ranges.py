"""What a worker does with one offset range: read, clean, load; reading runs ahead of loading."""

import gc
import queue
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from movie_pipeline.messages import OffsetRange
from movie_pipeline.ports import TopicReader
from movie_pipeline.transform.batch import prepare

if TYPE_CHECKING:
    from movie_pipeline.transform.batch import Batch

OBJECTS_BETWEEN_COLLECTIONS = 200_000
"""Films are trees without cycles: looking for cycles as often as Python does costs a seventh of preparing them."""
TURN_SECONDS = 0.0002
"""How long the thread that prepares may keep the interpreter from the one that loads, which needs it for an instant
after every answer of the database. Python's 5 ms leave the database idle for a tenth of the time."""


class Warehouse(Protocol):
    """Where batches are loaded, each in one transaction with its offset."""

    def stage(self, batch: "Batch") -> Any:
        """Do ahead what needs no connection."""

    def load(self, staged: Any) -> Any:
        """Load a staged batch; the outcome has `counts` and `stale`."""


class RangeResult(NamedTuple):
    """What became of a range: counts by kind of change, where the offset stands now."""

    offsets: OffsetRange
    next_offset: int
    counts: Counter[str]
    seconds: float
    stale: bool


def ingest_range(offsets: OffsetRange, *, reader: TopicReader, warehouse: Warehouse, load_size: int) -> RangeResult:
    """Load one offset range, `load_size` messages a transaction, and say what was done.

    While PostgreSQL takes in one batch the next one is read and cleaned. Stops at once when another writer turns
    out to have moved the offset (`stale`): whoever planned the range must look again.
    """
    started = time.monotonic()
    counts: Counter[str] = Counter()
    position = offsets.start
    with _tuned_interpreter(), _ahead(_staged(offsets, reader, warehouse, load_size)) as staged_batches:
        for end, staged in staged_batches:
            outcome = warehouse.load(staged)
            if outcome.stale:
                return RangeResult(offsets, position, counts, time.monotonic() - started, stale=True)
            counts += outcome.counts
            position = end
    return RangeResult(offsets, position, counts, time.monotonic() - started, stale=False)


def _staged(
    offsets: OffsetRange, reader: TopicReader, warehouse: Warehouse, load_size: int
) -> Iterator[tuple[int, Any]]:
    start = offsets.start
    for records, end in reader.read(offsets, load_size):
        if end > start:
            yield end, warehouse.stage(prepare(offsets._replace(start=start, end=end), records))
            start = end


@contextmanager
def _tuned_interpreter() -> Iterator[None]:
    threshold, turn = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, *threshold[1:])
    sys.setswitchinterval(TURN_SECONDS)
    try:
        yield
    finally:
        gc.set_threshold(*threshold)
        sys.setswitchinterval(turn)


class _ahead:  # noqa: N801 - reads as a function
    """Iterate on a thread of its own, one item ahead; an error arrives where the item would have."""

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items
        self._queue: queue.Queue[Any] = queue.Queue(maxsize=1)
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="read-ahead", daemon=True)

    def __enter__(self) -> Iterator[Any]:
        self._thread.start()
        return self._drain()

    def __exit__(self, *_: object) -> None:
        self._left.set()
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=0.05)
            except queue.Empty:
                continue
        self._thread.join()

    def _drain(self) -> Iterator[Any]:
        while True:
            kind, item = self._queue.get()
            if kind == "end":
                return
            if kind == "error":
                raise item
            yield item

    def _fill(self) -> None:
        try:
            for item in self._items:
                self._queue.put(("item", item))
                if self._left.is_set():
                    return
            self._queue.put(("end", None))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            self._queue.put(("error", error))
