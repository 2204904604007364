"""TMDB API v3 as a source of films: authentication, retries, paging, windows of changes, daily exports.

The token travels in a header, the key (when there is no token) in the query; neither ever reaches a message of ours:
errors name the path, and what a library says is masked. Redirects are not followed, so no other host sees them.
"""

import gzip
import os
import random
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import IO, Any
from urllib.parse import quote, quote_plus, urlencode, urlsplit

import orjson
import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from movie_pipeline import __version__, logs, metrics
from movie_pipeline.adapters.rate import Limiter
from movie_pipeline.errors import (
    ConfigurationError,
    FilmNotFoundError,
    InvalidKeyError,
    SourceUnavailableError,
)
from movie_pipeline.messages import MAX_ID, SOURCE_SAMPLE, SOURCE_TMDB

log = logs.get(__name__)

LAST_PAGE = 500
WINDOW = timedelta(days=13)
"""First to last day of a request for changes; TMDB refuses more than fourteen days."""
EXPORT_DAYS_BACK = 10
EXPORT_ATTEMPTS = 3
FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 0.5, 30.0
EXAMPLE_URL = "https://api.themoviedb.org/3"
MOST_CONNECTIONS = 64
SAMPLE_SERVER = "movie-pipeline-sample-api"
OVER_LIMIT, NOT_FOUND = 25, frozenset({6, 34})
"""TMDB's own codes: over the request limit; no such resource."""


class _TryAgainError(Exception):
    """An answer that may be better next time; `wait_seconds` is what the service asked for."""

    def __init__(self, reason: str, wait_seconds: float | None = None, *, over_limit: bool = False) -> None:
        super().__init__(reason)
        self.wait_seconds, self.over_limit = wait_seconds, over_limit


