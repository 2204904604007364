"""The page and the plain summary, from numbers that others have computed."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined

from movie_pipeline.report.tables import Table
from movie_pipeline.texts import Texts

ATTRIBUTION = "This product uses the TMDB API but is not endorsed or certified by TMDB."


class Picture(NamedTuple):
    """One SVG in both colour schemes."""

    light: bytes
    dark: bytes


@dataclass(frozen=True)
class Chart:
    """One chart for a page and for a phone, with what it says in words."""

    name: str
    title: str
    description: str
    wide: Picture
    narrow: Picture


@dataclass(frozen=True)
class RunFacts:
    """What a reader must know about the run: identity, where the films came from, and whether that was the plan."""

    run_id: str
    verb: str
    source: str
    degraded: bool
    at: datetime
    seconds: Mapping[str, float]
    versions: Mapping[str, str]
    batch: int | None = None
    batch_counts: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Content:
    """Everything that a report shows; `metrics` is what `metrics.json` says, or {"trained": False, "message": ...}."""

    facts: RunFacts
    overview: Mapping[str, Any]
    highlights: Sequence[str]
    charts: Sequence[Chart]
    tables: Sequence[Table]
    verdicts: Sequence[Any]
    cleaning: Sequence[Any]
    metrics: Mapping[str, Any]


def html(content: Content, texts: Texts) -> bytes:
    """Return the report as one HTML file: no outside link, script allowed by its hash only, every text escaped."""
    script = _resource("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = _environment().from_string(_resource("report.html.j2"))
    return page.render(
        **_context(content, texts), script=script, script_hash=digest, style=_resource("report.css")
    ).encode()


def summary(content: Content, texts: Texts) -> bytes:
    """Return the report's findings as plain text (`report.txt`)."""
    return (_plain().from_string(_resource("report.txt.j2")).render(**_context(content, texts)).strip() + "\n").encode()


def _context(content: Content, texts: Texts) -> dict[str, Any]:
    return {
        "lang": texts.language.value,
        "t": texts.choose,
        "texts": texts,
        "number": texts.number,
        "percent": texts.percent,
        "picture": _data_uri,
        "attribution": ATTRIBUTION,
        **{name: getattr(content, name) for name in Content.__dataclass_fields__},
    }


def _data_uri(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()


@cache
def _plain() -> Environment:
    # Plain text has nothing to escape; the page above is the one that browsers open.
    return Environment(autoescape=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)  # noqa: S701


@cache
def _environment() -> Environment:
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


@cache
def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
