"""The range task with its parts: what a worker runs, wherever it runs."""

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from movie_pipeline import logs, messages
from movie_pipeline import settings as settings_module
from movie_pipeline.messages import OffsetRange
from movie_pipeline.settings import Settings
from movie_pipeline.wiring import parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from movie_pipeline.jobs.ranges import RangeResult
    from movie_pipeline.transform.batch import DeadLetter

log = logs.get(__name__)


class RangeWorker:
    """The parts of a range task, opened when the first range comes and kept for the next ones."""

    def __init__(self, settings: Settings, run_id: str) -> None:
        self._settings, self._run_id = settings, run_id
        self._parts: tuple[Any, Any] | None = None

    def run(self, offsets: OffsetRange) -> "RangeResult":
        """Load one offset range; after a failure the next range starts with new connections."""
        from movie_pipeline.jobs.ranges import ingest_range

        reader, loader = self._opened()
        try:
            return ingest_range(offsets, reader=reader, warehouse=loader, load_size=self._settings.load_size)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connections; the next range opens new ones."""
        opened, self._parts = self._parts, None
        for part in opened or ():
            part.close()

    def _opened(self) -> tuple[Any, Any]:
        from movie_pipeline.adapters.loader import Loader

        if self._parts is None:
            loader = Loader(
                self._settings.database_dsn(),
                run_id=self._run_id,
                send_dead_letters=partial(send_dead_letters, self._settings),
            )
            self._parts = (parts.reader(self._settings), loader)
        return self._parts


def run_range(run_id: str, offsets: OffsetRange) -> "RangeResult":
    """Load one offset range in a Dask worker, by the settings in the worker's own environment."""
    return _range_worker(run_id).run(offsets)


@lru_cache(maxsize=1)
def _range_worker(run_id: str) -> RangeWorker:
    settings = settings_module.load()
    logs.configure(settings)
    return RangeWorker(settings, run_id)


def send_dead_letters(settings: Settings, letters: "Sequence[DeadLetter]") -> None:
    """Publish records to the dead-letter topic and wait for the acknowledgement: the offset moves only after it."""
    publisher = parts.publisher(settings)
    try:
        for letter in letters:
            record = letter.record
            headers = messages.dead_letter_headers(record, letter.error_class, letter.error)
            publisher.publish(settings.kafka_dlq_topic, record.key, record.value, headers)
            log.warning("dead letter", partition=record.partition, offset=record.offset, reason=letter.error)
        publisher.flush()
    finally:
        publisher.close()
