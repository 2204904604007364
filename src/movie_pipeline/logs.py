"""Structured logs: text on a terminal, JSON elsewhere, secrets masked in both.

Every line goes to standard error; standard output belongs to results.
"""

import logging
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import structlog

from movie_pipeline.settings import LogFormat, Settings

MASK = "***"
_secrets: tuple[str, ...] = ()


def get(name: str) -> Any:
    """Return a logger; call it with an event name and fields: `log.info("batch loaded", films=10)`."""
    return structlog.stdlib.get_logger(name)


def configure(settings: Settings) -> None:
    """Send structlog and the standard library's logging through one formatter to standard error."""
    global _secrets  # noqa: PLW0603 - the process has one set of secrets
    _secrets = tuple(sorted(settings.secrets(), key=len, reverse=True))
    as_json = settings.log_format is LogFormat.JSON or (
        settings.log_format is LogFormat.AUTO and not sys.stderr.isatty()
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _mask_event,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=28)
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    # Client libraries report every reconnect at WARNING; what matters of that our adapters say themselves.
    for noisy in ("kafka", "urllib3", "distributed", "kr8s", "httpx", "matplotlib", "bokeh", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
    # Dask sets its own levels when it is imported, here and in its worker processes.
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "error")
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def redact(text: str, secrets: Iterable[str] | None = None) -> str:
    """Return the text with every known secret masked."""
    for secret in _secrets if secrets is None else secrets:
        text = text.replace(secret, MASK)
    return text


def _mask_event(_logger: Any, _method: str, event: Any) -> Any:
    return {key: _masked(value) for key, value in event.items()}


def _masked(value: Any) -> Any:
    if isinstance(value, str | BaseException):
        return redact(str(value))
    if isinstance(value, Mapping):
        return {key: _masked(item) for key, item in value.items()}
    return [_masked(item) for item in value] if isinstance(value, list | tuple | set) else value
