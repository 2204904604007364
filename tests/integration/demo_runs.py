"""The demo as a program of its own, on a slice of the sample, to be watched and killed by the tests."""

import gzip
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any

import psutil
import psycopg2

SAMPLE = files("movie_pipeline.sample_api") / "data" / "movies.jsonl.gz"
CONTENT = {
    "movies": "SELECT id, title, release_date, budget, revenue, popularity, content_digest, links_digest FROM movies",
    "genres": "SELECT id, name FROM genres",
    "people": "SELECT id, name FROM people",
    "companies": "SELECT id, name FROM production_companies",
    "movie_genres": "SELECT * FROM movie_genres",
    "movie_companies": "SELECT * FROM movie_production_companies",
    "movie_directors": "SELECT * FROM movie_directors",
    "movie_cast": "SELECT * FROM movie_cast",
    "history": "SELECT movie_id, popularity, vote_average, vote_count, revenue FROM movie_history",
    "warehouse": """SELECT tmdb_id, title, release_date, release_year, genre, budget, revenue, runtime, director,
        popularity, vote_average, vote_count, roi, popularity_level, rating_level, is_profitable
        FROM movie_data_warehouse""",
}


def write_sample(path: Path, films: int) -> Path:
    """Write the first films of the packaged sample to a file that the demo's --data takes."""
    with SAMPLE.open("rb") as packed, gzip.open(packed) as lines:
        path.write_bytes(b"".join(next(lines) for _ in range(films)))
    return path


def start_demo(folder: Path, sample: Path, *options: str, **variables: str) -> subprocess.Popen[str]:
    """Start the demo below a folder, with Dask workers whatever the size, and nothing of this machine's settings."""
    known = {name: value for name, value in os.environ.items() if not name.startswith(("TMDB_", "PG", "DATABASE_"))}
    environment = {**known, "OUTPUT_DIR": str(folder / "out"), "INLINE_BELOW": "0", "LOG_FORMAT": "text", **variables}
    command = [sys.executable, "-m", "movie_pipeline.cli", "demo", "--data", str(sample), *options]
    # Its log goes to a file: nobody reads while the test watches for something else.
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)


def kill_when(
    program: subprocess.Popen[str], reached: Callable[[], bool], seconds: float = 120.0
) -> list[psutil.Process]:
    """SIGKILL the program as soon as something is reached; return all processes that were below it."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert program.poll() is None, "the demo ended before it could be killed"
        assert time.monotonic() < deadline, "the demo never got there"
        time.sleep(0.02)
    children = psutil.Process(program.pid).children(recursive=True)
    program.send_signal(signal.SIGKILL)
    program.wait()
    return children


def stored_films(folder: Path) -> int:
    """Return how many films a running demo has loaded, 0 when its database cannot be asked."""
    try:
        return rows(running_dsn(folder), "SELECT count(*) FROM movies")[0][0]
    except (OSError, IndexError, psycopg2.Error):
        return 0


def running_dsn(folder: Path) -> str:
    """Return the address of a running demo's database, from what the server leaves in its folder."""
    server = folder / "out" / ".demo" / "postgres"
    port = (server / "data" / "postmaster.pid").read_text(encoding="utf-8").splitlines()[3]
    password = (server / "password").read_text(encoding="ascii")
    return f"postgresql://movies:{password}@127.0.0.1:{port}/movies"


def content(dsn: str) -> dict[str, Any]:
    """Return everything in the database that depends on the films and not on when they were loaded."""
    return {name: sorted(rows(dsn, query), key=repr) for name, query in CONTENT.items()}


def rows(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    with closing(psycopg2.connect(dsn, connect_timeout=5)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def kept_up(program: subprocess.Popen[str]) -> str:
    """Return what a demo with --keep prints until its servers are all that is left to do."""
    assert program.stdout is not None
    said = []
    for line in program.stdout:
        said.append(line)
        if line.startswith("Ctrl-C ends"):
            break
    return "".join(said)
