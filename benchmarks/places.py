"""What the loading measurements share: a server with databases to throw away, records in memory, medians."""

import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2

from movie_pipeline.adapters.schema import migrate
from movie_pipeline.embedded import EmbeddedPostgres
from movie_pipeline.messages import OffsetRange, Record

_numbers = itertools.count(1)
SECONDS_TO_SETTLE = 1.0


class Databases:
    """One server; every measurement gets a database of its own."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server
        self._stem = server.dsn.rpartition("/")[0]
        pid = (server.directory / "data" / "postmaster.pid").read_text(encoding="ascii").splitlines()[0]
        self._postmaster = Path("/proc") / pid
        self._administer("CREATE DATABASE template_movies")
        migrate(f"{self._stem}/template_movies")

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """Give the URL of a new database with the schema; what earlier ones left to write is written before."""
        name = f"bench_{next(_numbers)}"
        self._administer(f"CREATE DATABASE {name} TEMPLATE template_movies")
        self._administer("CHECKPOINT")
        time.sleep(SECONDS_TO_SETTLE)
        yield f"{self._stem}/{name}"
        self._administer(f"DROP DATABASE {name} WITH (FORCE)")

    def wait_for_backends(self) -> None:
        """Wait until only our own question is connected: a backend's time counts when it has ended."""
        others = "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE '%client%' AND pid <> pg_backend_pid()"
        with closing(psycopg2.connect(self._server.dsn)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(others)
            while cursor.fetchone() != (0,):
                time.sleep(0.01)
                cursor.execute(others)
        # A backend leaves this view a moment before its parent has collected it.
        time.sleep(SECONDS_TO_SETTLE)

    def cpu_seconds(self) -> float:
        """Return the processor time of all backends that have ended."""
        # The fields after the command's name, which may hold spaces: state is the first of them.
        fields = self._postmaster.joinpath("stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

    def _administer(self, statement: str) -> None:
        with closing(psycopg2.connect(self._server.dsn)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(statement)


@contextmanager
def databases() -> Iterator[Databases]:
    """Start a server and stop it."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        with EmbeddedPostgres(Path(name) / "postgres") as server:
            yield Databases(server)


class MemoryReader:
    """Records of a list, read as if they lay in a topic."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records

    def read(self, offsets: OffsetRange, max_records: int) -> Iterator[tuple[Sequence[Record], int]]:
        """Yield (records, next offset)."""
        for start in range(offsets.start, offsets.end, max_records):
            end = min(start + max_records, offsets.end)
            yield self._records[start:end], end


class Spent(NamedTuple):
    """Seconds that a call took: by the clock, and of processor time on either side of the connection."""

    wall: float
    client: float
    server: float

    def alone(self) -> float:
        """Return the time that it would take at least with a core for each side and nothing else running."""
        return max(self.client, self.server)


def spent(places: Databases, work: Callable[[], Any]) -> Spent:
    """Measure a call that closes its connections; processes that it starts and waits for count as the client."""
    server = places.cpu_seconds()
    client = sum(os.times()[:4])
    started = time.perf_counter()
    work()
    wall = time.perf_counter() - started
    client = sum(os.times()[:4]) - client
    places.wait_for_backends()
    return Spent(wall, client, places.cpu_seconds() - server)


def show(name: str, values: Sequence[float], unit: str) -> None:
    """Print the median, and beside it the range."""
    print(f"{name} {statistics.median(values):.3f} {unit}", flush=True)
    print(f"#   {len(values)} runs, {min(values):.3f} to {max(values):.3f}", flush=True)
