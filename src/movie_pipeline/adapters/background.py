"""Analysis of batches in a process beside the loading, one at a time; and a process beside the analysis."""

import multiprocessing
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Protocol

from movie_pipeline import logs, metrics

log = logs.get(__name__)

NICENESS = 10
"""What an analysis beside a loading without end gives way by; in a run with an end all wait for it anyhow."""


class BatchNumbers(Protocol):
    """Where batches get their numbers; see `offsets.PostgresBatchNumbers`."""

    def next(self, run_id: str, counts: Mapping[str, int]) -> int:
        """Number a closed batch."""

    def analysed(self, numbers: list[int]) -> None:
        """Record batches as analysed."""


@contextmanager
def beside(*modules: str) -> Iterator[Executor]:
    """Give an executor with one process, which ends with this one however that ends.

    `modules` are what the work there will need: it begins to import them at once, while this process goes on.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=_watch_parent) as pool:
        if modules:
            pool.submit(_import, modules)
        yield pool


class BackgroundAnalysis:
    """Numbers batches and analyses them; what closes during an analysis is analysed together afterwards."""

    def __init__(
        self,
        numbers: BatchNumbers,
        *,
        run_id: str,
        analyse: Callable[[int, dict[str, int]], None] | None,
        niceness: int = NICENESS,
    ) -> None:
        self._numbers, self._run_id, self._analyse, self._niceness = numbers, run_id, analyse, niceness
        self._waiting: list[tuple[int, dict[str, int]]] = []
        self._running: tuple[Any, list[int]] | None = None

    def close_batch(self, counts: Mapping[str, int]) -> None:
        """Number a batch, and start its analysis unless one is running."""
        number = self._numbers.next(self._run_id, counts)
        log.info("batch closed", batch=number, **counts)
        if self._analyse is not None:
            self._waiting.append((number, dict(counts)))
            self.tend()

    def tend(self) -> None:
        """Take the result of an analysis that has ended, and begin the one of the batches that closed meanwhile."""
        if self._running and not self._running[0].is_alive():
            self._end(*self._running)
            self._running = None
        if self._waiting and not self._running:
            self._start()

    def finish(self, seconds: float | None = None) -> None:
        """Wait until all batches are analysed; after so many seconds the analysis at hand is ended, none begins."""
        until = None if seconds is None else time.monotonic() + seconds
        while self._waiting or self._running:
            if self._running:
                process, numbers = self._running
                process.join(None if until is None else max(0.0, until - time.monotonic()))
                if process.is_alive():
                    left = numbers + [number for number, _ in self._waiting]
                    log.warning("analysis ended unfinished; the next batch's covers its films", batches=left)
                    process.kill()
                    process.join()
                    self._running, self._waiting = None, []
                    return
            self.tend()

    def _start(self) -> None:
        numbers = [number for number, _ in self._waiting]
        counts: Counter[str] = Counter()
        for _, found in self._waiting:
            counts.update(found)
        self._waiting = []
        if len(numbers) > 1:
            log.info("batches analysed together", batch=numbers[-1], skipped=numbers[:-1])
        # Spawned, not forked: this process has threads and open connections.
        process = multiprocessing.get_context("spawn").Process(
            target=_run_nicely,
            args=(self._niceness, self._analyse, numbers[-1], dict(counts)),
            name=f"analysis-{numbers[-1]}",
        )
        process.start()
        self._running = (process, numbers)

    def _end(self, process: Any, numbers: list[int]) -> None:
        process.join()
        if process.exitcode == 0:
            self._numbers.analysed(numbers)
        else:
            metrics.ANALYSIS_FAILURES.inc()
            log.error(
                "analysis failed; the films are loaded all the same", batch=numbers[-1], exit_code=process.exitcode
            )
        process.close()


def _run_nicely(
    niceness: int, analyse: Callable[[int, dict[str, int]], None], number: int, counts: dict[str, int]
) -> None:
    _watch_parent()
    os.nice(niceness)
    analyse(number, counts)


def _import(modules: Sequence[str]) -> None:
    for module in modules:
        import_module(module)


def _watch_parent() -> None:
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()


def _end_with_parent() -> None:
    """End this process when its parent was killed: nobody would take the result, and nobody would stop it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
