"""What all figures share: colours, page, heading, axes, labels that fit, and the formats they are saved in."""

import io
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, MaxNLocator

from movie_pipeline.texts import Texts

SMALL_GROUP = 30
PNG_DPI = 144
LABEL_GAP_POINTS = 4
TITLE_LINES = 2


class Theme(NamedTuple):
    """Colours of one figure."""

    paper: str
    ink: str
    soft: str
    faint: str
    main: str
    second: str
    pale: str
    series: tuple[str, ...]


LIGHT = Theme(
    "#ffffff", "#1f2430", "#545c6b", "#d9dde3", "#0072b2", "#d55e00", "#a9b1bc",
    ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#946c00", "#3b3b3b"),
)  # fmt: skip
DARK = Theme(
    "#161a22", "#e6e9ef", "#a9b2c1", "#343b48", "#56b4e9", "#e69f00", "#6b7485",
    ("#56b4e9", "#e69f00", "#2fc39a", "#e69ac4", "#f0e442", "#c9ced8"),
)  # fmt: skip


@dataclass(frozen=True)
class Style:
    """How a figure is drawn: language, colours, a line under the title saying what it covers, and for which width.

    A narrow figure fits a phone: panels stand below each other, and letters have the size of the page's.
    """

    texts: Texts
    theme: Theme = LIGHT
    note: str = ""
    narrow: bool = False

    @property
    def width(self) -> float:
        """Width in inches; the wide one fits a page of A4 or letter between its margins."""
        return 4.4 if self.narrow else 8.0

    @property
    def name_columns(self) -> int:
        """Characters of a name on one line."""
        return 19 if self.narrow else 30

    def grid(self, panels: int) -> tuple[int, int]:
        """Return rows and columns of so many panels."""
        columns = 1 if self.narrow else min(panels, 2)
        return -(-panels // columns), columns


def figure(style: Style, title: str, subtitle: str, body: float) -> Figure:
    """Return an empty figure with its heading; `body` is the height in inches below it."""
    title_lines = textwrap.wrap(title, 34 if style.narrow else 64)
    lines = [line for part in (subtitle, style.note) for line in textwrap.wrap(part, 58 if style.narrow else 104)]
    heading = 0.14 + 0.26 * len(title_lines) + 0.175 * len(lines)
    height = heading + 0.12 + body
    made = Figure(figsize=(style.width, height), layout="constrained", facecolor=style.theme.paper)
    FigureCanvasAgg(made)
    made.get_layout_engine().set(rect=(0, 0, 1, 1 - (heading + 0.12) / height))  # type: ignore[union-attr,call-arg]
    left, top = 0.1 / style.width, 1 - 0.1 / height
    size = 13 if style.narrow else 15
    made.text(left, top, "\n".join(title_lines), va="top", color=style.theme.ink, size=size, weight="bold")
    below = top - (0.08 + 0.26 * len(title_lines)) / height
    made.text(left, below, "\n".join(lines), va="top", color=style.theme.soft, size=9.5, linespacing=1.25)
    return made


def dressed(axes: Axes, style: Style, grid: Literal["x", "y"] | None = "x") -> Axes:
    """Return the axes in the house's look; without a grid the bars carry their values as labels."""
    axes.set_facecolor(style.theme.paper)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.tick_params(colors=style.theme.ink, length=0, labelsize=9.5)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(style.theme.soft)
        label.set_fontsize(9.5)
    if grid is None:
        axes.set_xticks([])
        return axes
    axes.grid(axis=grid, color=style.theme.faint, linewidth=0.8)
    value_axis = axes.xaxis if grid == "x" else axes.yaxis
    value_axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    value_axis.set_major_formatter(FuncFormatter(ticks(style.texts)))
    return axes


def panel_title(axes: Axes, style: Style, text: str, columns: int = 40) -> None:
    """Write the heading of one panel."""
    axes.set_title(
        wrapped(text, 27 if style.narrow else columns), loc="left", color=style.theme.ink, size=10.5, weight="bold",
        pad=6, parse_math=False,
    )  # fmt: skip


def ticks(texts: Texts) -> Callable[[float, int], str]:
    """Return a tick formatter that writes numbers as the language does."""
    return lambda value, _position: texts.number(value, 0 if float(value).is_integer() else 1)


def rows_of(frame: pd.DataFrame) -> Iterator[Any]:
    """Return the rows with their columns as attributes."""
    return frame.itertuples(index=False)


class Labelled(NamedTuple):
    """Bars with a label after each; `fit` gives the labels room."""

    axes: Axes
    values: Sequence[float]
    labels: Sequence[Text]


def labelled(
    axes: Axes, style: Style, rows: Sequence[float], values: Sequence[float], labels: Sequence[str]
) -> Labelled:
    """Write a label after each bar."""
    texts = [
        axes.annotate(
            label, (value, row), (LABEL_GAP_POINTS, 0), textcoords="offset points", va="center",
            color=style.theme.ink, size=9, parse_math=False,
        )
        for row, value, label in zip(rows, values, labels, strict=True)
    ]  # fmt: skip
    for text in texts:
        text.set_in_layout(False)
    return Labelled(axes, values, texts)


def fit(figure: Figure, bars: Sequence[Labelled]) -> Figure:
    """Settle where everything stands, and end each axis of bars where its longest label ends."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    gaps = 2 * LABEL_GAP_POINTS / 72 * figure.dpi
    for axes, values, labels in bars:
        width = axes.get_window_extent().width
        rooms = [max(width - label.get_window_extent().width - gaps, width / 5) for label in labels]
        axes.set_xlim(0, max((value * width / room for value, room in zip(values, rooms, strict=True)), default=0) or 1)
    return figure


def nothing(axes: Axes, style: Style) -> Labelled:
    """Say on the axes that there are no data yet."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(
        0.5, 0.5, style.texts["no_data"], ha="center", va="center", color=style.theme.ink, transform=axes.transAxes
    )
    return Labelled(axes, (), ())


def png(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    return _saved(figure, format="png", dpi=PNG_DPI, metadata={"Software": "movie-pipeline"})


def svg(figure: Figure) -> bytes:
    """Return a figure as SVG; the same figure gives the same bytes."""
    with mpl.rc_context({"svg.hashsalt": "movie-pipeline", "svg.fonttype": "path"}):
        return _saved(figure, format="svg", metadata={"Date": None, "Creator": "movie-pipeline"})


def recoloured(picture: bytes, before: Theme = LIGHT, after: Theme = DARK) -> bytes:
    """Return an SVG of one theme in the colours of another: drawing twice would give the same, and take twice as long.

    Every colour of `before` must stand for one colour of `after`.
    """
    pairs = dict(zip(_colours(before), _colours(after), strict=True))
    return re.sub(rb"#[0-9a-f]{6}", lambda found: pairs.get(found[0], found[0]), picture)


def _colours(theme: Theme) -> list[bytes]:
    *single, series = theme
    return [colour.encode() for colour in (*single, *series)]


def wrapped(text: str, columns: int, lines: int = TITLE_LINES) -> str:
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
