"""Progress for people: a bar on a terminal, a plain line now and then elsewhere."""

import sys
import time

from tqdm import tqdm

from movie_pipeline import logs

log = logs.get(__name__)

LINE_SECONDS = 10.0


class Bar:
    """A progress bar on standard error."""

    def __init__(self, what: str, total: int | None) -> None:
        self._bar = tqdm(total=total, desc=what, unit="", file=sys.stderr, dynamic_ncols=True, mininterval=0.2)

    def advance(self, count: int = 1) -> None:
        """Count work as done."""
        self._bar.update(count)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.close()


class Lines:
    """A log line every ten seconds, and one at the end."""

    def __init__(self, what: str, total: int | None) -> None:
        self._what, self._total, self._done = what, total, 0
        self._began = self._said = time.monotonic()

    def advance(self, count: int = 1) -> None:
        """Count work as done."""
        self._done += count
        if time.monotonic() - self._said >= LINE_SECONDS:
            self._say("progress")

    def close(self) -> None:
        """Say how much was done."""
        self._say("done")

    def _say(self, event: str) -> None:
        self._said = time.monotonic()
        log.info(event, what=self._what, done=self._done, total=self._total, seconds=round(self._said - self._began, 1))


def progress(what: str, total: int | None) -> Bar | Lines:
    """Start a display for `total` items (None when nobody knows how many)."""
    return Bar(what, total) if sys.stderr.isatty() else Lines(what, total)
