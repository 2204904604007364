"""The demo's surroundings: an embedded broker and database, the sample API, and the other verbs in order."""

import shutil
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from movie_pipeline import logs
from movie_pipeline.settings import Settings
from movie_pipeline.wiring import parts

if TYPE_CHECKING:
    from movie_pipeline.embedded import EmbeddedKafka, EmbeddedPostgres, EmbeddedSampleApi
    from movie_pipeline.jobs.demo import Ending

TABLES = (
    "movies",
    "genres",
    "production_companies",
    "people",
    "movie_genres",
    "movie_production_companies",
    "movie_directors",
    "movie_cast",
    "movie_data_warehouse",
    "movie_history",
)
STATE_FOLDER = ".demo"
POPULAR_PAGES = 500
SAMPLE_REQUESTS_PER_SECOND = 1000.0
SAMPLE_THREADS = 8


def demo(settings: Settings, *, keep: bool = False, data: Path | None = None, state_dir: Path | None = None) -> int:
    """Run everything on this machine and say what came of it; with `keep` leave the servers up until Ctrl-C.

    Broker and database keep their data in `state_dir` (`.demo` below OUTPUT_DIR when not given), so that a second run
    loads nothing twice. Films come from the packaged sample or `data`, or from TMDB when a token or key is set.
    """
    with ExitStack() as stack:
        return _Demo(settings, data, state_dir, stack).run(keep=keep)


class _Demo:
    def __init__(self, settings: Settings, data: Path | None, state_dir: Path | None, stack: ExitStack) -> None:
        self._settings, self._data, self._stack = settings, data, stack
        self._state = (state_dir or settings.output_dir / STATE_FOLDER).absolute()
        self._kafka: EmbeddedKafka | None = None
        self._postgres: EmbeddedPostgres | None = None

    def run(self, *, keep: bool) -> int:
        from movie_pipeline.jobs import demo as job

        stages = [
            job.Stage("Start broker, database and film source", self._start),
            job.Stage("Create or upgrade the schema", self._migrate),
            job.Stage("Fetch the films and publish them", self._produce),
            job.Stage("Load them with Dask, draw the charts, train the model", self._consume),
        ]
        code, times = job.run_stages(stages, _say)
        if code == 0:
            _say(job.farewell(self._ending(), times, self._addresses() if keep else None))
            if keep:
                _wait_for_interrupt()
        return code

    def _start(self) -> int:
        from movie_pipeline.embedded import EmbeddedKafka, EmbeddedPostgres
        from movie_pipeline.embedded.places import make_folder
        from movie_pipeline.jobs.demo import require_space

        make_folder(self._settings.output_dir)
        make_folder(self._state)
        require_space(self._state, shutil.disk_usage(self._state).free)
        api = None if self._is_live() else self._sample()
        self._kafka = EmbeddedKafka(self._state / "kafka", progress=_bars())
        self._postgres = EmbeddedPostgres(self._state / "postgres")
        servers = [server for server in (self._kafka, self._postgres, api) if server]
        for server in servers:
            self._stack.callback(server.stop)
        with ThreadPoolExecutor(len(servers)) as pool:
            for start in [pool.submit(server.start) for server in servers]:
                start.result()
        self._settings = self._settings.model_copy(update={**self._found(), **(_films_of(api) if api else {})})
        logs.configure(self._settings)
        return 0

    def _found(self) -> dict[str, Any]:
        assert self._kafka
        assert self._postgres
        found: dict[str, Any] = {
            "kafka_bootstrap_servers": self._kafka.bootstrap_servers,
            "kafka_security_protocol": "PLAINTEXT",
            "kafka_replication_factor": 1,
            "database_url": SecretStr(self._postgres.dsn),
            "run_id": parts.run_id(self._settings),
        }
        if sys.stderr.isatty() and "log_level" not in self._settings.model_fields_set:
            found["log_level"] = "WARNING"
        return found

    def _is_live(self) -> bool:
        return self._data is None and bool(self._settings.tmdb_api_token or self._settings.tmdb_api_key)

    def _sample(self) -> "EmbeddedSampleApi":
        from movie_pipeline.embedded import EmbeddedSampleApi
        from movie_pipeline.sample_api import FileCatalogue

        if self._data:
            FileCatalogue(self._data)  # what cannot be read is said here, and not by a process that does not start
        return EmbeddedSampleApi(self._state / "sample-api", self._data)

    def _migrate(self) -> int:
        from movie_pipeline.wiring.database import migrate

        return migrate(self._settings)

    def _produce(self) -> int:
        from movie_pipeline.wiring.produce import produce

        return produce(self._settings, pages=POPULAR_PAGES)

    def _consume(self) -> int:
        from movie_pipeline.jobs.demo import require_report
        from movie_pipeline.wiring.consume import consume

        report = self._settings.output_dir / "report.html"
        before = _modified(report)
        code = consume(self._settings)
        if code == 0 and self._settings.analysis:
            require_report(before, _modified(report), report)
        return code

    def _ending(self) -> "Ending":
        from movie_pipeline.adapters.postgres import session
        from movie_pipeline.jobs.demo import Ending

        with session(self._settings.database_dsn()) as connection, connection.cursor() as cursor:
            rows = {}
            for table in TABLES:
                cursor.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - our own names
                rows[table] = (cursor.fetchone() or (0,))[0]
        output = self._settings.output_dir.absolute()
        batch = (output / "batch_latest").resolve()
        files = [
            path for path in (output / "report.html", output / "report.txt", *sorted(batch.glob("*"))) if path.exists()
        ]
        return Ending(rows, files, sum(1 for _ in output.glob("movie_*.json")))

    def _addresses(self) -> Any:
        from movie_pipeline.jobs.demo import Addresses

        assert self._kafka
        assert self._postgres
        return Addresses(self._kafka.bootstrap_servers, self._postgres.dsn)


def _films_of(api: "EmbeddedSampleApi") -> dict[str, Any]:
    return {
        "tmdb_api_url": api.url,
        "tmdb_export_url": api.export_url,
        # The limit is TMDB's; films from this machine need none.
        "tmdb_requests_per_second": SAMPLE_REQUESTS_PER_SECOND,
        "tmdb_threads": SAMPLE_THREADS,
        "tmdb_api_token": None,
        "tmdb_api_key": None,
    }


def _bars() -> Callable[[str, int, int], None]:
    """Return a progress callback that shows one display for each thing that is done."""
    from movie_pipeline.adapters.progress import progress

    shown: dict[str, Any] = {}

    def show(what: str, done: int, total: int) -> None:
        bar = shown.setdefault(what, None) or progress(what, total)
        shown[what] = bar
        if done:
            bar.advance()
        if done == total:
            bar.close()

    return show


def _modified(path: Path) -> int | None:
    return path.stat().st_mtime_ns if path.exists() else None


def _wait_for_interrupt() -> None:
    with suppress(KeyboardInterrupt):
        threading.Event().wait()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
