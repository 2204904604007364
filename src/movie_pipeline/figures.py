"""Frames in, matplotlib Figures out: no file, no global state, no knowledge of where the numbers come from.

Groups with fewer than `SMALL_GROUP` films stand apart and pale below the ranked ones, and every group says its n.
Colours are Okabe and Ito's, which most colour-blind people can tell apart; nothing is said by colour alone.
"""

import io
import textwrap
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ticker import FuncFormatter, MaxNLocator

from movie_pipeline import levels
from movie_pipeline.texts import Texts

SMALL_GROUP = 30
WIDTH_INCHES = 8.0
PNG_DPI = 110
TITLE_COLUMNS, TITLE_LINES = 30, 2


class Theme(NamedTuple):
    """Colours of one figure."""

    paper: str
    ink: str
    faint: str
    main: str
    second: str
    pale: str
    series: tuple[str, ...]


LIGHT = Theme(
    "#ffffff", "#1f2430", "#d9dde3", "#0072b2", "#d55e00", "#a9b1bc",
    ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#946c00", "#3b3b3b"),
)  # fmt: skip
DARK = Theme(
    "#161a22", "#e6e9ef", "#343b48", "#56b4e9", "#e69f00", "#6b7485",
    ("#56b4e9", "#e69f00", "#2fc39a", "#e69ac4", "#f0e442", "#c9ced8"),
)  # fmt: skip


class Style(NamedTuple):
    """How a figure is drawn: language, colours, and a line under the title saying what it covers."""

    texts: Texts
    theme: Theme = LIGHT
    note: str = ""


