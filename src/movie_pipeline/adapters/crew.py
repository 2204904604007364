"""Child processes that prepare batches ahead, each for partitions of its own, so that both sides keep a core busy."""

import gc
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Self

from movie_pipeline.errors import RetryLaterError

OBJECTS_BETWEEN_COLLECTIONS = 200_000
"""Films are trees without cycles: looking for cycles among them as often as Python does finds none."""
JOIN_SECONDS = 5.0

Work = Callable[[Any], Iterable[Any]]


class _End:
    """A child is through."""


class Crew:
    """Runs `work(share)` for each share in a process of its own, between `with` and the end of its block.

    The children are forked, so they have all modules already; make a crew before opening connections or threads.
    A child that is ahead waits until its result is taken. None outlives its parent, not even one that was killed.
    """

    def __init__(self, work: Work, shares: Sequence[Any]) -> None:
        self._work, self._shares = work, shares
        self._children: dict[Connection, Any] = {}

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("fork")
        for share in self._shares:
            mine, theirs = context.Pipe(duplex=False)
            child = context.Process(target=_child, args=(self._work, share, theirs, os.getpid()), daemon=True)
            child.start()
            theirs.close()
            self._children[mine] = child
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe, child in self._children.items():
            child.terminate()
            child.join(JOIN_SECONDS)
            pipe.close()

    def results(self) -> Iterator[Any]:
        """Yield what the children make: each child's in its order, between children as they come.

        A child's error is raised here; RetryLaterError when a child died without one.
        """
        open_pipes = list(self._children)
        while open_pipes:
            for pipe in wait(open_pipes):
                assert isinstance(pipe, Connection)
                try:
                    result = pipe.recv()
                except EOFError:
                    raise RetryLaterError("a process that prepares batches was killed: run the same again") from None
                if isinstance(result, _End):
                    open_pipes.remove(pipe)
                elif isinstance(result, BaseException):
                    raise result
                else:
                    yield result


def _child(work: Work, share: Any, pipe: Connection, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    try:
        for result in work(share):
            pipe.send(result)
        pipe.send(_End())
    except Exception as error:  # noqa: BLE001 - raised again in the parent
        pipe.send(error)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
