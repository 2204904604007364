"""From a topic of a real broker to the database, by the program as people start it.

ingest.films_per_second       `consume` in one process
ingest.scaling_2              two Dask workers over one, from the first commit on
ingest.scaling_2_alone        the same with free cores: by our processor time a film, and the share of the time in which
                              a worker's transaction waits for another's
ingest.{worker,workers}.*     what these two come from: films/s and our processor time from the first commit on, and the
                              share of the machine's cores in use
ingest.bulk_films_per_second  `consume --bulk`
recovery.kill_ratio           seconds from SIGKILL to the first new commit, over an undisturbed start's first commit

`--curve 10000,100000,1000000` measures ordinary and bulk path at each size instead: microseconds for each film, the
largest resident memory of any process of ours, and how much the costliest tenth of a long load costs over the cheapest.
"""

import argparse
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
import psycopg2

from benchmarks import films
from benchmarks.places import Databases, show
from movie_pipeline import settings as settings_module
from movie_pipeline.embedded import EmbeddedKafka, EmbeddedPostgres
from movie_pipeline.settings import Settings
from movie_pipeline.wiring import parts

PARTITIONS = 6
CAST_OFF_SECONDS = 0.2
LOOK_SECONDS = 0.1
LONG = 100_000
"""Films from which on a load is long enough to look at its tenths."""


class Look(NamedTuple):
    """What a look at the database shows during a run."""

    seconds: float
    loaded: int
    waiting: int
    """Sessions that wait for another's lock, of those that are at work."""
    working: int
    idle: float
    """Seconds that the machine's processors have been idle, all together."""


class Run(NamedTuple):
    """What one run of the consumer took."""

    seconds: float
    peak_mib: float
    client_cpu: float
    """Processor seconds of our processes."""
    started_cpu: float
    """Of these, what was spent by the first look that showed films."""
    looks: list[Look]

    def underway(self) -> tuple[float, float]:
        """Return seconds and our processor seconds a film, from the first look that showed films to the end."""
        first, last = self._ends()
        films = last.loaded - first.loaded
        return (last.seconds - first.seconds) / films, (self.client_cpu - self.started_cpu) / films

    def busy(self) -> float:
        """Return the share of the machine's processors that was in use meanwhile, by whomever."""
        first, last = self._ends()
        return 1 - (last.idle - first.idle) / (last.seconds - first.seconds) / (os.cpu_count() or 1)

    def _ends(self) -> tuple[Look, Look]:
        first = next(look for look in self.looks if look.loaded > 0)
        return first, next(look for look in self.looks if look.loaded == self.looks[-1].loaded)

    def lock_share(self) -> float:
        """Return the share of the sessions' working time that was spent waiting for another's lock."""
        return sum(look.waiting for look in self.looks) / max(1, sum(look.working for look in self.looks))

    def tenths(self, number: int) -> list[float]:
        """Return the microseconds a film of each tenth of the films."""
        edges = [next(look for look in self.looks if look.loaded >= part * number / 10) for part in range(1, 10)]
        edges = [next(look for look in self.looks if look.loaded > 0), *edges, self.looks[-1]]
        return [1e6 * (b.seconds - a.seconds) / max(1, b.loaded - a.loaded) for a, b in itertools.pairwise(edges)]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--curve", default="", help="sizes, comma between")
    options = parser.parse_args()
    sizes = [int(size) for size in options.curve.split(",") if size]
    with servers() as (broker, places):
        if sizes:
            curve(broker, places, sizes)
        else:
            ratios(broker, places, options.films, options.rounds)


