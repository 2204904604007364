"""Cleaning: what TMDB writes for "unknown" becomes NULL, here and nowhere else.

Every rule is one small function of one value; `clean` applies them to whole columns and counts what it had to
correct. Cleaning its own result changes nothing.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa

from movie_pipeline import messages
from movie_pipeline.columns import Kind
from movie_pipeline.transform.frames import KINDS, arrow, cut, lengths

Findings = Counter[str]

MAX_INTEGER = 2**31 - 1
MAX_BIGINT = 2**63 - 1
MAX_RUNTIME_MINUTES = 60_000
MAX_VOTE = 10
SCALARS = ("id", *messages.TEXTS, *messages.COUNTS, *messages.FLOATS)


def clean(decoded: pd.DataFrame) -> tuple[pd.DataFrame, Findings]:
    """Return the cleaned films, sorted by id, and the counted findings.

    Takes the frame of `frames.decoded`. The result has one row a film with Arrow types: the columns of
    `messages.TEXTS`, `COUNTS` and `FLOATS`, the lists (`*_ids` now hold entity ids, never NULL, each once),
    `fetched_at`, `message_offset`, and two digests: of the links, and of the whole film but for `fetched_at` and
    the offset.
    """
    rows = decoded.sort_values("id", kind="stable") if not decoded["id"].is_monotonic_increasing else decoded
    return _clean({name: rows[name].tolist() for name in rows.columns})


def clean_rows(films: Iterable[tuple[Any, ...]]) -> tuple[pd.DataFrame, Findings]:
    """Return what `clean` does, for rows of `messages.decode_row`: no frame is made only to be taken apart."""
    columns = list(zip(*sorted(films, key=itemgetter(0)), strict=True)) or [()] * len(messages.FIELDS)
    return _clean({name: list(values) for name, values in zip(messages.FIELDS, columns, strict=True)})


def _clean(data: dict[str, list[Any]]) -> tuple[pd.DataFrame, Findings]:
    findings: Findings = Counter()
    for name in messages.TEXTS:
        if name != "release_date":
            data[name] = _texts(data[name], findings)
    data["release_date"] = [_date(value, findings) for value in data["release_date"]]
    data["runtime"] = [_known(value, MAX_RUNTIME_MINUTES, "runtime", findings) for value in data["runtime"]]
    for name in ("budget", "revenue"):
        data[name] = [_known(value, MAX_BIGINT, name, findings) for value in data[name]]
    data["vote_count"] = [_count(value, findings) for value in data["vote_count"]]
    data["popularity"] = [_real(value, None, "popularity", findings) for value in data["popularity"]]
    data["vote_average"] = [
        None if votes == 0 else _real(value, MAX_VOTE, "vote_average", findings)
        for value, votes in zip(data["vote_average"], data["vote_count"], strict=True)
    ]
    lists = {}
    for names, ids in messages.LISTS:
        data[names], data[ids], lists[names], lists[ids] = _links(names, data[names], data[ids], findings)
    return _frame(data, lists), findings


def entity_id(name: str) -> int:
    """Return the key of an entity that is known by name only: below zero, the same in every process."""
    return -1 - (int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") >> 1)


def _frame(data: dict[str, list[Any]], lists: dict[str, pd.Series]) -> pd.DataFrame:
    kinds = KINDS["movies"]
    typed = {name: arrow(data[name], kinds[name]) for name in (*SCALARS, "fetched_at", "message_offset")} | lists
    links = [_digest(row) for row in zip(*(data[name] for pair in messages.LISTS for name in pair), strict=True)]
    films = zip(links, *(data[name] for name in SCALARS), strict=True)
    typed["links_digest"] = arrow(links, Kind.DIGEST)
    typed["content_digest"] = arrow([_digest(row) for row in films], Kind.DIGEST)
    return pd.DataFrame(typed, copy=False)


def _digest(row: tuple[Any, ...]) -> str:
    return blake2b(orjson.dumps(row), digest_size=16).hexdigest()


def _text(value: str | None, findings: Findings) -> str | None:
    if value and "\0" in value:
        findings["NUL removed from a text"] += 1
        value = value.replace("\0", "")
    return value or None


def _texts(values: list[str | None], findings: Findings) -> list[str | None]:
    if "\0" in "".join(filter(None, values)):
        return [_text(value, findings) for value in values]
    return [value or None for value in values]


def _date(value: Any, findings: Findings) -> date | None:
    if isinstance(value, date):
        return value
    text = _text(value, findings)
    day = _calendar_day(text) if text else None
    if text and day is None:
        findings["impossible release_date"] += 1
    return day


@lru_cache(maxsize=65_536)
def _calendar_day(value: str) -> date | None:
    """A day written YYYY-MM-DD; the other spellings of ISO 8601 are not TMDB's."""
    try:
        return date.fromisoformat(value) if len(value) == len("YYYY-MM-DD") and value[4] == value[7] == "-" else None
    except ValueError:
        return None


def _known(value: Any, most: int, name: str, findings: Findings) -> int | None:
    """A quantity whose 0 means unknown."""
    if not value:
        return None
    if type(value) is int and 0 < value <= most:
        return value
    findings[f"impossible {name}"] += 1
    return None


def _count(value: Any, findings: Findings) -> int | None:
    if value is None or (type(value) is int and 0 <= value <= MAX_INTEGER):
        return value
    findings["impossible vote_count"] += 1
    return None


def _real(value: Any, most: float | None, name: str, findings: Findings) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if 0 <= number < float("inf") and (most is None or number <= most):
        return number
    findings[f"impossible {name}"] += 1
    return None


def _links(
    field: str, names: list[list[str]], ids: list[list[Any]], findings: Findings
) -> tuple[list[list[str]], list[list[int]], pd.Series, pd.Series]:
    """Give every entity its key and keep each once, the first by order; return both lists, and both as columns."""
    keys = pa.array(list(chain.from_iterable(ids)), pa.int64())
    if keys.null_count or "\0" in "".join(chain.from_iterable(names)):
        unfinished: Sequence[int] = range(len(ids))
    else:
        unfinished = _with_doubles(keys, lengths(ids))
    for film in unfinished:
        names[film], ids[film] = _kept(field, names[film], ids[film], findings)
    if unfinished:
        keys = pa.array(list(chain.from_iterable(ids)), pa.int64())
    sizes = lengths(ids)
    return names, ids, cut(pa.array(list(chain.from_iterable(names)), pa.string()), sizes), cut(keys, sizes)


def _with_doubles(ids: Any, sizes: Any) -> list[int]:
    """Return the films in whose list an entity stands twice."""
    keys = np.asarray(ids)
    if len(keys) and keys.min() < 0:
        return list(range(len(sizes)))
    # The film before the id in one number: sorted, doubles are neighbours.
    marked = np.sort(np.repeat(np.arange(len(sizes), dtype=np.int64), sizes) << 31 | keys)
    return list(np.unique(marked[1:][marked[1:] == marked[:-1]] >> 31))


def _kept(field: str, names: list[str], ids: list[int | None], findings: Findings) -> tuple[list[str], list[int]]:
    texts = [_text(name, findings) or "" for name in names]
    keys = [entity_id(name) if key is None else key for name, key in zip(texts, ids, strict=True)]
    first = dict(zip(reversed(keys), reversed(texts), strict=True))
    if len(first) < len(keys):
        findings[f"duplicate in {field}"] += len(keys) - len(first)
        keys = list(dict.fromkeys(keys))
        texts = [first[key] for key in keys]
    return texts, keys
