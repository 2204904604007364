"""The runs' records in PostgreSQL: `pipeline_runs` and `quality_findings`."""

from collections.abc import Mapping
from typing import Any

from psycopg2.extras import Json, execute_values

from movie_pipeline.adapters.postgres import session


class PostgresRunLog:
    """Runs by (run_id, verb); see `ports.RunLog`."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def start(self, run_id: str, verb: str, source: str | None = None) -> None:
        """Record a run as running; a retry of the same run starts it anew."""
        with session(self._dsn) as connection, connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO pipeline_runs (id, verb, source, state) VALUES (%s, %s, %s, 'running')
                ON CONFLICT (id, verb) DO UPDATE SET source = excluded.source, state = 'running', started = now(),
                    ended = NULL, degraded = false, counts = '{}', files = '{}'
                """,
                (run_id, verb, source),
            )

    def finish(
        self,
        run_id: str,
        verb: str,
        state: str,
        *,
        counts: Mapping[str, Any] | None = None,
        files: Mapping[str, str] | None = None,
        source: str | None = None,
    ) -> None:
        """Record how a run ended: `done`, `failed` or `degraded`."""
        with session(self._dsn) as connection, connection.cursor() as cursor:
            cursor.execute(
                """
                UPDATE pipeline_runs SET state = %s, degraded = %s, counts = %s, files = %s, ended = now(),
                    source = coalesce(%s, source)
                WHERE id = %s AND verb = %s
                """,
                (state, state == "degraded", Json(dict(counts or {})), Json(dict(files or {})), source, run_id, verb),
            )

    def find(self, run_id: str) -> dict[str, dict[str, Any]]:
        """Return what is recorded of a run, by verb."""
        with session(self._dsn) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT verb, source, state, degraded, counts, files FROM pipeline_runs WHERE id = %s", (run_id,)
            )
            names = ("source", "state", "degraded", "counts", "files")
            return {row[0]: dict(zip(names, row[1:], strict=True)) for row in cursor.fetchall()}

    def add_findings(self, run_id: str, verb: str, findings: Mapping[str, tuple[int, str | None]]) -> None:
        """Record counted findings {name: (count, example)} of a run; those of an earlier attempt are replaced."""
        if not findings:
            return
        with session(self._dsn) as connection, connection.cursor() as cursor:
            execute_values(
                cursor,
                """
                INSERT INTO quality_findings (run_id, verb, finding, count, detail) VALUES %s
                ON CONFLICT (run_id, verb, finding) DO UPDATE SET count = excluded.count, detail = excluded.detail
                """,
                [(run_id, verb, name, count, detail) for name, (count, detail) in sorted(findings.items())],
            )