def ratios(broker: str, places: Databases, number: int, rounds: int) -> None:
    """Measure each way in turn."""
    topic = filled(broker, number)
    runs: dict[str, list[Run]] = {"one": [], "worker": [], "workers": [], "bulk": []}
    kills = []
    for _ in range(rounds):
        for name, arguments, changes in (
            ("one", (), {"dask_engine": "inline"}),
            ("worker", (), {"dask_engine": "local", "dask_workers": 1}),
            ("workers", (), {"dask_engine": "local", "dask_workers": 2}),
            ("bulk", ("--bulk",), {"dask_engine": "inline"}),
        ):
            with places.fresh() as dsn:
                runs[name].append(consumed(configured(broker, topic, dsn, **changes), *arguments))
        with places.fresh() as dsn:
            kills.append(kill_ratio(configured(broker, topic, dsn, dask_engine="inline")))
    show("ingest.films_per_second", [number / run.seconds for run in runs["one"]], "films/s")
    show("ingest.bulk_films_per_second", [number / run.seconds for run in runs["bulk"]], "films/s")
    for name, found in runs.items():
        show(f"ingest.{name}.client_cpu", [1e6 * run.client_cpu / number for run in found], "us/film")
    pairs = list(zip(runs["worker"], runs["workers"], strict=True))
    show("ingest.workers.lock_waits", [run.lock_share() for run in runs["workers"]], "share")
    for name in ("worker", "workers"):
        show(f"ingest.{name}.underway", [1 / run.underway()[0] for run in runs[name]], "films/s")
        show(f"ingest.{name}.underway_cpu", [1e6 * run.underway()[1] for run in runs[name]], "us/film")
        show(f"ingest.{name}.busy", [run.busy() for run in runs[name]], "share")
    show("ingest.scaling_2", [one.underway()[0] / two.underway()[0] for one, two in pairs], "ratio")
    show("ingest.scaling_2_alone", [scaling_alone(one, two) for one, two in pairs], "ratio")
    show("recovery.kill_ratio", kills, "ratio")


def scaling_alone(one: Run, two: Run) -> float:
    """Return what two workers gain where nobody waits for a core: less what they do more, and wait for each other."""
    return 2 * min(1.0, one.underway()[1] / two.underway()[1]) * (1 - two.lock_share())


def curve(broker: str, places: Databases, sizes: list[int]) -> None:
    """Measure both paths at each size."""
    for number in sizes:
        topic = filled(broker, number)
        for name, arguments in (("ordinary", ()), ("bulk", ("--bulk",))):
            with places.fresh() as dsn:
                run = consumed(configured(broker, topic, dsn, dask_engine="local"), *arguments)
            figure = f"ingest.{name}.{number}"
            print(f"{figure}.seconds {run.seconds:.1f} s", flush=True)
            print(f"{figure}.per_film {1e6 * run.seconds / number:.1f} us", flush=True)
            if name == "ordinary":
                print(f"{figure}.underway {1e6 * run.underway()[0]:.1f} us", flush=True)
            print(f"{figure}.client_cpu {1e6 * run.client_cpu / number:.1f} us", flush=True)
            print(f"{figure}.peak_memory {run.peak_mib:.0f} MiB", flush=True)
            if name == "ordinary" and number >= LONG:
                costs = run.tenths(number)
                print(f"{figure}.flatness {max(costs) / min(costs):.3f} ratio", flush=True)
                print(f"#   us a film, tenth by tenth: {', '.join(f'{cost:.0f}' for cost in costs)}", flush=True)


@contextmanager
def servers() -> Iterator[tuple[str, Databases]]:
    """Start a broker and a database server."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with EmbeddedKafka(folder / "kafka") as broker, EmbeddedPostgres(folder / "postgres") as server:
            yield broker.bootstrap_servers, Databases(server)


def configured(broker: str, topic: str, dsn: str, **changes: object) -> Settings:
    """Return the settings of one run."""
    return settings_module.load(
        kafka_bootstrap_servers=broker, kafka_topic=topic, kafka_dlq_topic=f"{topic}.dlq", database_url=dsn,
        kafka_partitions=PARTITIONS, analysis=False, log_level="ERROR", **changes,
    )  # fmt: skip


def filled(broker: str, number: int) -> str:
    """Publish films to a topic of their own and return its name."""
    place = configured(broker, f"films-{number}", "postgresql://unused")
    with closing(parts.publisher(place)) as publisher:
        publisher.ensure_topics()
        for record in films.records(number):
            publisher.publish(place.kafka_topic, record.key, record.value, ())
        publisher.flush()
    return place.kafka_topic


def started(place: Settings, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start `movie-pipeline consume`."""
    command = [sys.executable, "-m", "movie_pipeline.cli", "consume", *arguments]
    return subprocess.Popen(command, env={**os.environ, **place.environment()}, stdout=subprocess.DEVNULL)


