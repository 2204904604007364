"""What the producer's measurements share: a sample API in a process of its own, and producers as people start them."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil

SERVE = """
import sys, json
from movie_pipeline.sample_api import Faults, SampleApi, SyntheticCatalogue
films, faults = int(sys.argv[1]), json.loads(sys.argv[2])
with SampleApi(SyntheticCatalogue(films) if films else None, faults=Faults(**faults)) as api:
    print(api.base, flush=True)
    sys.stdin.read()
"""


class Served(NamedTuple):
    """A running sample API."""

    base: str
    pid: int

    def counts(self) -> dict:
        """What it has seen so far."""
        with urllib.request.urlopen(f"{self.base}/_counts", timeout=30) as answer:
            return json.load(answer)


@contextmanager
def served(films: int = 0, **faults: float) -> Iterator[Served]:
    """Serve made-up films (0: the real sample) from another process."""
    command = [sys.executable, "-c", SERVE, str(films), json.dumps(faults)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        put_first(process)
        yield Served(process.stdout.readline().strip(), process.pid)
        process.stdin.close()


class Parts(NamedTuple):
    """Where broker and database are."""

    kafka: str
    dsn: str


@contextmanager
def parts(folder: Path) -> Iterator[Parts]:
    """Start a broker and a database with the schema."""
    from movie_pipeline.adapters.schema import migrate
    from movie_pipeline.embedded import EmbeddedKafka, EmbeddedPostgres

    folder.chmod(0o755)
    with EmbeddedKafka(folder / "kafka") as kafka, EmbeddedPostgres(folder / "postgres") as postgres:
        migrate(postgres.dsn)
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if child.name().startswith("postgres"):
                    put_first(child)
        yield Parts(kafka.bootstrap_servers, postgres.dsn)


def producer(found: Parts, api: Served, output: Path, *arguments: str, **settings: str) -> subprocess.Popen:
    """Start `movie-pipeline produce`."""
    environment = {
        "PATH": os.environ["PATH"], "KAFKA_BOOTSTRAP_SERVERS": found.kafka, "DATABASE_URL": found.dsn,
        "TMDB_API_URL": f"{api.base}/3", "TMDB_EXPORT_URL": f"{api.base}/p/exports", "OUTPUT_DIR": str(output),
        "LOG_LEVEL": "ERROR", **settings,
    }  # fmt: skip
    command = [sys.executable, "-m", "movie_pipeline.cli", "produce", *arguments]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    put_first(process)
    return process


def put_first(process: subprocess.Popen | psutil.Process) -> None:
    """Let the scheduler prefer a measured process, where that is allowed: other work shows as jitter of the rate."""
    with suppress(PermissionError, AttributeError):
        os.sched_setscheduler(process.pid, os.SCHED_RR, os.sched_param(1))


def ids_file(folder: Path, name: str, ids: range) -> str:
    """Write a list of films for `--ids`."""
    path = folder / name
    path.write_text("".join(f"{movie_id}\n" for movie_id in ids))
    return str(path)
