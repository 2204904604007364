"""HTTP side of the sample API: a threaded server of the standard library with keep-alive, gzip and faults.

The request parser is a dozen lines of its own because the library's takes longer than all the rest of an answer.
"""

import gzip
import http
import socket
import socketserver
import threading
import time
from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from io import BufferedIOBase
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import parse_qsl, urlsplit

import orjson

from movie_pipeline.errors import ConfigurationError
from movie_pipeline.sample_api import bodies
from movie_pipeline.sample_api.answers import Answers, pack
from movie_pipeline.sample_api.catalogue import Catalogue, FileCatalogue, packaged
from movie_pipeline.sample_api.faults import Dice, Faults, RateWindow

SERVER_NAME = "movie-pipeline-sample-api"
"""`Server` header by which a producer knows that its films are the sample's."""
JSON, GZIP_FILE, HTML = "application/json;charset=utf-8", "application/gzip", "text/html"
EXPORTS, API, COUNTS = "/p/exports/", "/3", "/_counts"
CDN_429 = b"<html><body><h1>429 Too Many Requests</h1></body></html>"


class Request(NamedTuple):
    """One request as it came in; header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


class Reply(NamedTuple):
    """One answer; the body is gzip when `packed`."""

    status: int
    body: bytes
    kind: str = JSON
    packed: bool = False
    headers: Sequence[tuple[str, str]] = ()


class Counts:
    """What the server has seen, for tests and measurements."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.connections = 0
        self.paths: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.films: Counter[int] = Counter()
        self.fetched = 0
        self.recent: deque[Request] = deque(maxlen=1_000)
        self.first_film_at = self.last_film_at = 0.0

    def connected(self) -> None:
        """Count one connection."""
        with self._lock:
            self.connections += 1

    def answered(self, request: Request, status: int, film_id: int | None) -> None:
        """Count one answer; details that succeed are counted by film."""
        with self._lock:
            self.recent.append(request)
            self.statuses[status] += 1
            self.paths["/3/movie/{id}" if film_id is not None else request.path] += 1
            if film_id is not None and status == http.HTTPStatus.OK:
                self.films[film_id] += 1
                self.fetched += 1
                self.last_film_at = time.monotonic()
                self.first_film_at = self.first_film_at or self.last_film_at

    def summary(self) -> dict[str, object]:
        """Return the figures as JSON-ready values."""
        with self._lock:
            films = {"fetched": self.fetched, "distinct": len(self.films)}
            films["milliseconds"] = round((self.last_film_at - self.first_film_at) * 1_000)
            return {
                "connections": self.connections,
                "statuses": {str(k): v for k, v in self.statuses.items()},
                "paths": dict(self.paths),
                "films": films,
            }


