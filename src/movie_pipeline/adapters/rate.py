"""Request rate: evenly spaced slots for all threads of a process, or for several processes through PostgreSQL.

A slot is a moment at which one request may start. Slots lie one interval apart and none is saved up, so that no
window of any length holds more than its share. The interval leaves a little room below the limit, because requests
that start evenly do not arrive evenly.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import psycopg2

from movie_pipeline import logs
from movie_pipeline.adapters.postgres import connect
from movie_pipeline.errors import DatabaseUnavailableError

log = logs.get(__name__)

HEADROOM = 0.98
"""Share of the allowed rate that is used; the rest takes up the jitter of 20 ms in a window of a second."""
WINDOW_MARGIN_SECONDS = 0.005
BLOCK_SECONDS = 0.1
DATABASE_RETRY_SECONDS = 30.0
CLOCK_READINGS = 10
OFFSETS_KEPT = 50
"""Answers of the database by which its clock is known; few enough that two clocks cannot drift apart meanwhile."""


class Limiter(Protocol):
    """What a source asks before each request."""

    def acquire(self) -> None:
        """Wait for the next slot."""

    def pause(self, seconds: float) -> None:
        """Let nobody start for so long: the service asked for it."""

    def close(self) -> None:
        """Let go of what the limiter holds."""


class ThreadLimiter:
    """Slots for the threads of one process."""

    def __init__(
        self,
        per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.interval_seconds = 1 / (per_second * HEADROOM)
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._next = self._paused_until = float("-inf")
        # Threads that a busy machine wakes late would start together; the last second's starts are never too many.
        self._starts: deque[float] = deque(maxlen=max(1, int(per_second)))
        self._window_seconds = max(1, int(per_second)) / per_second + WINDOW_MARGIN_SECONDS

    def acquire(self) -> None:
        """Wait for the next slot; a pause that began meanwhile is waited for, too."""
        while True:
            with self._lock:
                slot = self._take()
            wait = slot - self._clock()
            if wait > 0:
                self._sleep(wait)
            if slot >= self._paused_until:
                break
        while (wait := self._crowded_seconds()) > 0:
            self._sleep(wait)

    def pause(self, seconds: float) -> None:
        """Give no slot for so long."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock() + seconds)
            self._next = max(self._next, self._paused_until)

    def _crowded_seconds(self) -> float:
        """Count a start and return 0, or return how long the window is still full."""
        with self._lock:
            now = self._clock()
            full = len(self._starts) == self._starts.maxlen
            wait = self._starts[0] + self._window_seconds - now if full else 0.0
            if wait <= 0:
                self._starts.append(now)
            return wait

    def close(self) -> None:
        """Let go of nothing: slots need no connection here."""

    def _take(self) -> float:
        slot = max(self._next, self._clock())
        self._next = slot + self.interval_seconds
        return slot


class SharedLimiter(ThreadLimiter):
    """Slots for all processes that name the same budget in one database.

    The row of `rate_budget` says when the next slot is free. A process moves it on by a block of slots in a single
    statement, so that no slot is given twice; a block that is not used up in time is lost, never saved. The
    database's clock decides, so the machines' clocks do not matter. Without the database a process takes the
    share `per_second / max_producers` and tries the database again every half minute.
    """

    def __init__(self, dsn: str, per_second: float, *, max_producers: int, name: str = "tmdb") -> None:
        super().__init__(per_second)
        self._alone = ThreadLimiter(per_second / max_producers)
        self._dsn, self._name = dsn, name
        self._block = max(1, round(per_second * BLOCK_SECONDS))
        self._slots: deque[float] = deque()
        self._offsets: deque[float] = deque(maxlen=OFFSETS_KEPT)
        self._connection: Any = None
        self._away_until = float("-inf")

    def pause(self, seconds: float) -> None:
        """Give no slot for so long, here and in the processes that share the budget."""
        super().pause(seconds)
        self._alone.pause(seconds)
        with self._lock:
            self._slots.clear()
            if self._clock() >= self._away_until:
                self._reserve(0, seconds)

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            self._disconnect()

    def _take(self) -> float:
        now = self._clock()
        while self._slots and self._slots[0] < now - self.interval_seconds:
            self._slots.popleft()
        if not self._slots and now >= self._away_until:
            self._slots.extend(self._reserve(self._block, 0))
        return self._slots.popleft() if self._slots else self._alone._take()  # noqa: SLF001 - same family

    def _reserve(self, slots: int, pause_seconds: float) -> list[float]:
        try:
            end = self._advance(slots * self.interval_seconds, pause_seconds)
        except (DatabaseUnavailableError, psycopg2.Error) as error:
            self._disconnect()
            self._away_until = self._clock() + DATABASE_RETRY_SECONDS
            log.warning(
                "rate budget not shared",
                reason=" ".join(str(error).split()),
                requests_per_second=round(1 / self._alone.interval_seconds, 2),
            )
            return []
        return [end - (slots - number) * self.interval_seconds for number in range(slots)]

    def _advance(self, reserved_seconds: float, pause_seconds: float) -> float:
        """Move the budget on; return the moment, on this process's clock, up to which it is given away."""
        if self._connection is None:
            self._connection = connect(self._dsn, application="movie-pipeline-rate")
            self._connection.autocommit = True
            self._read_clock()
        with self._connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO rate_budget AS budget (name, next_free)
                VALUES (%(name)s, clock_timestamp() + make_interval(secs => %(pause)s + %(reserved)s))
                ON CONFLICT (name) DO UPDATE SET next_free =
                    greatest(budget.next_free, clock_timestamp() + make_interval(secs => %(pause)s))
                    + make_interval(secs => %(reserved)s)
                RETURNING extract(epoch FROM next_free), extract(epoch FROM clock_timestamp())
                """,
                {"name": self._name, "pause": pause_seconds, "reserved": reserved_seconds},
            )
            end, database_now = map(float, cursor.fetchone())
        self._note(database_now)
        return end - max(self._offsets)

    def _read_clock(self) -> None:
        with self._connection.cursor() as cursor:
            for _ in range(CLOCK_READINGS):
                cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
                self._note(float(cursor.fetchone()[0]))

    def _note(self, database_now: float) -> None:
        """An answer tells the database's time of some moments ago; the quickest of the last ones tells it best."""
        self._offsets.append(database_now - self._clock())

    def _disconnect(self) -> None:
        self._offsets.clear()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