def top_films(films: pd.DataFrame, style: Style) -> Figure:
    """Draw the most popular films (columns of `Catalogue.top_films`) as bars with value and percentile."""
    texts, theme = style.texts, style.theme
    figure = _figure(style, texts["top_films"], texts["popularity_of"], height=1.3 + 0.5 * max(len(films), 3))
    axes = _axes(figure.add_subplot(), style)
    if films.empty:
        return _nothing(axes, style)
    rows = range(len(films))
    axes.barh(rows, films["popularity"], color=theme.main, height=0.68)
    for row, film in zip(rows, _rows(films), strict=True):
        percentile = texts["percentile"].format(texts.number(film.percentile, 2))
        label = f"{texts.number(film.popularity, 1)} · {percentile}"
        axes.annotate(label, (film.popularity, row), (4, 0), textcoords="offset points", va="center", color=theme.ink)
    titles = [_with_year(wrapped(film.title), film.release_year) for film in _rows(films)]
    axes.set_yticks(list(rows), titles, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(0, films["popularity"].max() * 1.38 or 1)
    axes.set_xlabel(texts["popularity"])
    return figure


def popular_genres(genres: pd.DataFrame, style: Style) -> Figure:
    """Draw how many films each genre has, and how popular they are (columns of `Catalogue.genres`)."""
    texts, theme = style.texts, style.theme
    ordered = _ranked(genres, "films", "films")
    figure = _figure(style, texts["popular_genres"], texts["each_once"], height=_tall(ordered))
    counts, middle = figure.subplots(1, 2, sharey=True, width_ratios=(1, 1.15))
    if ordered.empty:
        middle.set_axis_off()
        return _nothing(_axes(counts, style), style)
    _group_labels(_axes(counts, style), ordered, style, "films")
    counts.barh(ordered["row"], ordered["films"], color=_group_colours(ordered, theme), height=0.68)
    for group in _rows(ordered):
        text = texts.number(group.films)
        counts.annotate(
            text, (group.films, group.row), (3, 0), textcoords="offset points", va="center", color=theme.ink
        )
    counts.set_xlim(0, ordered["films"].max() * 1.22)
    counts.set_xlabel(texts["films"])
    _spans(_axes(middle, style), ordered, ("popularity_q1", "popularity_median", "popularity_q3"), theme)
    middle.set_xlim(0, ordered["popularity_q3"].max() * 1.06)
    middle.set_xlabel(texts["median_popularity"])
    return figure


def genre_ratings(genres: pd.DataFrame, style: Style) -> Figure:
    """Draw mean rating and middle half of each genre's rated films, n in the label (columns of `Catalogue.genres`)."""
    texts = style.texts
    ordered = _ranked(genres[genres["rated"] > 0], "rating_mean", "rated")
    figure = _figure(style, texts["genre_rating"], texts["each_once"], height=_tall(ordered))
    axes = _axes(figure.add_subplot(), style)
    if ordered.empty:
        return _nothing(axes, style)
    _group_labels(axes, ordered, style, "rated")
    _spans(axes, ordered, ("rating_q1", "rating_mean", "rating_q3"), style.theme)
    for group in _rows(ordered):
        label = texts.number(group.rating_mean, 2)
        axes.annotate(
            label,
            (group.rating_mean, group.row),
            (0, 5),
            textcoords="offset points",
            ha="center",
            color=style.theme.ink,
            size=9,
        )
    axes.set_xlabel(texts["mean_rating"])
    return figure


def warehouse(level_counts: pd.DataFrame, decades: pd.DataFrame, style: Style) -> Figure:
    """Draw four views of the warehouse, each film once (columns of `Catalogue.levels` and `Catalogue.decades`)."""
    texts = style.texts
    figure = _figure(style, texts["warehouse"], texts["once"], height=7.4)
    figure.get_layout_engine().set(h_pad=0.14)  # type: ignore[union-attr,call-arg]
    panels = [_axes(axes, style) for axes in figure.subplots(2, 2).flat]
    _level_bars(panels[0], level_counts, "popularity_level", levels.POPULARITY.labels, style)
    _level_bars(panels[1], level_counts, "rating_level", levels.RATING.labels, style)
    panels[0].set_title(texts["by_popularity"], loc="left", color=style.theme.ink, size=11)
    panels[1].set_title(texts["by_rating"], loc="left", color=style.theme.ink, size=11)
    _profitable(panels[2], decades[decades["rois"] > 0].tail(8), style)
    _money(panels[3], decades[(decades["budgets"] > 0) | (decades["revenues"] > 0)].tail(8), style)
    return figure


def feature_importance(tables: Sequence[tuple[str, pd.DataFrame]], style: Style) -> Figure:
    """Draw permutation importances (feature, importance, std), one panel for each (feature set, table)."""
    texts, theme = style.texts, style.theme
    longest = max((len(table) for _, table in tables), default=1)
    figure = _figure(style, texts["importance"], texts["importance_axis"], height=1.6 + 0.32 * longest)
    for axes, (name, table) in zip(figure.subplots(1, max(len(tables), 1), squeeze=False).flat, tables, strict=False):
        _axes(axes, style)
        axes.barh(
            range(len(table)), table["importance"], xerr=table["std"], color=theme.main, ecolor=theme.ink, height=0.66
        )
        axes.set_yticks(range(len(table)), [texts[f"feature_{feature}"] for feature in table["feature"]])
        axes.invert_yaxis()
        axes.set_title(wrapped(texts[f"set_{name}"], 30), loc="left", color=theme.ink, size=11)
    return figure


def trends(history: pd.DataFrame, style: Style) -> Figure:
    """Draw the popularity of the films that moved most (columns of `Catalogue.history`), named at the line's end."""
    texts, theme = style.texts, style.theme
    figure = _figure(style, texts["trends"], "", height=4.6)
    axes = _axes(figure.add_subplot(), style, grid="y")
    if history.empty:
        return _nothing(axes, style)
    lines = [(str(title), film) for (_, title), film in history.groupby(["id", "title"], sort=False)]
    places = _apart([film["popularity"].iloc[-1] for _, film in lines], history["popularity"])
    for colour, marker, place, (title, film) in zip(theme.series, "osD^vP", places, lines, strict=False):
        axes.plot(film["data_date"], film["popularity"], color=colour, marker=marker, markersize=5)
        axes.annotate(
            wrapped(title, 22), (1.015, place), xycoords=("axes fraction", "data"), va="center", color=colour,
            annotation_clip=False, parse_math=False,
        )  # fmt: skip
    locator = AutoDateLocator(minticks=2, maxticks=6)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.set_ylim(bottom=0)
    axes.set_ylabel(texts["popularity"])
    return figure


def png(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    return _saved(figure, format="png", dpi=PNG_DPI, metadata={"Software": "movie-pipeline"})


def svg(figure: Figure) -> bytes:
    """Return a figure as SVG; the same figure gives the same bytes."""
    with mpl.rc_context({"svg.hashsalt": "movie-pipeline", "svg.fonttype": "path"}):
        return _saved(figure, format="svg", metadata={"Date": None, "Creator": "movie-pipeline"})


def wrapped(text: str, columns: int = TITLE_COLUMNS, lines: int = TITLE_LINES) -> str:
    """Return a text broken into at most `lines` lines of `columns` characters, an ellipsis where it was cut.

    Characters that the font lacks become a square, so that one title in another script neither warns nor vanishes.
    """
    drawable = "".join(character if _drawable(character) else "□" for character in " ".join(text.split()))
    return "\n".join(textwrap.wrap(drawable, columns, max_lines=lines, placeholder=" …")) or "…"


def _saved(figure: Figure, **options: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, facecolor=figure.get_facecolor(), **options)
    # Where things stand is worked out once; the next format of the same figure keeps it.
    figure.set_layout_engine("none")
    return buffer.getvalue()


@cache
def _drawable(character: str) -> bool:
    return get_font(findfont(FontProperties())).get_char_index(ord(character)) != 0


def _figure(style: Style, title: str, subtitle: str, height: float) -> Figure:
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained", facecolor=style.theme.paper)
    FigureCanvasAgg(figure)
    below = " · ".join(part for part in (subtitle, style.note) if part)
    lines = textwrap.wrap(below, 92)
    figure.suptitle(title, x=0.012, ha="left", color=style.theme.ink, size=15, weight="bold")
    if lines:
        # The first axes title row is left free by an empty line of the figure title.
        figure.suptitle(title + "\n" * len(lines), x=0.012, ha="left", color=style.theme.ink, size=15, weight="bold")
        figure.text(
            0.012, 1 - 0.42 / height, "\n".join(lines), ha="left", va="top", color=style.theme.ink, size=10, alpha=0.8
        )
    return figure


def _axes(axes: Axes, style: Style, grid: Literal["x", "y"] = "x") -> Axes:
    axes.set_facecolor(style.theme.paper)
    axes.set_axisbelow(True)
    axes.grid(axis=grid, color=style.theme.faint, linewidth=0.8)
    axes.spines[:].set_visible(False)
    axes.tick_params(colors=style.theme.ink, length=0, labelsize=10)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(style.theme.ink)
        label.set_fontsize(10)
    value_axis = axes.xaxis if grid == "x" else axes.yaxis
    value_axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    value_axis.set_major_formatter(FuncFormatter(_ticks(style.texts)))
    return axes


def _ticks(texts: Texts) -> Callable[[float, int], str]:
    return lambda value, _position: texts.number(value, 0 if float(value).is_integer() else 1)


def _rows(frame: pd.DataFrame) -> Iterator[Any]:
    return frame.itertuples(index=False)


def _nothing(axes: Axes, style: Style) -> Figure:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(
        0.5, 0.5, style.texts["no_data"], ha="center", va="center", color=style.theme.ink, transform=axes.transAxes
    )
    figure = axes.figure
    assert isinstance(figure, Figure)
    return figure


def _with_year(title: str, year: float | None) -> str:
    return title if year is None or pd.isna(year) else f"{title} ({year:.0f})"


def _tall(ordered: pd.DataFrame) -> float:
    return 1.7 + 0.34 * (max(len(ordered), 3) + (1 if "small" in ordered and ordered["small"].any() else 0))


def _ranked(groups: pd.DataFrame, by: str, n: str) -> pd.DataFrame:
    """Return the groups, large ones ranked from the top, small ones below a gap; `row` is the place on the axis."""
    flagged = groups.assign(small=groups[n] < SMALL_GROUP)
    ordered = flagged.sort_values(["small", by, "genre"], ascending=[True, False, True], ignore_index=True)
    return ordered.assign(row=ordered.index + ordered["small"].astype(int) * 1.0)


def _group_labels(axes: Axes, ordered: pd.DataFrame, style: Style, n: str) -> None:
    named = [
        f"{wrapped(style.texts.genre(name), 20, 1)} (n = {style.texts.number(count)})"
        for name, count in zip(ordered["genre"], ordered[n], strict=True)
    ]
    axes.set_yticks(ordered["row"].tolist(), named, parse_math=False)
    axes.set_ylim(ordered["row"].max() + 0.6, -0.6)
    if ordered["small"].any():
        place = ordered.loc[ordered["small"], "row"].min() - 1
        few = style.texts["few"].format(SMALL_GROUP)
        axes.text(
            0.0,
            place,
            few,
            transform=axes.get_yaxis_transform(),
            va="center",
            color=style.theme.ink,
            size=9,
            style="italic",
        )


def _group_colours(ordered: pd.DataFrame, theme: Theme) -> list[str]:
    return [theme.pale if small else theme.main for small in ordered["small"]]


def _spans(axes: Axes, ordered: pd.DataFrame, names: tuple[str, str, str], theme: Theme) -> None:
    """Draw a dot and the line of its middle half for each group."""
    low, middle, high = (ordered[name] for name in names)
    colours = _group_colours(ordered, theme)
    axes.hlines(ordered["row"], low, high, colors=colours, linewidth=5, alpha=0.45)
    axes.scatter(middle, ordered["row"], color=colours, s=42, zorder=3)


def _level_bars(axes: Axes, counts: pd.DataFrame, column: str, labels: Sequence[str], style: Style) -> None:
    films = counts.groupby(column, dropna=False)["films"].sum()
    values = [int(films.get(label, 0)) for label in labels] + [int(films[films.index.isna()].sum())]
    names = [*(style.texts[label] for label in labels), style.texts["unknown"]]
    axes.barh(range(len(values)), values, color=[*[style.theme.main] * len(labels), style.theme.pale], height=0.68)
    for row, value in enumerate(values):
        text = style.texts.number(value)
        axes.annotate(
            text, (value, row), (3, 0), textcoords="offset points", va="center", color=style.theme.ink, size=9
        )
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, max(values) * 1.2 or 1)


def _profitable(axes: Axes, decades: pd.DataFrame, style: Style) -> None:
    axes.set_title(wrapped(style.texts["profitable"], 40), loc="left", color=style.theme.ink, size=11)
    if decades.empty:
        _nothing(axes, style)
        return
    shares = decades["profitable"] / decades["rois"]
    colours = [style.theme.pale if n < SMALL_GROUP else style.theme.main for n in decades["rois"]]
    axes.barh(range(len(decades)), shares, color=colours, height=0.68)
    for row, (share, n) in enumerate(zip(shares, decades["rois"], strict=True)):
        text = f"{style.texts.percent(share)} (n = {style.texts.number(n)})"
        axes.annotate(
            text, (share, row), (3, 0), textcoords="offset points", va="center", color=style.theme.ink, size=9
        )
    axes.set_yticks(range(len(decades)), [f"{decade:.0f}" for decade in decades["decade"]])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.55)
    axes.set_xticks([0, 0.5, 1], [style.texts.percent(share) for share in (0, 0.5, 1)])


