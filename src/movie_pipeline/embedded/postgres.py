"""A real PostgreSQL server as a child process."""

import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2

from movie_pipeline.embedded.binaries import Binaries, find_binaries, within_reach
from movie_pipeline.embedded.datadir import ROLE, initialise, own_folder, stored_major, stored_password
from movie_pipeline.embedded.places import HOST, Progress, silent, unprivileged_user
from movie_pipeline.embedded.process import Order, locked
from movie_pipeline.embedded.server import EmbeddedServer
from movie_pipeline.errors import DatabaseUnavailableError

DATABASE = "movies"
_SETTINGS = {
    "listen_addresses": HOST,
    # A socket's path may be 107 bytes long, which a deep folder exceeds; TCP on the loopback needs none.
    "unix_socket_directories": "",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "max_connections": "100",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
}


class EmbeddedPostgres(EmbeddedServer):
    """A server on the loopback address, up between `with` and the end of its block.

    Everything it stores lies below `directory`, and the same directory gives the same data and password again. (Root's
    data lies below /var/lib/movie-pipeline when the server's user cannot get into the directory asked for; then the
    attribute `directory` says where.) There is one role and one database, both named `movies`, UTF-8 with C collation,
    so sorting is the same on every machine. `port` 0 takes a free one. As root the server runs as `postgres` or
    `nobody`, and no mode of any folder that exists is changed.

    Entering raises ConfigurationError (port taken, no PostgreSQL), StateConflictError (the directory is in use, or of
    another version), OutputError (it cannot be written) or DatabaseUnavailableError (the server does not get ready).
    """

    name = "PostgreSQL"
    unavailable = DatabaseUnavailableError

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        progress: Progress = silent,
        ready_seconds: float = 120.0,
        binaries: Binaries | None = None,
    ) -> None:
        super().__init__(directory, port=port, progress=progress, ready_seconds=ready_seconds)
        self._wanted_binaries = binaries
        self._asked_directory = self.directory

    @property
    def dsn(self) -> str:
        """Return `postgresql://movies:PASSWORD@127.0.0.1:PORT/movies`, which drivers and psql accept."""
        return f"postgresql://{ROLE}:{self._password}@{self.address}/{DATABASE}"

    def start(self) -> None:
        """Start the server on its directory, wait until it takes connections, and make its database when new."""
        super().start()
        self._ensure_database()

    def _prepare(self) -> None:
        self._user = unprivileged_user()
        self.directory = own_folder(self._asked_directory, self._user)
        with locked(self.directory) as lock:
            binaries = self._wanted_binaries or find_binaries(stored_major(self.directory))
            self._binaries = within_reach(binaries, self._user, self.directory)
            self._password = stored_password(self.directory)
            if stored_major(self.directory) is None:
                self._progress("Creating the database", 0, 1)
                initialise(self.directory, self._binaries, self._user, lock)
                self._progress("Creating the database", 1, 1)
            # The lock proves that no process of this folder lives. After a crash the number in this file is nobody's,
            # or by chance another process's, over which the server would stumble.
            (self.directory / "data" / "postmaster.pid").unlink(missing_ok=True)

    def _order(self) -> Order:
        settings = {**_SETTINGS, "port": self.port}
        command = [self._binaries.program("postgres"), "-D", str(self.directory / "data")]
        command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        # SIGINT is PostgreSQL's fast shutdown: sessions are cut, nothing that was committed is lost.
        return Order("PostgreSQL", command, self.directory, signal.SIGINT, self._user)

    def _answers(self, seconds: float) -> bool:
        try:
            self._connect(max(1, int(seconds))).close()
        except psycopg2.OperationalError:
            return False
        return True

    def _connect(self, timeout_seconds: int = 10) -> Any:
        return psycopg2.connect(
            host=HOST,
            port=self.port,
            user=ROLE,
            password=self._password,
            dbname="postgres",
            connect_timeout=timeout_seconds,
        )

    def _ensure_database(self) -> None:
        with closing(self._connect()) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,))
                if cursor.fetchone() is None:
                    cursor.execute(f"CREATE DATABASE {DATABASE}")
