"""Predictions for films that somebody names: read, clean, predict, with the model's interval."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson
import pandas as pd

from movie_pipeline import messages
from movie_pipeline.errors import ConfigurationError, InvalidMessageError
from movie_pipeline.messages import Record
from movie_pipeline.model import training
from movie_pipeline.model.features import FeatureSet
from movie_pipeline.model.files import LoadedModel
from movie_pipeline.transform.clean import clean
from movie_pipeline.transform.frames import decoded
from movie_pipeline.transform.plain import LISTS, plain

SHAPE = "a film is an object with fields such as title, budget, runtime, release_date, genres, directors, cast"


def predict(films: pd.DataFrame, load: Callable[[FeatureSet], LoadedModel]) -> list[dict[str, Any]]:
    """Return prediction and interval of each film, in the films' order.

    A film with votes is predicted by the seed's features, one without by those known before release.
    """
    released = films["vote_count"].notna() & (pd.to_numeric(films["vote_count"]) > 0)
    found: dict[int, dict[str, Any]] = {}
    for kind, chosen in ((FeatureSet.SEED, films[released]), (FeatureSet.PRE_RELEASE, films[~released])):
        if chosen.empty:
            continue
        model = load(kind)
        bounds = training.bounds(model.pipeline, kind, model.interval, chosen)
        for index, film, row in zip(chosen.index, chosen.to_dict("records"), bounds.to_dict("records"), strict=True):
            figures = {str(name): round(float(value), 3) for name, value in row.items()}
            found[index] = {
                "id": film["id"],
                "title": film["title"],
                "features": kind.value,
                **figures,
                "level": training.INTERVAL,
            }
    return [found[index] for index in films.index]


def from_json(content: bytes) -> pd.DataFrame:
    """Return cleaned films of a JSON object or list of objects; ConfigurationError says what is wrong."""
    try:
        given = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ConfigurationError(f"not JSON ({error}): {SHAPE}") from None
    films = given if isinstance(given, list) else [given]
    if not films or not all(isinstance(film, dict) for film in films):
        raise ConfigurationError(f"{str(given)[:80]!r} holds no film: {SHAPE}")
    return _cleaned(films)


def from_csv(content: bytes) -> pd.DataFrame:
    """Return cleaned films of a CSV with a header; lists are `a|b` or JSON arrays, as in `processed_movies_v2.csv`."""
    try:
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(
            f"not CSV in UTF-8 ({error}): a header line and a line for each film are required"
        ) from None
    if not rows or "title" not in rows[0]:
        raise ConfigurationError(
            f"CSV with the columns {list(rows[0]) if rows else []}: a column title and a film are required"
        )
    return _cleaned([{name: _csv_value(name, value) for name, value in row.items() if name} for row in rows])


def _csv_value(name: str, value: str | None) -> Any:
    if name not in LISTS:
        return value or None
    text = value or ""
    if text.startswith("["):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise ConfigurationError(
                f"{name} {text[:80]!r}: a JSON array or names separated by | are required"
            ) from error
    return [part.strip() for part in text.split("|") if part.strip()]


def _cleaned(films: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    rows = []
    for place, film in enumerate(films):
        movie_id = film.get("id") or place + 1
        message = {name: film.get(name) for name in (*messages.TEXTS, *messages.COUNTS, *messages.FLOATS, *LISTS)}
        try:
            record = Record(
                "input", 0, place, 0, messages.key_of(movie_id), messages.encode({**message, "id": movie_id})
            )
            rows.append(messages.decode(record))
        except InvalidMessageError as error:
            raise ConfigurationError(f"film {place + 1}: {error}") from None
    cleaned, _ = clean(decoded([row for row in rows if row is not None]))
    return plain(cleaned)
