"""What the model leans on."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from movie_pipeline.figures.canvas import Style, dressed, figure, panel_title


def feature_importance(tables: Sequence[tuple[str, pd.DataFrame]], style: Style) -> Figure:
    """Draw permutation importances (feature, importance, std), one panel for each (feature set, table)."""
    texts, theme = style.texts, style.theme
    longest = max((len(table) for _, table in tables), default=1)
    rows, columns = style.grid(max(len(tables), 1))
    made = figure(style, texts["importance"], texts["importance_axis"], body=rows * (0.75 + 0.28 * longest))
    for axes, (name, table) in zip(made.subplots(rows, columns, squeeze=False).flat, tables, strict=False):
        dressed(axes, style)
        places = range(len(table))
        axes.barh(
            places, table["importance"], xerr=table["std"], color=theme.main, ecolor=theme.ink, height=0.66,
            error_kw={"elinewidth": 1.2},
        )  # fmt: skip
        axes.set_yticks(places, [texts[f"feature_{feature}"] for feature in table["feature"]])
        axes.set_ylim((longest if columns > 1 else len(table)) - 0.4, -0.6)
        panel_title(axes, style, texts[f"set_{name}"], 30)
    return made
