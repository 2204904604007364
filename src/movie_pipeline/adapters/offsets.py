"""The database's offsets and the numbers of analysed batches."""

from collections.abc import Mapping, Sequence

from psycopg2.extras import Json

from movie_pipeline.adapters.postgres import session


class PostgresOffsets:
    """Positions of the loads, kept beside the rows they stand for; see `jobs.consumer.Offsets`."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def positions(self, topic: str) -> dict[int, tuple[int, str | None]]:
        """Return (next offset, topic id) of each partition that has one."""
        with session(self._dsn) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT partition, next_offset, topic_id FROM ingest_offsets WHERE topic = %s", (topic,))
            return {partition: (position, topic_id) for partition, position, topic_id in cursor.fetchall()}

    def begin(self, topic: str, partition: int, first: int, topic_id: str | None) -> None:
        """Make a partition known; nothing happens when it is."""
        with session(self._dsn) as connection, connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO ingest_offsets (topic, partition, next_offset, topic_id) VALUES (%s, %s, %s, %s)"
                " ON CONFLICT DO NOTHING",
                (topic, partition, first, topic_id),
            )

    def forget(self, topic: str) -> None:
        """Forget a topic's positions; stored offsets of films no longer decide between equal times."""
        with session(self._dsn) as connection, connection.cursor() as cursor:
            cursor.execute("DELETE FROM ingest_offsets WHERE topic = %s", (topic,))
            cursor.execute("UPDATE movies SET message_offset = -1 WHERE message_offset <> -1")


class PostgresBatchNumbers:
    """Numbers that count up over all runs, so that no batch's folder is overwritten."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def next(self, run_id: str, counts: Mapping[str, int]) -> int:
        """Number a closed batch."""
        with session(self._dsn) as connection, connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO analysis_batches (run_id, counts) VALUES (%s, %s) RETURNING n",
                (run_id, Json(dict(counts))),
            )
            row = cursor.fetchone()
            assert row is not None
            return int(row[0])

    def analysed(self, numbers: Sequence[int]) -> None:
        """Record the batch (the last number) as analysed."""
        with session(self._dsn) as connection, connection.cursor() as cursor:
            cursor.execute("UPDATE analysis_batches SET analysed = now() WHERE n = %s", (max(numbers),))
