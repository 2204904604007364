"""Workers come and go with the backlog; whatever dies in the middle of a load neither loses nor doubles anything."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .cluster import Figures, Release, contents, empty, until
from .conftest import SAMPLE

pytestmark = pytest.mark.timeout(1800)

ALL_FILMS_SECONDS = 300
DASK = "app.kubernetes.io/instance=e2e,app.kubernetes.io/component=dask"
WORKERS = f"{DASK},dask.org/component=worker"
VICTIMS = {
    "worker": WORKERS,
    "scheduler": f"{DASK},dask.org/component=scheduler",
    "consumer": "app.kubernetes.io/instance=e2e,app.kubernetes.io/component=consumer",
    "broker": "strimzi.io/kind=Kafka,strimzi.io/pool-name=broker",
    "database": "app.kubernetes.io/name=postgresql,app.kubernetes.io/instance=e2e",
}


@pytest.fixture(scope="module")
def calm(release: Release) -> dict[str, str]:
    """What the tables hold after a load that nothing disturbs."""
    with Figures.timed("a calm load, workers included"):
        _empty(release)
        _all_films(release)
    return contents(release)


@pytest.mark.parametrize("victim", VICTIMS)
def test_what_dies_in_the_middle_of_a_load_changes_nothing(release: Release, calm: dict[str, str], victim: str) -> None:
    with Figures.timed(f"a load in which the {victim} dies"):
        _empty(release)
        loaded = until("the first films", release.films, seconds=ALL_FILMS_SECONDS, pause=0.1)
        killed = release.kill(VICTIMS[victim])
        assert loaded < SAMPLE, "the load was over before anything could die"
        assert killed, f"no {victim} was there to die"
        _all_films(release)
    assert contents(release) == calm
    Figures.add(f"  {', '.join(killed)} died at {loaded} films")


def test_workers_come_with_a_backlog_and_go_after_it(release: Release) -> None:
    until("no workers while idle", lambda: not release.pods(WORKERS), seconds=180)
    with _counted(release) as counts:
        _empty(release)
        _all_films(release)
        until("no workers after the backlog", lambda: not release.pods(WORKERS), seconds=180)
    Figures.add("Dask workers by second: " + ", ".join(f"{second} s {count}" for second, count in counts))
    assert counts[0][1] == 0
    assert max(count for _, count in counts) > 1


@contextmanager
def _counted(release: Release) -> Iterator[list[tuple[int, int]]]:
    """Look at the number of workers all the time; give each change with its second."""
    counts: list[tuple[int, int]] = [(0, len(release.pods(WORKERS)))]
    ended, began = threading.Event(), time.monotonic()

    def look() -> None:
        while not ended.wait(0.5):
            count = len(release.pods(WORKERS))
            if count != counts[-1][1]:
                counts.append((round(time.monotonic() - began), count))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield counts
    finally:
        ended.set()
        thread.join()


def _empty(release: Release) -> None:
    until("an empty database", lambda: empty(release) is None, seconds=60)


def _all_films(release: Release) -> None:
    until("all films", lambda: release.films() == SAMPLE, seconds=ALL_FILMS_SECONDS)
