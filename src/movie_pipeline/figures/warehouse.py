"""The warehouse in four views: levels of popularity and rating, profitability and money by decade."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from movie_pipeline import levels
from movie_pipeline.figures.canvas import (
    SMALL_GROUP,
    Labelled,
    Style,
    dressed,
    figure,
    fit,
    labelled,
    nothing,
    panel_title,
)

LAST_DECADES = 8


def warehouse(level_counts: pd.DataFrame, decades: pd.DataFrame, style: Style) -> Figure:
    """Draw four views of the warehouse, each film once (columns of `Catalogue.levels` and `Catalogue.decades`)."""
    texts = style.texts
    known = decades[(decades["budgets"] > 0) | (decades["revenues"] > 0)]
    cut = texts["last_decades"].format(LAST_DECADES) if len(known) > LAST_DECADES else ""
    made = figure(style, texts["warehouse"], texts["once"] + cut, body=11.6 if style.narrow else 7.2)
    rows, columns = style.grid(4)
    heights = [1.0, 1.0, 1.4, 1.9] if style.narrow else [1.0, 1.5]
    panels = made.subplots(rows, columns, squeeze=False, height_ratios=heights).flat
    popular, rated, profit, money = (dressed(axes, style, grid=None) for axes in panels)
    for axes, name in ((popular, "by_popularity"), (rated, "by_rating"), (profit, "profitable"), (money, "money")):
        panel_title(axes, style, texts[name])
    bars = [
        _level_bars(popular, level_counts, "popularity_level", levels.POPULARITY.labels, style),
        _level_bars(rated, level_counts, "rating_level", levels.RATING.labels, style),
        _profitable(profit, known[known["rois"] > 0].tail(LAST_DECADES), style),
        _money(money, known.tail(LAST_DECADES), style),
    ]
    return fit(made, bars)


def _level_bars(axes: Axes, counts: pd.DataFrame, column: str, labels: Sequence[str], style: Style) -> Labelled:
    texts = style.texts
    films = counts.groupby(column, dropna=False)["films"].sum()
    values = [int(films.get(label, 0)) for label in labels] + [int(films[films.index.isna()].sum())]
    places = range(len(values))
    axes.barh(places, values, color=[*[style.theme.main] * len(labels), style.theme.pale], height=0.68)
    axes.set_yticks(places, [*(texts[label] for label in labels), texts["unknown"]])
    axes.invert_yaxis()
    total = sum(values) or 1
    said = [f"{texts.number(value)} ({texts.percent(value / total, 1)})" for value in values]
    return labelled(axes, style, places, values, said)


def _profitable(axes: Axes, decades: pd.DataFrame, style: Style) -> Labelled:
    texts, theme = style.texts, style.theme
    if decades.empty:
        return nothing(axes, style)
    shares = (decades["profitable"] / decades["rois"]).tolist()
    colours = [theme.pale if n < SMALL_GROUP else theme.main for n in decades["rois"]]
    axes.barh(range(len(decades)), shares, color=colours, height=0.68)
    _name_decades(axes, decades)
    labels = [
        f"{texts.percent(share)} (n = {texts.number(n)})" for share, n in zip(shares, decades["rois"], strict=True)
    ]
    return labelled(axes, style, range(len(decades)), shares, labels)


def _money(axes: Axes, decades: pd.DataFrame, style: Style) -> Labelled:
    texts, theme = style.texts, style.theme
    if decades.empty:
        return nothing(axes, style)
    places: list[float] = []
    values: list[float] = []
    labels: list[str] = []
    for name, shift, colour, hatch in (("budget", -0.2, theme.main, ""), ("revenue", 0.2, theme.second, "//")):
        millions = (decades[f"{name}_median"].astype("float64") / 1e6).fillna(0).tolist()
        rows = [row + shift for row in range(len(decades))]
        counts = decades[f"{name}s"].tolist()
        bars = axes.barh(rows, millions, height=0.38, color=colour, hatch=hatch, edgecolor=theme.paper)
        for bar, n in zip(bars, counts, strict=True):
            bar.set_alpha(0.45 if n < SMALL_GROUP else 1.0)
        places, values = places + rows, values + millions
        labels += [
            f"{texts.number(value, 1)} (n = {texts.number(n)})" for value, n in zip(millions, counts, strict=True)
        ]
    _name_decades(axes, decades)
    _legend(axes, style)
    return labelled(axes, style, places, values, labels)


def _name_decades(axes: Axes, decades: pd.DataFrame) -> None:
    names = [f"{decade:.0f}–{(decade + 9) % 100:02.0f}" for decade in decades["decade"]]
    axes.set_yticks(range(len(decades)), names)
    axes.set_ylim(len(decades) - 0.5, -0.5)


def _legend(axes: Axes, style: Style) -> None:
    theme = style.theme
    keys = [
        Patch(facecolor=theme.main, edgecolor=theme.paper, label=style.texts["budget"]),
        Patch(facecolor=theme.second, edgecolor=theme.paper, hatch="//", label=style.texts["revenue"]),
    ]
    legend = axes.legend(
        handles=keys, frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0, -0.02), ncols=2, borderaxespad=0
    )
    for text in legend.get_texts():
        text.set_color(theme.ink)
