"""Films: the most popular ones, and those whose popularity moved."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from movie_pipeline.figures.canvas import Style, dressed, figure, fit, labelled, nothing, panel_title, rows_of, wrapped

MARKERS = "osD^vP"
DATES = {
    "formats": ["%Y", "%Y-%m", "%m-%d", "%H:%M", "%H:%M", "%H:%M:%S"],
    "zero_formats": ["", "%Y", "%Y-%m", "%m-%d", "%H:%M", "%H:%M"],
    "offset_formats": ["", "%Y", "%Y", "%Y-%m-%d", "%Y-%m-%d", "%Y-%m-%d"],
}
"""Numbers only: the names of months would come in the language of the machine."""


def top_films(films: pd.DataFrame, style: Style) -> Figure:
    """Draw the most popular films (columns of `Catalogue.top_films`) as bars with value and percentile."""
    texts, theme = style.texts, style.theme
    made = figure(style, texts["top_films"], texts["popularity_of"], body=0.2 + 0.44 * max(len(films), 3))
    axes = dressed(made.add_subplot(), style, grid=None)
    if films.empty:
        nothing(axes, style)
        return made
    rows = range(len(films))
    axes.barh(rows, films["popularity"], color=theme.main, height=0.68)
    names = [_with_year(film.title, film.release_year, style.name_columns) for film in rows_of(films)]
    axes.set_yticks(list(rows), names, parse_math=False)
    axes.set_ylim(len(films) - 0.5, -0.5)
    between = "\n" if style.narrow else " · "
    labels = [
        texts.number(film.popularity, 1) + between + texts["percentile"].format(texts.number(film.percentile, 2))
        for film in rows_of(films)
    ]
    return fit(made, [labelled(axes, style, rows, films["popularity"].tolist(), labels)])


def trends(history: pd.DataFrame, style: Style) -> Figure:
    """Draw the films that moved most (columns of `Catalogue.history`): popularity, and percentile of the day's load.

    The percentile stands where the loads of a day were large enough to have one.
    """
    texts = style.texts
    ranked = not history.empty and history["percentile"].notna().any()
    made = figure(style, texts["trends"], texts["trends_of"] if ranked else "", body=6.4 if ranked else 3.8)
    panels = made.subplots(2 if ranked else 1, 1, sharex=True, squeeze=False).flat
    for axes, (column, name) in zip(
        panels, (("popularity", "popularity"), ("percentile", "percentile_of_load")), strict=False
    ):
        dressed(axes, style, grid="y")
        if history.empty:
            nothing(axes, style)
            return made
        panel_title(axes, style, texts[name], 60)
        _lines(axes, history.dropna(subset=column), column, style)
        axes.margins(y=0.12)
    return made


def _lines(axes: Axes, history: pd.DataFrame, column: str, style: Style) -> None:
    lines = {str(title): film for (_, title), film in history.groupby(["id", "title"], sort=False)}
    places = _apart([film[column].iloc[-1] for film in lines.values()], history[column])
    colours = dict(zip(history["id"].drop_duplicates(), zip(style.theme.series, MARKERS, strict=True), strict=False))
    for place, (title, film) in zip(places, lines.items(), strict=True):
        colour, marker = colours[film["id"].iloc[0]]
        axes.plot(film["data_date"], film[column], color=colour, marker=marker, markersize=5)
        axes.annotate(
            wrapped(title, 14 if style.narrow else 22), (1.015, place), xycoords=("axes fraction", "data"), va="center",
            color=colour, size=9, annotation_clip=False, parse_math=False,
        )  # fmt: skip
    axes.xaxis.set_major_locator(AutoDateLocator(minticks=2, maxticks=4 if style.narrow else 6))  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(ConciseDateFormatter(axes.xaxis.get_major_locator(), **DATES))  # type: ignore[no-untyped-call]


def _with_year(title: str, year: float | None, columns: int) -> str:
    name = wrapped(title, columns)
    return name if year is None or pd.isna(year) else f"{name} ({year:.0f})"


def _apart(values: Sequence[float], scale: pd.Series) -> list[float]:
    """Return label places near the values, at least a ninth of the axis from each other."""
    step = float(scale.max() - scale.min()) / 8 or 1.0
    places = dict.fromkeys(range(len(values)), 0.0)
    floor = float("-inf")
    for index in sorted(places, key=lambda index: values[index]):
        floor = places[index] = max(values[index], floor + step)
    above = max(0.0, floor - float(scale.max())) / 2
    return [place - above for place in places.values()]
