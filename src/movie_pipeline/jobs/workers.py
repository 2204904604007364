"""Work on items in several threads, with bounded results."""

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")
R = TypeVar("R")

WAITING_RESULTS = 2
"""Items in work or waiting for the consumer, for each thread; beyond that the threads pause."""
JOIN_SECONDS = 2.0


class _Failure(NamedTuple):
    error: BaseException


class _End(NamedTuple):
    """One thread has found nothing more to take."""


def results(threads: int, take: Callable[[], T | None], work: Callable[[T], R]) -> Generator[R]:
    """Yield `work(item)` for every item that `take` gives until it gives None, as they are finished.

    An exception of `work` is raised here and ends everything; closing the iterator lets the threads finish the item in
    hand and take no more. The threads are daemons: a request that hangs does not hold up the end of the program.
    """
    done: queue.SimpleQueue[R | _Failure | _End] = queue.SimpleQueue()
    room = threading.Semaphore(threads * WAITING_RESULTS)
    stop = threading.Event()
    crew = [
        threading.Thread(target=_loop, args=(take, work, done, room, stop), name=f"worker-{n}", daemon=True)
        for n in range(threads)
    ]
    for worker in crew:
        worker.start()
    try:
        for _ in crew:
            while not isinstance(result := done.get(), _End):
                if isinstance(result, _Failure):
                    raise result.error
                yield result
                room.release()
    finally:
        stop.set()
        room.release(threads)
        for worker in crew:
            worker.join(JOIN_SECONDS)


def in_parallel(threads: int, items: Sequence[T], work: Callable[[T], R]) -> Generator[R]:
    """Yield `work(item)` of all items, in their order."""
    numbers = iter(range(len(items)))
    lock = threading.Lock()

    def take() -> int | None:
        with lock:
            return next(numbers, None)

    waiting: dict[int, R] = {}
    due = 0
    for number, result in results(threads, take, lambda number: (number, work(items[number]))):
        waiting[number] = result
        while due in waiting:
            yield waiting.pop(due)
            due += 1


def _loop(
    take: Callable[[], T | None],
    work: Callable[[T], R],
    done: "queue.SimpleQueue[R | _Failure | _End]",
    room: threading.Semaphore,
    stop: threading.Event,
) -> None:
    while True:
        room.acquire()
        if stop.is_set():
            return
        try:
            item = take()
            if item is None:
                done.put(_End())
                return
            done.put(work(item))
        except BaseException as error:  # noqa: BLE001 - raised again by the consumer
            done.put(_Failure(error))
            return
