"""Serve the artifacts read-only, with the report as front page."""

import http.server
import os
import signal
import sys
from pathlib import Path

ROOT = Path("/data/movie_analytics")
PORT = 8080
WAITING = (
    b"<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=10><title>movie-pipeline</title>"
    b"<p>The report appears here after the first analysed batch. <a href=/files/>Files so far</a>"
)


class Artifacts(http.server.SimpleHTTPRequestHandler):
    """`/` is the report, `/files/` the folder, `/healthz` says that the volume is there."""

    server_version = "movie-pipeline-artifacts"
    sys_version = ""

    def __init__(self, *args: object) -> None:
        super().__init__(*args, directory=str(ROOT))  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Answer the front page and the probe here, files by the library."""
        path = self.path.partition("?")[0]
        if path == "/healthz":
            self.answer(200 if os.access(ROOT.parent, os.R_OK) else 503, b"ok\n", "text/plain")
        elif path == "/" and not (ROOT / "report.html").is_file():
            self.answer(200, WAITING, "text/html; charset=utf-8")
        else:
            super().do_GET()

    def translate_path(self, path: str) -> str:
        """Map `/` to the report and `/files/...` below the volume; dot files stay hidden."""
        clean = path.partition("?")[0]
        if clean == "/":
            return str(ROOT / "report.html")
        if any(part.startswith(".") for part in clean.split("/")):
            return str(ROOT / "no such file")
        return super().translate_path(path.removeprefix("/files"))

    def answer(self, status: int, body: bytes, kind: str) -> None:
        """Send one small body."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def end_headers(self) -> None:
        """Keep browsers from guessing types and from running what a file brings along."""
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Say nothing of probes; errors are logged by the library."""


# The first process of a container gets no default action for SIGTERM.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
http.server.ThreadingHTTPServer(("0.0.0.0", PORT), Artifacts).serve_forever()  # noqa: S104 - a pod's port
