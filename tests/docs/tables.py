"""The generated parts of the documents, by the name that stands in their markers."""

import argparse
import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from enum import EnumType
from typing import Any, get_args

import annotated_types
from prometheus_client.metrics import MetricWrapperBase
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from sqlalchemy.dialects import postgresql

from movie_pipeline import columns, levels, messages, metrics, quality
from movie_pipeline import settings as settings_module
from movie_pipeline.adapters import tables as models
from movie_pipeline.cli import build_parser
from movie_pipeline.settings import Language, Settings
from movie_pipeline.texts import Texts

Row = Sequence[str]

FIELD_NOTES = {
    "id": "required; equals the record's key",
    "title": "required, not blank",
    "release_date": '`YYYY-MM-DD`; TMDB\'s `""` becomes null',
    "genres": "names, in TMDB's order",
    "production_companies": "names, in TMDB's order",
    "directors": "names: crew with job `Director`, each once",
    "cast": "names, by billing order, the first `CAST_LIMIT`",
    "schema_version": f"{messages.SCHEMA_VERSION}; a message without it is read as this version",
    "fetched_at": "RFC 3339, UTC; without it the record's own time counts",
}
"""What a message's field means beyond the column of the same name in `movies`."""


def settings() -> str:
    """Every setting, by the sections of the settings module."""
    parts = []
    for title, names in _sections():
        rows = [_setting(name, Settings.model_fields[name]) for name in names]
        parts.append(f"### {title}\n\n{_table(('variable', 'type', 'default', 'meaning'), rows)}")
    return "\n\n".join(parts)


def verbs() -> str:
    """Every verb with its arguments."""
    parser = build_parser()
    choices = next(item for item in parser._actions if isinstance(item, argparse._SubParsersAction)).choices
    return "\n\n".join(_verb(name, verb) for name, verb in choices.items())


def dictionary() -> str:
    """Every table with its columns."""
    return "\n\n".join(_sql_table(name, declared) for name, declared in columns.TABLES.items())


def message() -> str:
    """The fields of a message, in the order in which the producer writes them."""
    meanings = {column.name: (column.meaning, column.unit) for column in columns.MOVIES}
    rows = []
    for name in messages.build({"id": 1}, fetched_at=messages.SAMPLE_FETCHED_AT):
        of = next((names for names, ids in messages.LISTS if ids == name), None)
        meaning, unit = meanings.get(name, ("", ""))
        note = FIELD_NOTES.get(name) or (f"TMDB's ids of `{of}`, same length and order" if of else meaning)
        rows.append((f"`{name}`", _json_type(name), unit, note))
    return _table(("field", "JSON type", "unit", "meaning"), rows)


def metric_table() -> str:
    """Every metric of the consumer and the producer."""
    found = [item for item in vars(metrics).values() if isinstance(item, MetricWrapperBase)]
    rows = [
        (
            f"`{_sample_name(item)}`",
            item._type,
            ", ".join(f"`{label}`" for label in item._labelnames),
            item._documentation,
        )
        for item in found
    ]
    return _table(("metric", "kind", "labels", "meaning"), rows)


def level_table() -> str:
    """Both sets of categories with their intervals."""
    rows = []
    for column, found in (("popularity_level", levels.POPULARITY), ("rating_level", levels.RATING)):
        sign = "≥" if found.includes_bound else ">"
        rows += [(f"`{column}`", f"`{label}`", f"{sign} {bound}") for bound, label in found.bounds]
        rows.append((f"`{column}`", f"`{found.lowest}`", "everything below"))
    return _table(("column", "label", "value"), rows)


def findings() -> str:
    """The findings that are counted over the whole catalogue, with their floors."""
    words = Texts(Language.ENGLISH)
    rows = [
        (f"`{name}`", words[f"finding_{name}"], f"{quality.FLOORS[name]:.1%}" if name in quality.FLOORS else "")
        for name in quality.CATALOGUE_FINDINGS
    ]
    return _table(("finding", "meaning", "largest share of the films"), rows)


PARTS: dict[str, Callable[[], str]] = {
    "settings": settings,
    "verbs": verbs,
    "dictionary": dictionary,
    "message": message,
    "metrics": metric_table,
    "levels": level_table,
    "findings": findings,
}


def render(text: str) -> str:
    """Return a document with its generated parts as the code wants them; KeyError for a part that nobody knows."""

    def replaced(match: re.Match[str]) -> str:
        return f"{match[1]}\n\n{PARTS[match[2]]()}\n\n{match[3]}"

    return re.sub(r"(<!-- generated: (\S+) -->)\n.*?(<!-- end -->)", replaced, text, flags=re.DOTALL)


