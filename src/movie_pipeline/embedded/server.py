"""What both embedded servers have in common: a folder, a port, a start that waits, and an end in order or by force."""

import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from movie_pipeline.embedded.places import HOST, Progress, choose_port, silent
from movie_pipeline.embedded.process import Order, Server, last_words
from movie_pipeline.errors import RetryLaterError

_START_ATTEMPTS = 3
_POLL_SECONDS = 0.03


class EmbeddedServer(ABC):
    """A server on the loopback address, up between `with` and the end of its block, and never for longer than it."""

    name: ClassVar[str]
    unavailable: ClassVar[type[RetryLaterError]]

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        progress: Progress = silent,
        ready_seconds: float = 120.0,
    ) -> None:
        self.directory = Path(directory).absolute()
        self.port = port
        self._wanted_port = port
        self._progress = progress
        self._ready_seconds = ready_seconds
        self._server: Server | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """Return host:port."""
        return f"{HOST}:{self.port}"

    @property
    def log_path(self) -> Path:
        """Return the file with the server's output since its last start."""
        return self.directory / "server.log"

    @property
    def pid(self) -> int | None:
        """Return the server's process id while it is up."""
        return self._server.pid if self._server else None

    def start(self) -> None:
        """Start the server on its directory and wait until it answers a request."""
        self._prepare()
        for attempt in range(1, _START_ATTEMPTS + 1):
            self.port = choose_port(self.port or self._wanted_port, self.name)
            if self._try_start():
                return
            # A port that was free a moment ago may be taken by the time the server binds it: then another is tried.
            if attempt == _START_ATTEMPTS or "Address already in use" not in self.log_path.read_text(errors="replace"):
                raise self._failure("ended while starting")
            self.port = self._wanted_port

    def stop(self) -> None:
        """Stop the server in order; nothing happens when it is down."""
        if self._server:
            self._server.stop()
            self._server = None

    def kill(self) -> None:
        """End the server as a crash would (SIGKILL); `start` brings it back."""
        if self._server:
            self._server.kill()
            self._server = None

    def restart(self) -> None:
        """Bring the server back on the same directory and port, stopping it first when it is up."""
        self.stop()
        self.start()

    @abstractmethod
    def _prepare(self) -> None:
        """Make everything that a start needs; done once for each `start`."""

    @abstractmethod
    def _order(self) -> Order:
        """Return the command for the present port."""

    @abstractmethod
    def _answers(self, seconds: float) -> bool:
        """Tell whether the server answers a request within about that time."""

    def _try_start(self) -> bool:
        """Return whether the server got ready; False when it ended by itself."""
        server = Server(self._order())
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
        while server.is_running():
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise self._failure(f"is not ready after {self._ready_seconds:.0f} s")
            if self._answers(remaining):
                return True
            time.sleep(_POLL_SECONDS)
        return False

    def _failure(self, what: str) -> RetryLaterError:
        return self.unavailable(
            f"the embedded {self.name} {what}: {last_words(self.log_path)} (its whole log is {self.log_path})"
        )
