"""Genres: how many films, how popular, how well rated."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from movie_pipeline.figures.canvas import (
    SMALL_GROUP,
    Style,
    Theme,
    dressed,
    figure,
    fit,
    labelled,
    nothing,
    panel_title,
    rows_of,
    wrapped,
)

GENRE_COLUMNS = 20


def popular_genres(genres: pd.DataFrame, style: Style) -> Figure:
    """Draw how many films each genre has, and how popular they are (columns of `Catalogue.genres`)."""
    texts, theme = style.texts, style.theme
    ordered = _ranked(genres, "films", "films")
    rows, columns = style.grid(2)
    made = figure(style, texts["popular_genres"], texts["each_once"], body=rows * _tall(ordered))
    panels = made.subplots(rows, columns, squeeze=False, sharey=columns > 1).flat
    counts, middle = panels
    if ordered.empty:
        middle.set_axis_off()
        nothing(dressed(counts, style), style)
        return made
    _spans(dressed(middle, style), ordered, ("popularity_q1", "popularity_median", "popularity_q3"), style)
    _group_names(middle, ordered, style, "measured" if style.narrow else None)
    panel_title(middle, style, texts["median_popularity"])
    dressed(counts, style, grid=None)
    _group_names(counts, ordered, style, None)
    panel_title(counts, style, texts["films"])
    counts.barh(ordered["row"], ordered["films"], color=_group_colours(ordered, theme), height=0.68)
    labels = [f"n = {texts.number(n)}" for n in ordered["films"]]
    return fit(made, [labelled(counts, style, ordered["row"].tolist(), ordered["films"].tolist(), labels)])


def genre_ratings(genres: pd.DataFrame, style: Style) -> Figure:
    """Draw mean rating and middle half of each genre's rated films, n in the label (columns of `Catalogue.genres`)."""
    texts = style.texts
    ordered = _ranked(genres[genres["rated"] > 0], "rating_mean", "rated")
    made = figure(style, texts["genre_rating"], texts["each_once"], body=_tall(ordered))
    axes = dressed(made.add_subplot(), style)
    if ordered.empty:
        nothing(axes, style)
        return made
    _spans(axes, ordered, ("rating_q1", "rating_mean", "rating_q3"), style)
    _group_names(axes, ordered, style, "rated")
    panel_title(axes, style, texts["mean_rating"], 60)
    return made


def _tall(ordered: pd.DataFrame) -> float:
    small = "small" in ordered and ordered["small"].any()
    return 0.7 + 0.34 * (max(len(ordered), 3) + (1 if small else 0))


def _ranked(groups: pd.DataFrame, by: str, n: str) -> pd.DataFrame:
    """Return the groups, large ones ranked from the top, small ones below a gap; `row` is the place on the axis."""
    flagged = groups.assign(small=groups[n] < SMALL_GROUP)
    ordered = flagged.sort_values(["small", by, "genre"], ascending=[True, False, True], ignore_index=True)
    return ordered.assign(row=ordered.index + ordered["small"].astype(int) * 1.0)


def _group_names(axes: Axes, ordered: pd.DataFrame, style: Style, n: str | None) -> None:
    """Name the groups at the left, with their n unless it stands beside them."""
    names = [wrapped(style.texts.genre(name), GENRE_COLUMNS, 1) for name in ordered["genre"]]
    if n:
        names = [f"{name} (n = {style.texts.number(count)})" for name, count in zip(names, ordered[n], strict=True)]
    axes.set_yticks(ordered["row"].tolist(), names, parse_math=False)
    axes.set_ylim(ordered["row"].max() + 0.6, -0.6)
    if ordered["small"].any():
        _say_few(axes, float(ordered.loc[ordered["small"], "row"].min() - 1), style)


def _say_few(axes: Axes, row: float, style: Style) -> None:
    if axes.get_subplotspec().colspan.start > 0:  # type: ignore[union-attr]
        return
    few = style.texts["few"].format(SMALL_GROUP)
    said = axes.text(
        1.0, row, few, transform=axes.get_yaxis_transform(), ha="right", va="center", color=style.theme.soft, size=9,
        style="italic",
    )  # fmt: skip
    said.set_in_layout(False)


def _group_colours(ordered: pd.DataFrame, theme: Theme) -> list[str]:
    return [theme.pale if small else theme.main for small in ordered["small"]]


def _spans(axes: Axes, ordered: pd.DataFrame, names: tuple[str, str, str], style: Style) -> None:
    """Draw a dot with its value, and the line of the middle half, for each group."""
    low, middle, high = (ordered[name] for name in names)
    colours = _group_colours(ordered, style.theme)
    axes.hlines(ordered["row"], low, high, colors=colours, linewidth=5, alpha=0.45)
    axes.scatter(middle, ordered["row"], color=colours, s=42, zorder=3)
    for group in rows_of(ordered.assign(middle=middle).dropna(subset="middle")):
        text = style.texts.number(group.middle, 2 if names[1] == "rating_mean" else 1)
        axes.annotate(
            text, (group.middle, group.row), (0, 5), textcoords="offset points", ha="center", color=style.theme.ink,
            size=8,
        )  # fmt: skip
    axes.margins(x=0.08)
