"""The sample API as a child process: who reads films from it has a core for itself."""

import http.client
import signal
import sys
from contextlib import closing
from pathlib import Path

from movie_pipeline.embedded.places import HOST, make_folder
from movie_pipeline.embedded.process import Order
from movie_pipeline.embedded.server import EmbeddedServer
from movie_pipeline.errors import SourceUnavailableError


class EmbeddedSampleApi(EmbeddedServer):
    """TMDB's API over the packaged sample, or over the films of `data`, up between `with` and the end of its block.

    `directory` takes its log. Entering raises ConfigurationError (port taken), OutputError (the directory cannot be
    written) or SourceUnavailableError (it does not get ready; `data` that is no file of films is one reason).
    """

    name = "sample API"
    unavailable = SourceUnavailableError

    def __init__(self, directory: Path, data: Path | None = None, *, port: int = 0) -> None:
        super().__init__(directory, port=port)
        self._data = data.absolute() if data else None

    @property
    def url(self) -> str:
        """Base address of the API, ending in /3."""
        return f"http://{self.address}/3"

    @property
    def export_url(self) -> str:
        """Folder of the daily exports."""
        return f"http://{self.address}/p/exports"

    def _prepare(self) -> None:
        make_folder(self.directory)

    def _order(self) -> Order:
        command = [sys.executable, "-m", "movie_pipeline.cli", "sample-api", "--host", HOST, "--port", str(self.port)]
        command += ["--data", str(self._data)] if self._data else []
        return Order(self.name, command, self.directory, signal.SIGTERM)

    def _answers(self, seconds: float) -> bool:
        with closing(http.client.HTTPConnection(HOST, self.port, timeout=max(1.0, seconds))) as connection:
            try:
                connection.request("GET", "/3/configuration")
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                return False
        return True
