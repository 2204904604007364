"""The small HTTP server of a long-running process: metrics for Prometheus, probes for Kubernetes."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from movie_pipeline.errors import ConfigurationError


class HealthServer:
    """Serves /metrics, /healthz (the process answers) and /readyz (it can work) until closed."""

    def __init__(self, host: str, port: int, *, ready: Callable[[], bool]) -> None:
        try:
            self._server = ThreadingHTTPServer((host, port), _handler(ready))
        except OSError as error:
            raise ConfigurationError(f"METRICS_PORT={port}: {error.strerror}; choose a free port") from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    @property
    def port(self) -> int:
        """The port in use, also when 0 was asked for."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(ready: Callable[[], bool]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = self._answer()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _answer(self) -> tuple[int, str, bytes]:
            if self.path == "/metrics":
                return 200, CONTENT_TYPE_LATEST, generate_latest()
            if self.path == "/healthz":
                return 200, "text/plain", b"alive\n"
            if self.path == "/readyz":
                return (200, "text/plain", b"ready\n") if ready() else (503, "text/plain", b"not ready\n")
            return 404, "text/plain", b"paths: /metrics /healthz /readyz\n"

        def log_message(self, *_: Any) -> None:
            """Keep probes out of the log."""

    return Handler