class TmdbSource:
    """Films from TMDB; see `ports.FilmSource`. Threads may share one instance.

    One request is tried `attempts` times and for `retry_seconds` at most, then SourceUnavailableError tells why.
    """

    def __init__(
        self,
        *,
        api_url: str,
        export_url: str,
        limiter: Limiter,
        token: str | None = None,
        key: str | None = None,
        language: str = "en-US",
        region: str | None = None,
        timeout_seconds: float = 20.0,
        attempts: int = 6,
        retry_seconds: float = 120.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not (token or key):
            raise ConfigurationError(
                "TMDB_API_TOKEN and TMDB_API_KEY are both empty: set one of them, or point TMDB_API_URL at"
                " `movie-pipeline sample-api`"
            )
        if urlsplit(api_url).scheme not in {"http", "https"} or not urlsplit(api_url).hostname:
            raise ConfigurationError(f"TMDB_API_URL={api_url!r}: an address is required, e.g. {EXAMPLE_URL}")
        self._api_url, self._export_url = api_url.rstrip("/"), export_url.rstrip("/")
        self._limiter, self._language, self._region = limiter, language, region
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._query = {} if token else {"api_key": key or ""}
        self._setting = "TMDB_API_TOKEN" if token else "TMDB_API_KEY"
        self._secrets = sorted(_spellings(token) | _spellings(key), key=len, reverse=True)
        self._timeout, self._attempts, self._retry_seconds = timeout_seconds, attempts, retry_seconds
        self._clock, self._sleep = clock, sleep
        self._session = _session(api_url)
        # Copied for each request: preparing one anew would take a quarter of its cost.
        self._request = self._session.prepare_request(requests.Request("GET", self._api_url, headers=headers))
        self._server = ""

    def check(self) -> None:
        """Prove that the service answers and takes the key; InvalidKeyError or SourceUnavailableError otherwise."""
        self._get("/authentication", {})

    def origin(self) -> str:
        """Return `sample` when the answers so far came from the sample API, else `tmdb`."""
        return SOURCE_SAMPLE if self._server.startswith(SAMPLE_SERVER) else SOURCE_TMDB

    def popular_ids(self, page: int) -> tuple[list[int], int]:
        """Return the ids of one page (1 to 500) of the popular list, and the number of pages that can be had."""
        region = {"region": self._region} if self._region else {}
        body = self._get("/movie/popular", {"language": self._language, "page": str(page), **region})
        return _ids(body), min(int(body.get("total_pages") or 1), LAST_PAGE)

    def changed_ids(self, since: date, until: date) -> Iterator[int]:
        """Yield each id that changed in [since, until] once; entries without id are passed over.

        Windows overlap by a day, as nothing says whether TMDB counts the last one in; a window with more pages than
        TMDB gives out is halved.
        """
        seen: set[int] = set()
        while True:
            end = min(since + WINDOW, until)
            for movie_id in self._window(since, end):
                if movie_id not in seen:
                    seen.add(movie_id)
                    yield movie_id
            if end >= until:
                return
            since = end

    def exported_ids(self, on: date) -> Iterator[int]:
        """Yield the ids of the newest whole export not after `on`; SourceUnavailableError when ten days have none."""
        for back in range(EXPORT_DAYS_BACK):
            day = on - timedelta(days=back)
            with tempfile.TemporaryFile() as file:
                if self._export(day, file):
                    log.info("daily export", day=day.isoformat(), megabytes=round(file.tell() / 1e6, 1))
                    yield from _exported(file)
                    return
        raise SourceUnavailableError(
            f"no daily export at {self._export_url} for {on} and the {EXPORT_DAYS_BACK - 1} days before it;"
            " check TMDB_EXPORT_URL"
        )

    def details(self, movie_id: int) -> dict[str, Any]:
        """Return a film with its credits in one request; FilmNotFoundError when TMDB has none."""
        query = {"append_to_response": "credits", "language": self._language}
        body = self._get(f"/movie/{movie_id}", query)
        if body.get("id") != movie_id:
            raise SourceUnavailableError(f"TMDB answered film {body.get('id')!r} where {movie_id} was asked for")
        metrics.FILMS_FETCHED.inc()
        return body

    def close(self) -> None:
        """Close the connections and the limiter."""
        self._limiter.close()
        self._session.close()

    def _window(self, since: date, until: date) -> Iterator[int]:
        page, pages = 1, 1
        while page <= pages:
            query = {"start_date": since.isoformat(), "end_date": until.isoformat(), "page": str(page)}
            body = self._get("/movie/changes", query)
            pages = int(body.get("total_pages") or 1)
            if pages > LAST_PAGE and until > since:
                middle = since + (until - since) // 2
                yield from self._window(since, middle)
                yield from self._window(max(middle, since + timedelta(days=1)), until)
                return
            yield from _ids(body)
            page += 1

    def _get(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        deadline = self._clock() + self._retry_seconds
        attempt = 0
        while True:
            attempt += 1
            self._limiter.acquire()
            try:
                return self._once(path, query)
            except _TryAgainError as error:
                wait = error.wait_seconds or _backoff_seconds(attempt)
                if error.over_limit:
                    self._limiter.pause(wait)
                if attempt >= self._attempts or self._clock() + wait > deadline:
                    raise SourceUnavailableError(
                        f"TMDB gave no usable answer to {path} in {attempt} attempts: {error};"
                        " it is asked again in the next run (TMDB_RETRY_ATTEMPTS, TMDB_RETRY_SECONDS)"
                    ) from None
                log.debug("tmdb retry", path=path, attempt=attempt, wait_seconds=round(wait, 2), reason=str(error))
                self._sleep(wait)

    def _once(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        address = f"{self._api_url}{path}?{urlencode({**query, **self._query})}"
        request = self._request.copy()
        request.url = address
        try:
            answer = self._session.send(request, timeout=self._timeout, allow_redirects=False)
        except requests.RequestException as error:
            metrics.REQUESTS.labels("none").inc()
            raise _TryAgainError(f"{type(error).__name__}: {self._masked(error)}") from None
        metrics.REQUESTS.labels(str(answer.status_code)).inc()
        self._server = answer.headers.get("Server", "")
        return self._read(path, answer)

    def _read(self, path: str, answer: requests.Response) -> dict[str, Any]:
        status = answer.status_code
        try:
            body = orjson.loads(answer.content)
        except orjson.JSONDecodeError:
            body = None
        told = body if isinstance(body, dict) else {}
        code, text = told.get("status_code"), self._masked(told.get("status_message") or told.get("errors") or "")
        if status == HTTPStatus.OK and isinstance(body, dict) and told.get("success", True):
            return body
        said = f"HTTP {status}" + (f", code {code}: {text}" if code else f": {text}" if text else "")
        if status == HTTPStatus.TOO_MANY_REQUESTS or code == OVER_LIMIT:
            raise _TryAgainError(said, _retry_after_seconds(answer.headers.get("Retry-After")), over_limit=True)
        if status == HTTPStatus.UNAUTHORIZED or (status == HTTPStatus.FORBIDDEN and code):
            raise InvalidKeyError(f"TMDB refuses {self._setting} ({said}); set a valid one")
        if status == HTTPStatus.NOT_FOUND and code in NOT_FOUND:
            raise self._not_found(path, said)
        if answer.is_redirect:
            host = urlsplit(answer.headers["Location"]).netloc
            raise _TryAgainError(f"redirected to {host or 'another path'}, which is not followed; check TMDB_API_URL")
        if code and HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise SourceUnavailableError(f"TMDB refuses {path} ({said})")
        raise _TryAgainError(said, _retry_after_seconds(answer.headers.get("Retry-After")))

    def _not_found(self, path: str, said: str) -> Exception:
        if path.startswith("/movie/") and path.removeprefix("/movie/").isdigit():
            return FilmNotFoundError(f"TMDB has no film {path.removeprefix('/movie/')} ({said})")
        return ConfigurationError(f"TMDB_API_URL={self._api_url}: no {path} there ({said}); the address ends in /3")

    def _masked(self, said: object) -> str:
        return logs.redact(str(said), self._secrets)

    def _export(self, day: date, file: IO[bytes]) -> bool:
        """Fetch one export; False when that day has none, or none that is whole."""
        name = f"movie_ids_{day:%m_%d_%Y}.json.gz"
        for attempt in range(1, EXPORT_ATTEMPTS + 1):
            file.seek(0)
            file.truncate()
            try:
                found = _download(f"{self._export_url}/{name}", file, self._timeout)
            except (requests.RequestException, EOFError, gzip.BadGzipFile, zlib.error) as error:
                log.warning("daily export damaged or cut", file=name, attempt=attempt, reason=type(error).__name__)
                self._sleep(_backoff_seconds(attempt))
            else:
                return found
        return False


def _spellings(secret: str | None) -> set[str]:
    """Return a secret as it may stand in a library's message: plain, or escaped in an address."""
    return {secret, quote(secret, safe=""), quote_plus(secret)} if secret else set()


def _session(url: str) -> requests.Session:
    """Return a session for one host that reads the environment once, not at each request, and never a netrc file.

    It has as many connections as there are requests at once: TMDB allows twenty.
    """
    session = requests.Session()
    session.headers["User-Agent"] = f"movie-pipeline/{__version__}"
    session.proxies = get_environ_proxies(url)
    session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    session.trust_env = False
    session.mount(url, HTTPAdapter(pool_connections=1, pool_maxsize=MOST_CONNECTIONS))
    return session


def _download(url: str, file: IO[bytes], timeout_seconds: float) -> bool:
    with _session(url) as session, session.get(url, stream=True, timeout=timeout_seconds) as answer:
        if answer.status_code in {HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN}:
            return False
        answer.raise_for_status()
        for chunk in answer.raw.stream(1 << 16, decode_content=False):
            file.write(chunk)
    file.seek(0)
    with gzip.open(file) as unpacked:
        while unpacked.read(1 << 20):
            pass
    return True


def _exported(file: IO[bytes]) -> Iterator[int]:
    file.seek(0)
    without_id = 0
    with gzip.open(file) as lines:
        for line in lines:
            try:
                movie_id = _id(orjson.loads(line))
            except orjson.JSONDecodeError:
                movie_id = None
            if movie_id:
                yield movie_id
            else:
                without_id += 1
    if without_id:
        log.warning("lines of the daily export without an id", lines=without_id)


def _ids(body: Mapping[str, Any]) -> list[int]:
    return [movie_id for movie_id in map(_id, body.get("results") or ()) if movie_id]


def _id(row: Any) -> int | None:
    found = row.get("id") if isinstance(row, dict) else None
    return found if type(found) is int and 0 < found <= MAX_ID else None


def _backoff_seconds(attempt: int) -> float:
    longest = min(FIRST_BACKOFF_SECONDS * 2 ** (attempt - 1), LONGEST_BACKOFF_SECONDS)
    return random.uniform(longest / 2, longest)  # noqa: S311 - spread, not secrecy


def _retry_after_seconds(header: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for; None for no header, zero, the past and nonsense."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return seconds if 0 < seconds < float("inf") else None