class SampleApi:
    """Serve films as TMDB API v3 while the block runs: `with SampleApi() as api: ... api.url`.

    `data` is a file of the sample's shape (plain or gzip), a Catalogue, or None for the packaged films. Any token or
    key that is not blank is taken, unless `accepted` names the right ones. `faults` may be replaced at any time.
    """

    def __init__(
        self,
        data: Path | Catalogue | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        faults: Faults | None = None,
        accepted: Collection[str] = (),
        changes: Mapping[date, Sequence[int]] | None = None,
    ) -> None:
        catalogue = packaged() if data is None else FileCatalogue(data) if isinstance(data, Path) else data
        self.faults = faults or Faults()
        self.counts = Counts()
        self.answers = Answers(catalogue, changes)
        self._accepted = frozenset(accepted)
        self._window = RateWindow()
        self._dice = Dice(self.faults.seed)
        self._failed = self._cut = 0
        self._lock = threading.Lock()
        try:
            self._server = _Server((host, port), self)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigurationError(
                f"sample API cannot listen on {host}:{port}: {reason}; choose another port"
            ) from None
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="sample-api", daemon=True)

    @property
    def base(self) -> str:
        """Address without path."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def url(self) -> str:
        """Base address of the API, ending in /3."""
        return self.base + API

    @property
    def export_url(self) -> str:
        """Folder of the daily exports."""
        return self.base + EXPORTS.rstrip("/")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.close_connections()
        self._server.server_close()
        self._thread.join()

    def wait(self) -> None:
        """Block until the server is stopped from another thread or by an exception (Ctrl-C)."""
        self._thread.join()

    def reply(self, request: Request) -> Reply:
        """Return the answer to one request, faults included, and count it."""
        path = request.path.removeprefix(API) if request.path.startswith(API + "/") else None
        if request.path == COUNTS:
            return Reply(200, orjson.dumps(self.counts.summary()))
        film_id = self.answers.film_id(path) if path else None
        reply = self._export(request) if request.path.startswith(EXPORTS) else self._api(request, path, film_id)
        self.counts.answered(request, reply.status, film_id)
        return reply

    def cuts(self) -> bool:
        """Tell whether this answer is to be cut."""
        with self._lock:
            self._cut += 1
            return self._cut <= self.faults.cut_first or self._dice.hit(self.faults.cut_rate)

    def _api(self, request: Request, path: str | None, film_id: int | None) -> Reply:
        refused = self._refuse(request)
        if self.faults.latency_seconds:
            time.sleep(self.faults.latency_seconds)
        if refused:
            return refused
        if film_id is not None and self.faults.redirect_to:
            return Reply(302, b"", headers=[("Location", f"{self.faults.redirect_to}{request.path}")])
        status, body = self.answers.packed(path or "", request.query, self.faults)
        return Reply(status, body, packed=True)

    def _refuse(self, request: Request) -> Reply | None:
        over = self._window.admit(self.faults.rate_limit, self.faults.rate_window_seconds)
        if over:
            return self._over_limit(*over)
        if request.method not in {"GET", "HEAD"}:
            return _error(4)
        if not self._authorized(request):
            return _error(7)
        with self._lock:
            self._failed += 1
            fails = self._failed <= self.faults.fail_first
        if fails or self._dice.hit(self.faults.error_rate):
            status = self.faults.error_statuses[0] if fails else self._dice.pick(self.faults.error_statuses)
            return _error(bodies.CODE_OF_STATUS.get(status, 11), status)
        return None

    def _authorized(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else request.query.get("api_key", "").strip()
        return given in self._accepted if self._accepted else bool(given)

    def _over_limit(self, count: int, left_seconds: float) -> Reply:
        headers = {
            "window": [("Retry-After", str(max(1, -int(-left_seconds // 1))))],
            "zero": [("Retry-After", "0")],
            "date": [
                ("Retry-After", format_datetime(datetime.now(UTC) + timedelta(seconds=left_seconds + 1), usegmt=True))
            ],
            "absent": [],
        }[self.faults.retry_after]
        if self.faults.plain_429:
            return Reply(429, CDN_429, HTML, headers=headers)
        message = f"Your request count ({count}) is over the allowed limit of {self.faults.rate_limit}."
        return Reply(self.faults.code_25_status, pack(bodies.error(25, message)[1]), packed=True, headers=headers)

    def _export(self, request: Request) -> Reply:
        content = self.answers.export(request.path.removeprefix(EXPORTS), self.faults)
        return (
            Reply(200, content, GZIP_FILE)
            if content is not None
            else Reply(404, b"<Error><Code>NoSuchKey</Code></Error>", "application/xml")
        )


def _error(code: int, status: int | None = None) -> Reply:
    usual, body = bodies.error(code)
    return Reply(status or usual, pack(body), packed=True)


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], api: SampleApi) -> None:
        self.api = api
        self._open: dict[socket.socket, threading.Thread] = {}
        super().__init__(address, _Connection)

    def opened(self, connection: socket.socket) -> None:
        self.api.counts.connected()
        self._open[connection] = threading.current_thread()

    def closed(self, connection: socket.socket) -> None:
        self._open.pop(connection, None)

    def close_connections(self) -> None:
        for connection, thread in list(self._open.items()):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                self.closed(connection)  # the client was faster
            thread.join(timeout=5)

    def handle_error(self, _request: object, _address: object) -> None:
        """Say nothing: a client that hangs up is no event."""


class _Connection(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    server: _Server

    def handle(self) -> None:
        """Answer requests until the connection ends."""
        self.server.opened(self.connection)
        try:
            while self._one():
                pass
        except (ConnectionError, TimeoutError):
            return  # the client hung up, or the server is being stopped
        finally:
            self.server.closed(self.connection)

    def _one(self) -> bool:
        request = _read(self.rfile)
        if request is None:
            return False
        api = self.server.api
        reply = api.reply(request)
        keep = request.headers.get("connection", "").lower() != "close" and request.method in {"GET", "HEAD"}
        head, body = _render(request, reply, keep)
        if body and request.path != COUNTS and api.cuts():
            self.wfile.write(head + body[: len(body) // 2])
            return False
        self.wfile.write(head if request.method == "HEAD" else head + body)
        return keep


def _read(stream: BufferedIOBase) -> Request | None:
    line = stream.readline(65_537)
    parts = line.decode("latin-1").split()
    if len(parts) != 3:  # noqa: PLR2004 - method, target, version
        return None
    headers = {}
    while (line := stream.readline(65_537)) not in {b"\r\n", b"\n", b""}:
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    target = urlsplit(parts[1])
    return Request(parts[0], target.path, dict(parse_qsl(target.query)), headers)


def _render(request: Request, reply: Reply, keep: bool) -> tuple[bytes, bytes]:
    body, coding = reply.body, ""
    if reply.packed and "gzip" in request.headers.get("accept-encoding", ""):
        coding = "Content-Encoding: gzip\r\n"
    elif reply.packed:
        body = gzip.decompress(body)
    extra = "".join(f"{name}: {value}\r\n" for name, value in reply.headers)
    status = f"HTTP/1.1 {reply.status} {http.HTTPStatus(reply.status).phrase}\r\nServer: {SERVER_NAME}\r\n"
    length = f"Content-Type: {reply.kind}\r\nContent-Length: {len(body)}\r\nVary: accept-encoding\r\n"
    end = f"Connection: {'keep-alive' if keep else 'close'}\r\n\r\n"
    return f"{status}{length}{coding}{extra}{end}".encode("latin-1"), body
