"""Frames to tables that a page can sort: what is shown beside what it is sorted by."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pandas as pd

from movie_pipeline.texts import Texts

UNKNOWN = "–"


class Cell(NamedTuple):
    """One cell; `order` is a number or a text, None sorts last."""

    text: str
    order: float | str | None


class Column(NamedTuple):
    """A column's heading, and whether it holds numbers."""

    label: str
    numeric: bool


class Table(NamedTuple):
    """A table of the report."""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


Show = Callable[[Any], str]


def top_films(films: pd.DataFrame, texts: Texts) -> Table:
    """Return the most popular films."""
    return _table(
        "films",
        texts.choose("Películas más populares", "Most popular films"),
        films,
        (
            (texts.choose("Película", "Film"), "title", str),
            (texts.choose("Año", "Year"), "release_year", lambda value: f"{value:.0f}"),
            (texts.choose("Popularidad", "Popularity"), "popularity", _decimals(texts, 1)),
            (texts.choose("Percentil", "Percentile"), "percentile", _decimals(texts, 2)),
            (texts.choose("Valoración", "Rating"), "vote_average", _decimals(texts, 1)),
            (texts.choose("Votos", "Votes"), "vote_count", texts.number),
            ("ROI", "roi", _decimals(texts, 2)),
        ),
    )


def genres(frame: pd.DataFrame, texts: Texts) -> Table:
    """Return the figures of each genre."""
    named = frame.assign(genre=frame["genre"].map(texts.genre))
    return _table(
        "genres",
        texts.choose("Géneros", "Genres"),
        named,
        ((texts.choose("Género", "Genre"), "genre", str), *_group(texts)),
    )


def directors(frame: pd.DataFrame, texts: Texts, min_films: int) -> Table:
    """Return the figures of prolific directors."""
    title = texts.choose(
        f"Directores con {min_films} películas o más, por popularidad mediana",
        f"Directors with {min_films} films or more, by median popularity",
    )
    return _table("directors", title, frame, ((texts.choose("Director", "Director"), "director", str), *_group(texts)))


def decades(frame: pd.DataFrame, texts: Texts) -> Table:
    """Return the figures of each decade of release."""
    millions = _decimals(texts, 1)
    shown = frame.assign(budget_median=frame["budget_median"] / 1e6, revenue_median=frame["revenue_median"] / 1e6)
    return _table(
        "decades",
        texts.choose(
            "Décadas de estreno (dinero: mediana, millones de dólares)",
            "Decades of release (money: median, millions of dollars)",
        ),
        shown,
        (
            (texts.choose("Década", "Decade"), "decade", lambda value: f"{value:.0f}"),
            (texts.choose("Películas", "Films"), "films", texts.number),
            (texts.choose("Presupuesto", "Budget"), "budget_median", millions),
            (texts.choose("Ingresos", "Revenue"), "revenue_median", millions),
            (texts.choose("Con ROI", "With ROI"), "rois", texts.number),
            (texts.choose("ROI mediano", "Median ROI"), "roi_median", _decimals(texts, 2)),
            (texts.choose("Rentables", "Profitable"), "profitable", texts.number),
        ),
    )


def _group(texts: Texts) -> tuple[tuple[str, str, Show], ...]:
    return (
        (texts.choose("Películas", "Films"), "films", texts.number),
        (texts.choose("Popularidad mediana", "Median popularity"), "popularity_median", _decimals(texts, 1)),
        (texts.choose("Con votos", "Rated"), "rated", texts.number),
        (texts.choose("Valoración media", "Mean rating"), "rating_mean", _decimals(texts, 2)),
        (texts.choose("Con ROI", "With ROI"), "rois", texts.number),
        (texts.choose("ROI mediano", "Median ROI"), "roi_median", _decimals(texts, 2)),
        (texts.choose("Rentables", "Profitable"), "profitable", texts.number),
    )


def _decimals(texts: Texts, places: int) -> Show:
    return lambda value: texts.number(value, places)


def _table(key: str, title: str, frame: pd.DataFrame, fields: Iterable[tuple[str, str, Show]]) -> Table:
    chosen = list(fields)
    rows = tuple(
        tuple(_cell(getattr(row, name), show) for _, name, show in chosen) for row in frame.itertuples(index=False)
    )
    return Table(key, title, tuple(Column(label, show is not str) for label, _, show in chosen), rows)


def _cell(value: Any, show: Show) -> Cell:
    if pd.isna(value):
        return Cell(UNKNOWN, None)
    return Cell(show(value), value if isinstance(value, str) else float(value))
