"""A real PostgreSQL server as a child process."""

import os
import secrets
import shutil
import signal
import subprocess
import time
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg2

from movie_pipeline.embedded.binaries import Binaries, find_binaries, within_reach
from movie_pipeline.embedded.places import (
    HOST,
    Progress,
    ServerUser,
    choose_port,
    make_folder,
    silent,
    unprivileged_user,
)
from movie_pipeline.embedded.process import Order, Server, last_words, locked, server_environment
from movie_pipeline.errors import DatabaseUnavailableError, OutputError

NAME = "movies"
# Root's data goes here when the directory asked for lies where the server's user may not go.
_ROOTS_FOLDER = Path("/var/lib/movie-pipeline")
_START_ATTEMPTS = 3
_POLL_SECONDS = 0.03
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


class EmbeddedPostgres:
    """A server on the loopback address, up between `with` and the end of its block.

    Everything it stores lies below `directory` (`data_directory` says where, since root's may have to lie elsewhere);
    the same directory gives the same data and password again. It has one role and one database, both named `movies`,
    UTF-8 with C collation, so sorting is the same on every machine. `port` 0 takes a free one. As root the server runs
    as `postgres` or `nobody`; no mode of any folder that exists is changed. Entering raises ConfigurationError (port
    taken, no PostgreSQL), StateConflictError (the directory is in use, or of another version), OutputError (it cannot be
    written) or DatabaseUnavailableError (the server does not get ready).
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        progress: Progress = silent,
        binaries: Binaries | None = None,
        ready_seconds: float = 60.0,
    ) -> None:
        self._asked_directory = Path(directory).absolute()
        self._wanted_port = port
        self._progress = progress
        self._binaries = binaries
        self._ready_seconds = ready_seconds
        self._server: Server | None = None
        self._password = ""
        self.port = port
        self.data_directory = self._asked_directory

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def dsn(self) -> str:
        """Return `postgresql://movies:PASSWORD@127.0.0.1:PORT/movies`, which drivers and psql accept."""
        return f"postgresql://{NAME}:{self._password}@{HOST}:{self.port}/{NAME}"

    @property
    def log_path(self) -> Path:
        """Return the file with the server's output."""
        return self.data_directory / "server.log"

    @property
    def pid(self) -> int | None:
        """Return the server's process id while it runs."""
        return self._server.pid if self._server else None

    def start(self) -> None:
        """Start the server, making its data directory first when there is none, and wait until it takes connections."""
        user = unprivileged_user()
        self.data_directory = _own_folder(self._asked_directory, user)
        with locked(self.data_directory) as lock:
            binaries = self._binaries or find_binaries(_stored_major(self.data_directory))
            binaries = within_reach(binaries, user, self.data_directory)
            self._password = _password(self.data_directory)
            if _stored_major(self.data_directory) is None:
                self._progress("Creating the database", 0, 1)
                _initialise(self.data_directory, binaries, user, lock)
                self._progress("Creating the database", 1, 1)
            # The lock proves that no process of this folder lives, so after a crash the number in this file is nobody's,
            # or by chance another process's, over which the server would stumble.
            (self.data_directory / "data" / "postmaster.pid").unlink(missing_ok=True)
        self._start_server(binaries, user)
        self._ensure_database()

    def stop(self) -> None:
        """Stop the server in order (connections are cut); nothing happens when it is down."""
        if self._server:
            self._server.stop()
            self._server = None

    def kill(self) -> None:
        """End the server as a crash would (SIGKILL)."""
        if self._server:
            self._server.kill()
            self._server = None

    def restart(self) -> None:
        """Bring the server back on the same directory and port, stopping it first when it is up."""
        self.stop()
        self.start()

    def _start_server(self, binaries: Binaries, user: ServerUser | None) -> None:
        for attempt in range(1, _START_ATTEMPTS + 1):
            self.port = choose_port(self.port or self._wanted_port, "PostgreSQL")
            if self._try_start(binaries, user):
                return
            if attempt == _START_ATTEMPTS or "Address already in use" not in self.log_path.read_text(errors="replace"):
                raise DatabaseUnavailableError(
                    f"the embedded PostgreSQL ended while starting: {last_words(self.log_path)} (whole log: {self.log_path})"
                )
            self.port = self._wanted_port

    def _try_start(self, binaries: Binaries, user: ServerUser | None) -> bool:
        """Return whether the server got ready; False when it ended by itself, DatabaseUnavailableError when time ran out."""
        settings = [
            part for name, value in {**_SETTINGS, "port": self.port}.items() for part in ("-c", f"{name}={value}")
        ]
        command = [binaries.program("postgres"), "-D", str(self.data_directory / "data"), *settings]
        server = Server(Order("PostgreSQL", command, self.data_directory, signal.SIGINT, user))
        try:
            ready = self._wait(server)
        except BaseException:
            server.stop()
            raise
        if ready:
            self._server = server
        else:
            server.stop()
        return ready

    def _wait(self, server: Server) -> bool:
        deadline = time.monotonic() + self._ready_seconds
        while server.is_running() and time.monotonic() < deadline:
            try:
                self._connect().close()
            except psycopg2.OperationalError:
                time.sleep(_POLL_SECONDS)
            else:
                return True
        if server.is_running():
            raise DatabaseUnavailableError(
                f"the embedded PostgreSQL is not ready after {self._ready_seconds:.0f} s: {last_words(self.log_path)} (whole log: {self.log_path})"
            )
        return False

    def _connect(self) -> "psycopg2.extensions.connection":
        return psycopg2.connect(
            host=HOST, port=self.port, user=NAME, password=self._password, dbname="postgres", connect_timeout=10
        )

    def _ensure_database(self) -> None:
        connection = self._connect()
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT FROM pg_database WHERE datname = %s", (NAME,))
                if cursor.fetchone() is None:
                    cursor.execute(f"CREATE DATABASE {NAME}")
        finally:
            connection.close()


