"""From a topic of a real broker to the database, by the program as people start it.

ingest.films_per_second       `consume` in one process
ingest.scaling_2              two Dask workers over one
ingest.bulk_films_per_second  `consume --bulk`
recovery.kill_ratio           seconds from SIGKILL to the first new commit, over an undisturbed start's first commit

`--curve 10000,100000,1000000` measures ordinary and bulk path at each size instead: microseconds for each film and
the largest resident memory of any process of ours.
"""

import argparse
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


class Run(NamedTuple):
    """What one run of the consumer took."""

    seconds: float
    peak_mib: float


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
    rates: dict[str, list[float]] = {"one": [], "worker": [], "workers": [], "bulk": []}
    kills = []
    for _ in range(rounds):
        for name, arguments, changes in (
            ("one", (), {"dask_engine": "inline"}),
            ("worker", (), {"dask_engine": "local", "dask_workers": 1}),
            ("workers", (), {"dask_engine": "local", "dask_workers": 2}),
            ("bulk", ("--bulk",), {"dask_engine": "inline"}),
        ):
            with places.fresh() as dsn:
                rates[name].append(number / consumed(configured(broker, topic, dsn, **changes), *arguments).seconds)
        with places.fresh() as dsn:
            kills.append(kill_ratio(configured(broker, topic, dsn, dask_engine="inline")))
    show("ingest.films_per_second", rates["one"], "films/s")
    show("ingest.bulk_films_per_second", rates["bulk"], "films/s")
    show("ingest.scaling_2", [two / one for one, two in zip(rates["worker"], rates["workers"], strict=True)], "ratio")
    show("recovery.kill_ratio", kills, "ratio")


def curve(broker: str, places: Databases, sizes: list[int]) -> None:
    """Measure both paths at each size."""
    for number in sizes:
        topic = filled(broker, number)
        for name, arguments in (("ordinary", ()), ("bulk", ("--bulk",))):
            with places.fresh() as dsn:
                run = consumed(configured(broker, topic, dsn, dask_engine="local"), *arguments)
            print(f"ingest.{name}.{number}.seconds {run.seconds:.1f} s", flush=True)
            print(f"ingest.{name}.{number}.per_film {1e6 * run.seconds / number:.1f} us", flush=True)
            print(f"ingest.{name}.{number}.peak_memory {run.peak_mib:.0f} MiB", flush=True)


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
    with closing(psycopg2.connect(place.database_dsn())) as connection:
        connection.autocommit = True
        process = started(place, *arguments)
        peak = Peak(process.pid)
        began = _wait(connection, "SELECT count(*) > 0 FROM pipeline_runs", process)
        code = process.wait()
        seconds = time.monotonic() - began
    if code:
        raise RuntimeError(f"consume {arguments} ended with {code}")
    return Run(seconds, peak.mib())


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
        while self._root.is_running() and self._root.status() != psutil.STATUS_ZOMBIE:
            try:
                family = [self._root, *self._root.children(recursive=True)]
                self._largest = max(self._largest, *(member.memory_info().rss for member in family))
            except psutil.NoSuchProcess:
                continue
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