def consumed(place: Settings, *arguments: str) -> Run:
    """Run the consumer from the first offset it reads to its end; the program's start is left out."""
    with closing(psycopg2.connect(place.database_dsn())) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        before = os.times()
        process = started(place, *arguments)
        peak = Peak(process.pid)
        began = _wait(connection, "SELECT count(*) > 0 FROM pipeline_runs", process)
        looks: list[Look] = []
        started_cpu = None
        while not _ends_within(process, LOOK_SECONDS):
            cursor.execute(LOOK)
            loaded, waiting, working = map(int, cursor.fetchone() or (0, 0, 0))
            looks.append(Look(time.monotonic() - began, loaded, waiting, working, psutil.cpu_times().idle))
            if started_cpu is None and looks[-1].loaded:
                started_cpu = _family_cpu(process.pid)
        seconds = time.monotonic() - began
        after = os.times()
    if process.returncode:
        raise RuntimeError(f"consume {arguments} ended with {process.returncode}")
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Run(seconds, peak.mib(), used, started_cpu or used, looks)


def _family_cpu(pid: int) -> float:
    """Return the processor seconds of a process and its living descendants."""
    root = psutil.Process(pid)
    spent = [member.cpu_times() for member in (root, *root.children(recursive=True))]
    return sum(times.user + times.system for times in spent)


def _ends_within(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


LOOK = """
SELECT (SELECT coalesce(sum(next_offset), 0) FROM ingest_offsets),
       count(*) FILTER (WHERE wait_event_type = 'Lock'), count(*) FILTER (WHERE state <> 'idle')
FROM pg_stat_activity WHERE application_name LIKE 'movie-pipeline consume%' AND datname = current_database()
"""


class Peak:
    """Watches the resident memory of a process and its children: the largest of any single one."""

    def __init__(self, pid: int) -> None:
        self._root, self._largest = psutil.Process(pid), 0.0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def mib(self) -> float:
        """Return the largest, once the process has ended."""
        self._thread.join()
        return self._largest / 2**20

    def _watch(self) -> None:
        while True:
            try:
                if self._root.status() == psutil.STATUS_ZOMBIE:
                    return
                family = [self._root, *self._root.children(recursive=True)]
                self._largest = max(self._largest, *(member.memory_info().rss for member in family))
            except psutil.NoSuchProcess:
                if not self._root.is_running():
                    return
            time.sleep(CAST_OFF_SECONDS)


def kill_ratio(place: Settings) -> float:
    """Return how much longer a first commit takes after a SIGKILL than on an undisturbed start."""
    films_stored = "SELECT coalesce(sum(next_offset), 0) > {} FROM ingest_offsets"
    with closing(psycopg2.connect(place.database_dsn())) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        began, process = time.monotonic(), started(place)
        undisturbed = _wait(connection, films_stored.format(0), process) - began
        process.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        process.wait()
        cursor.execute("SELECT sum(next_offset) FROM ingest_offsets")
        (stored,) = cursor.fetchone() or (0,)
        process = started(place)
        again = _wait(connection, films_stored.format(stored), process) - killed
        process.kill()
        process.wait()
    return again / undisturbed


def _wait(connection: "psycopg2.extensions.connection", question: str, process: "subprocess.Popen[bytes]") -> float:
    """Return when the database says yes."""
    with connection.cursor() as cursor:
        while True:
            cursor.execute(question)
            if cursor.fetchone() == (True,):
                return time.monotonic()
            if process.poll() not in {None, 0}:
                raise RuntimeError(f"consume ended with {process.returncode} before it loaded anything")
            time.sleep(0.005)


if __name__ == "__main__":
    main()
