"""Switches that make the sample API as unpleasant as the real one can be."""

import random
import threading
import time
from dataclasses import dataclass
from typing import Literal

from movie_pipeline.errors import ConfigurationError

RetryAfter = Literal["window", "zero", "date", "absent"]


@dataclass(frozen=True)
class Faults:
    """What goes wrong, and how often; the default is a calm server.

    Shares lie in [0, 1] and are drawn from a generator seeded with `seed`. The rate limit is TMDB's old one: a
    window opens with its first request and takes `rate_limit` requests in `rate_window_seconds`.
    """

    latency_seconds: float = 0.0
    """Wait before each answer."""
    error_rate: float = 0.0
    """Share of requests answered by one of `error_statuses`."""
    error_statuses: tuple[int, ...] = (500, 502, 503, 504)
    fail_first: int = 0
    """The first so many requests of the server fail by `error_statuses[0]`."""
    cut_rate: float = 0.0
    """Share of answers whose connection is cut in the middle of the body."""
    cut_first: int = 0
    """The first so many answers are cut."""
    rate_limit: int = 0
    """Requests of one window; 0 means no limit."""
    rate_window_seconds: float = 1.0
    retry_after: RetryAfter = "window"
    """Header of a 429: seconds left in the window, `0`, an HTTP date, or no header."""
    plain_429: bool = False
    """Answer a 429 as a CDN does: with HTML."""
    code_25_status: int = 429
    """HTTP status that carries TMDB's code 25 (recorded under others, too)."""
    gone: frozenset[int] = frozenset()
    """Ids that lists still give and details answer by 404."""
    page_overlap: int = 0
    """Films of the page before that a page of the popular list repeats."""
    null_changes: int = 0
    """Entries without id on each page of the changes."""
    missing_exports: int = 0
    """Newest days whose export does not exist (yet)."""
    truncated_exports: int = 0
    """Newest existing exports that end in the middle."""
    redirect_to: str | None = None
    """Base address of another host to which details are redirected."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for name in ("error_rate", "cut_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigurationError(f"{name} {getattr(self, name)}: a share from 0 to 1 is required")
        for name in ("latency_seconds", "rate_limit"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigurationError(f"{name} {getattr(self, name)}: a number from 0 is required")


class Dice:
    """Draw faults by their shares, one generator for all threads."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - faults, not secrets
        self._lock = threading.Lock()

    def hit(self, share: float) -> bool:
        """Return True in `share` of the calls."""
        if share <= 0:
            return False
        with self._lock:
            return self._random.random() < share

    def pick(self, statuses: tuple[int, ...]) -> int:
        """Return one of the statuses."""
        with self._lock:
            return self._random.choice(statuses)


class RateWindow:
    """Count requests in windows that open with their first request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened = float("-inf")
        self._count = 0

    def admit(self, limit: int, window_seconds: float) -> tuple[int, float] | None:
        """Count one request; return (requests in this window, seconds until the next) if it is over the limit."""
        if limit <= 0:
            return None
        now = time.monotonic()
        with self._lock:
            if now - self._opened >= window_seconds:
                self._opened, self._count = now, 0
            self._count += 1
            return None if self._count <= limit else (self._count, self._opened + window_seconds - now)