def _sections() -> Iterable[tuple[str, list[str]]]:
    source = inspect.getsource(settings_module.Settings)
    for section in re.split(r"^    # --- ", source, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        names = [name for name in re.findall(r"^    (\w+): ", body, re.MULTILINE) if name in Settings.model_fields]
        yield title.partition(" (")[0], names


def _setting(name: str, field: FieldInfo) -> Row:
    value = field.default.value if isinstance(type(field.default), EnumType) else field.default
    default = "" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"
    return (f"`{name.upper()}`", _setting_type(field), default, str(field.description))


def _setting_type(field: FieldInfo) -> str:
    kinds = [item for item in get_args(field.annotation) or (field.annotation,) if item is not type(None)]
    plain = next((item for kind in kinds for item in (get_args(kind) or (kind,)) if isinstance(item, type)), str)
    if plain is SecretStr:
        return "secret"
    if isinstance(plain, EnumType):
        return ", ".join(f"`{item}`" for item in plain)
    bounds = sorted({text for kind in kinds for limit in _limits(field, kind) if (text := _bound(limit))}, reverse=True)
    names = {"str": "text", "bool": "true or false", "int": "whole number", "float": "number"}
    return " ".join([names.get(plain.__name__, plain.__name__.lower()), ", ".join(bounds)]).strip()


def _limits(field: FieldInfo, kind: Any) -> list[Any]:
    inner = [item for item in get_args(kind) if isinstance(item, FieldInfo)]
    return [*(limit for item in inner for limit in item.metadata), *field.metadata]


def _bound(limit: Any) -> str:
    signs = {
        annotated_types.Gt: "> {}",
        annotated_types.Ge: "≥ {}",
        annotated_types.Lt: "< {}",
        annotated_types.Le: "≤ {}",
    }
    sign = signs.get(type(limit))
    return sign.format(getattr(limit, type(limit).__name__.lower())) if sign else ""


def _verb(name: str, parser: argparse.ArgumentParser) -> str:
    rows = [_option(action) for action in parser._actions if action.dest != "help"]
    notes = [
        f"{'Exactly' if group.required else 'At most'} one of "
        + ", ".join(f"`{item.option_strings[0]}`" for item in group._group_actions)
        + "."
        for group in parser._mutually_exclusive_groups
    ]
    parts = [f"### {name}", f"{parser.description}.", *notes]
    return "\n\n".join([*parts, *([_table(("option", "default", "meaning"), rows)] if rows else [])])


def _option(action: argparse.Action) -> Row:
    names = ", ".join(action.option_strings) or action.dest
    if action.choices:
        value = " " + "|".join(map(str, action.choices))
    else:
        value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
    default = "" if action.default is None or action.nargs == 0 else f"`{action.default}`"
    return (f"`{names}{value}`".replace("|", "\\|"), default, str(action.help))


def _sql_table(name: str, declared: Iterable[columns.Column]) -> str:
    table = models.Base.metadata.tables[name]
    rows = []
    for column in declared:
        found = table.columns[column.name]
        marks = ["key"] if found.primary_key else [] if found.nullable else ["not null"]
        marks += ["unique"] if found.unique else []
        kind = " ".join([str(found.type.compile(postgresql.dialect())).lower(), *marks])
        rows.append((f"`{column.name}`", kind, column.unit, column.meaning))
    text = str(inspect.getdoc(_model(name)))
    return f"### {name}\n\n{text}\n\n{_table(('column', 'SQL type', 'unit', 'meaning'), rows)}"


def _model(name: str) -> type:
    return next(mapper.class_ for mapper in models.Base.registry.mappers if mapper.local_table.name == name)


def _json_type(name: str) -> str:
    if any(name == names for names, _ in messages.LISTS):
        return "list of texts"
    if any(name == ids for _, ids in messages.LISTS):
        return "list of whole numbers"
    if name in messages.COUNTS:
        return "whole number ≥ 0 or null"
    if name in messages.FLOATS:
        return "number or null"
    return {"id": "whole number > 0", "title": "text", "schema_version": "whole number", "fetched_at": "text"}.get(
        name, "text or null"
    )


def _sample_name(item: MetricWrapperBase) -> str:
    return f"{item._name}_total" if item._type == "counter" else item._name


def _table(head: Row, rows: Iterable[Row]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("\n", " ") for cell in line) + " |" for line in lines)
