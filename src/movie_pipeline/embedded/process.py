"""Child processes that end with the program, and the lock that keeps two programs out of one folder."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from movie_pipeline.embedded import supervisor
from movie_pipeline.embedded.places import ServerUser
from movie_pipeline.errors import OutputError, PipelineError, StateConflictError

_PASSED_ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_LOG_TAIL_BYTES = 16_384


@dataclass(frozen=True)
class Order:
    """What to run, where, as whom, and how to stop it."""

    name: str
    command: Sequence[str]
    folder: Path
    stop_signal: int
    user: ServerUser | None = None
    locale: str = "C"
    stop_seconds: float = 20.0
    """How long an ordered stop may take before the server is killed."""
    orphan_seconds: float = 10.0
    """The same when this program itself was killed."""

    @property
    def log_path(self) -> Path:
        """Return the file that takes the server's output; each start begins it anew."""
        return self.folder / "server.log"


class Server:
    """One running server, held by a supervisor process that stops it when this program ends in any way."""

    def __init__(self, order: Order, lock_wait_seconds: float = 30.0) -> None:
        """Start the server; StateConflictError when the folder stays in use, OutputError when it cannot be written."""
        self._order = order
        with locked(order.folder, lock_wait_seconds) as lock:
            self._supervisor = _spawn(order, lock)
        assert self._supervisor.stdout is not None
        with self._supervisor.stdout as answer:
            text = answer.read()
        if not text.strip():
            self.stop()
            raise PipelineError(
                f"{order.name} could not be run: {last_words(order.log_path)} (command {order.command[0]})"
            )
        self.pid = int(text)

    def is_running(self) -> bool:
        """Tell whether the server still runs."""
        return self._supervisor.poll() is None

    def stop(self) -> None:
        """Ask the server to stop, kill it after its grace, and return when it is gone. Safe to call twice."""
        lifeline = self._supervisor.stdin
        assert lifeline is not None
        lifeline.close()
        self._supervisor.wait(self._order.stop_seconds + 10.0)

    def kill(self) -> None:
        """End the server at once, as a crash would (SIGKILL)."""
        if self.is_running():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.stop()


def server_environment(locale: str = "C") -> dict[str, str]:
    """Return the few variables that a server needs: no setting or secret of ours leaks into it."""
    return {name: os.environ[name] for name in _PASSED_ENVIRONMENT if name in os.environ} | {"LC_ALL": locale}


def last_words(log: Path) -> str:
    """Return what a server's log says about its end: the last line that names an error, else the last one."""
    try:
        text = log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
    except OSError as error:
        return str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("at ")]
    telling = [line for line in lines if any(word in line for word in ("FATAL", "ERROR", "Exception", "rror:"))]
    return (telling or lines or ["it said nothing"])[-1]


def _spawn(order: Order, lock: int) -> subprocess.Popen[str]:
    wish = {
        "command": [str(part) for part in order.command],
        "cwd": str(order.folder),
        "environment": server_environment(order.locale),
        "user": order.user.uid if order.user else None,
        "group": order.user.gid if order.user else None,
        "stop_signal": int(order.stop_signal),
        "stop_seconds": order.stop_seconds,
        "orphan_seconds": order.orphan_seconds,
        "parent": os.getpid(),
        "keep_open": [lock],
    }
    log = _open(order.log_path, os.O_WRONLY | os.O_TRUNC)
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", supervisor.__file__, json.dumps(wish)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            pass_fds=[lock],
            start_new_session=True,
        )
    finally:
        os.close(log)


@contextmanager
def locked(folder: Path, wait_seconds: float = 30.0) -> Iterator[int]:
    """Hold the folder's lock within the block and give its descriptor; StateConflictError when another keeps it.

    A server inherits the descriptor, and so do its own children: the folder stays locked as long as one of them lives,
    also when the program that started them was killed a moment ago. Then this waits for them to end.
    """
    descriptor = _open(folder / "lock", os.O_RDWR)
    try:
        _wait_for_lock(descriptor, folder, wait_seconds)
        yield descriptor
    finally:
        os.close(descriptor)


def _wait_for_lock(descriptor: int, folder: Path, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise StateConflictError(
                    f"{folder} is in use by another program; end that one, or choose another folder"
                ) from None
            time.sleep(0.05)
        else:
            return


def _open(path: Path, flags: int) -> int:
    """Open a file of the folder for writing; never through a link, since the folder may belong to a lesser user."""
    try:
        return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror}; choose a folder with space that this user may write"
        ) from error