def _money(axes: Axes, decades: pd.DataFrame, style: Style) -> None:
    axes.set_title(style.texts["money"], loc="left", color=style.theme.ink, size=11)
    if decades.empty:
        _nothing(axes, style)
        return
    rows = pd.Series(range(len(decades)), dtype="float64")
    series = (
        ("budget", "budget_median", style.theme.main, -0.2, ""),
        ("revenue", "revenue_median", style.theme.second, 0.2, "//"),
    )
    for name, column, colour, shift, hatch in series:
        values = (decades[column].astype("float64") / 1e6).fillna(0).to_list()
        axes.barh(
            rows + shift,
            values,
            height=0.38,
            color=colour,
            hatch=hatch,
            edgecolor=style.theme.paper,
            label=style.texts[name],
        )
    axes.set_yticks(rows.tolist(), [f"{decade:.0f}" for decade in decades["decade"]])
    axes.invert_yaxis()
    legend = axes.legend(
        frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0, -0.1), ncols=2, borderaxespad=0
    )
    for text in legend.get_texts():
        text.set_color(style.theme.ink)


def _apart(values: Sequence[float], scale: pd.Series) -> list[float]:
    """Return label places near the values, at least a twelfth of the axis from each other."""
    step = float(scale.max()) / 12 or 1.0
    places = dict.fromkeys(range(len(values)), 0.0)
    floor = -step
    for index in sorted(places, key=lambda index: values[index]):
        floor = places[index] = max(values[index], floor + step)
    return list(places.values())
