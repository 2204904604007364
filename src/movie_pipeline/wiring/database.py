"""Schema and status."""

import json
import sys
from typing import TYPE_CHECKING, Any

from movie_pipeline import logs
from movie_pipeline.errors import ConfigurationError, PipelineError
from movie_pipeline.settings import Settings
from movie_pipeline.wiring import parts

if TYPE_CHECKING:
    from collections.abc import Callable

log = logs.get(__name__)


def migrate(settings: Settings, *, raw: bool = False) -> int:
    """Bring the schema up to date, and the application's role with it."""
    from movie_pipeline.adapters import schema

    dsn = settings.database_dsn()
    if raw:
        schema.create_schema_and_tables_raw(dsn)
        log.info("schema created by plain SQL")
        return 0
    if settings.app_role_password and not settings.app_role:
        raise ConfigurationError("APP_ROLE_PASSWORD is set without APP_ROLE: set both, or neither")
    password = settings.app_role_password.get_secret_value() if settings.app_role_password else None
    revision = schema.migrate(dsn, app_role=settings.app_role, app_role_password=password)
    log.info("schema is current", revision=revision, app_role=settings.app_role)
    return 0


def status(settings: Settings, *, check: str | None = None) -> int:
    """Print one JSON object that says what answers and what is loaded; 1 when something does not answer."""
    checks: dict[str, Callable[[], Any]] = {
        "kafka": lambda: _kafka(settings),
        "postgres": lambda: _postgres(settings),
        "tmdb": lambda: _tmdb(settings),
    }
    found: dict[str, Any] = {}
    worst = 0
    for name in [check] if check else list(checks):
        try:
            found[name] = checks[name]()
        except PipelineError as error:
            found[name] = {"error": logs.redact(str(error))}
            worst = max(worst, error.exit_code)
    if settings.run_id and "error" not in found.get("postgres", {"error": ""}):
        found["run"] = parts.run_log(settings).find(settings.run_id)
    json.dump(found, sys.stdout, indent=2, default=str, ensure_ascii=False)
    sys.stdout.write("\n")
    return worst


def _kafka(settings: Settings) -> dict[str, Any]:
    reader = parts.reader(settings)
    try:
        bounds = reader.bounds(settings.kafka_topic)
    finally:
        reader.close()
    return {"topic": settings.kafka_topic, "ends": {partition: end for partition, (_, end) in bounds.items()}}


def _postgres(settings: Settings) -> dict[str, Any]:
    from movie_pipeline.adapters.postgres import session

    with session(settings.database_dsn()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('movies')")
        if cursor.fetchone() == (None,):
            return {"schema": None}
        cursor.execute("SELECT count(*) FILTER (WHERE deleted_at IS NULL), count(deleted_at) FROM movies")
        films, deleted = cursor.fetchone() or (0, 0)
        cursor.execute("SELECT count(*) FROM movie_data_warehouse")
        rows = (cursor.fetchone() or (0,))[0]
        cursor.execute("SELECT topic, partition, next_offset FROM ingest_offsets ORDER BY 1, 2")
        offsets = {f"{topic}[{partition}]": position for topic, partition, position in cursor.fetchall()}
    return {"films": films, "deleted": deleted, "warehouse_rows": rows, "next_offsets": offsets}


def _tmdb(settings: Settings) -> dict[str, Any]:
    from movie_pipeline.wiring.produce import source

    source(settings).check()
    return {"url": settings.tmdb_api_url}