def _own_folder(asked: Path, user: ServerUser | None) -> Path:
    """Return the folder to use, created, owned by and within reach of the server's user."""
    if user is None:
        return make_folder(asked, mode=0o700)
    make_folder(asked.parent)
    folder = (
        asked if user.can_reach(asked.parent) else _roots_folder() / f"postgres-{sha256(bytes(asked)).hexdigest()[:12]}"
    )
    make_folder(folder, mode=0o700)
    try:
        if not any(folder.iterdir()):
            os.chown(folder, user.uid, user.gid)
    except OSError as error:
        raise OutputError(
            f"cannot give {folder} to user {user.name}, whom PostgreSQL runs as: {error.strerror}; choose a folder on a local disk"
        ) from error
    if not user.can_reach(folder):
        raise OutputError(
            f"user {user.name}, whom PostgreSQL runs as, cannot enter {folder}; choose a new or empty folder, or run this as an ordinary user"
        )
    return folder


def _roots_folder() -> Path:
    if not _ROOTS_FOLDER.exists():
        make_folder(_ROOTS_FOLDER).chmod(0o755)
    return _ROOTS_FOLDER


def _stored_major(folder: Path) -> int | None:
    try:
        return int((folder / "data" / "PG_VERSION").read_text(encoding="ascii"))
    except FileNotFoundError:
        return None


def _password(folder: Path) -> str:
    path = folder / "password"
    if not path.exists():
        _write_private(path.with_suffix(".new"), secrets.token_urlsafe(24)).replace(path)
    return path.read_text(encoding="ascii")


def _write_private(path: Path, text: str) -> Path:
    path.unlink(missing_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror}; choose a folder with space that this user may write"
        ) from error
    return path


def _initialise(folder: Path, binaries: Binaries, user: ServerUser | None, lock: int) -> None:
    """Make the data directory; it is complete under its name or not there."""
    draft = folder / "data.new"
    if draft.exists():
        shutil.rmtree(draft)
    password = _write_private(folder / "password.initdb", _password(folder))
    identity: dict[str, Any] = {"user": user.uid, "group": user.gid, "extra_groups": []} if user else {}
    if user:
        os.chown(password, user.uid, user.gid)
    command = [binaries.program("initdb"), "-D", str(draft), "--username", NAME, "--pwfile", str(password)]
    command += ["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=server_environment(),
            capture_output=True,
            text=True,
            check=False,
            pass_fds=[lock],
            **identity,
        )
    finally:
        password.unlink()
    if done.returncode != 0:
        said = [
            line for line in done.stderr.splitlines() if "error" in line.lower() or "fatal" in line.lower()
        ] or done.stderr.splitlines()
        raise OutputError(
            f"cannot create a database in {folder}: {said[0] if said else 'initdb said nothing'}; choose a folder with 100 MB of space that this user may write"
        )
    draft.rename(folder / "data")
