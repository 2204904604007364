"""Figures: every chart of every data set draws, nothing overlaps, no font warning, small groups stand apart."""

import re
from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysed import DATASETS, adversarial, film, frame_catalogue, sample
from movie_pipeline import figures
from movie_pipeline.figures import DARK, LIGHT, Style
from movie_pipeline.settings import Language
from movie_pipeline.texts import Texts

SPANISH, ENGLISH = Style(Texts(Language.SPANISH)), Style(Texts(Language.ENGLISH), DARK)
PHONE = Style(Texts(Language.SPANISH), note="Lote 12: 4.803 mensajes, base de 1.234.567 películas", narrow=True)
IMPORTANCE = pd.DataFrame({"feature": ["budget", "lead_1"], "importance": [2.0, -0.1], "std": [0.1, 0.2]})
LONG = "Dr. Strangelove or: How I Learned to Stop Worrying and Love the Bomb — $5 and $6 in 千と千尋の神隠し"


def drawn(catalogue: Any, style: Style) -> dict[str, Figure]:
    genres = catalogue.genres()
    return {
        "top": figures.top_films(catalogue.top_films(15), style),
        "genres": figures.popular_genres(genres, style),
        "ratings": figures.genre_ratings(genres, style),
        "warehouse": figures.warehouse(catalogue.levels(), catalogue.decades(), style),
        "importance": figures.feature_importance([("seed", IMPORTANCE), ("pre_release", IMPORTANCE)], style),
        "trends": figures.trends(moved(catalogue.top_films(6)), style),
    }


def moved(films: pd.DataFrame) -> pd.DataFrame:
    """Return a history in which the films' popularity grows, each at its own pace."""
    rows = [
        (film.id, film.title, at, film.popularity * (1 + 0.02 * step * film.Index), film.percentile)
        for film in films.itertuples()
        for step, at in enumerate(pd.date_range("2026-11-01", periods=5))
    ]
    return pd.DataFrame(rows, columns=["id", "title", "data_date", "popularity", "percentile"])


def words(figure: Figure) -> list[str]:
    """Return every text that a figure shows."""
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_visible() and text.get_text()]


@pytest.mark.parametrize("name", sorted(DATASETS.keys() - {"sample"}))
@pytest.mark.parametrize("style", [SPANISH, ENGLISH, PHONE])
def test_every_chart_draws_whatever_the_films(name: str, style: Style) -> None:
    for figure in drawn(frame_catalogue(DATASETS[name]()), style).values():
        assert figures.png(figure).startswith(b"\x89PNG")


def test_charts_are_spanish_with_accents_or_english() -> None:
    catalogue = frame_catalogue(adversarial())
    spanish, english = (
        " ".join(text for figure in drawn(catalogue, style).values() for text in words(figure))
        for style in (SPANISH, ENGLISH)
    )
    assert "Películas más populares" in spanish
    assert "Valoración por género" in spanish
    assert "Acción" in spanish
    assert "Most popular films" in english
    assert "Action" in english
    assert "Películas" not in english


def test_long_titles_are_wrapped_and_do_not_touch_each_other() -> None:
    films = tuple(film(number, title=f"{number} {LONG}", popularity=50.0 - number) for number in range(1, 16))
    figure = figures.top_films(frame_catalogue(films).top_films(15), SPANISH)
    figure.canvas.draw()
    labels = [label for label in figure.axes[0].get_yticklabels() if label.get_text()]
    boxes = [label.get_window_extent() for label in labels]
    assert len(boxes) == 15
    assert min(box.x0 for box in boxes) >= 0
    assert all(not first.overlaps(second) for first, second in pairwise(boxes))


def test_a_title_in_another_script_or_with_dollar_signs_is_drawn_as_it_stands() -> None:
    assert figures.wrapped("Amélie & 千尋", 40) == "Amélie & □□"
    figure = figures.top_films(frame_catalogue((film(1, title="$9.99 and $1"),)).top_films(1), SPANISH)
    figures.png(figure)
    assert "$9.99 and $1 (2001)" in words(figure)


def boxes(figure: Figure) -> Iterator[tuple[str, Any]]:
    """Yield every text that a reader sees, with its place on the page in pixels."""
    from matplotlib.text import Text

    figure.canvas.draw()
    ticks = {
        tick
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in (axis.get_major_ticks() + axis.get_minor_ticks())
    }
    hidden = {label for tick in ticks for label in (tick.label1, tick.label2) if not drawn_on(tick, label)}
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip() and text not in hidden:
            yield text.get_text(), text.get_window_extent()


def drawn_on(tick: Any, label: Any) -> bool:
    """Tell whether a tick lies inside its axis' view: matplotlib draws no others."""
    low, high = sorted(tick.axes.yaxis.get_view_interval() if is_y(tick) else tick.axes.xaxis.get_view_interval())
    return bool(label.get_visible() and low <= tick.get_loc() <= high)


def is_y(tick: Any) -> bool:
    return type(tick).__name__ == "YTick"


@pytest.mark.parametrize("style", [SPANISH, ENGLISH, PHONE])
def test_no_text_leaves_the_page_and_none_covers_another(style: Style) -> None:
    films = (*sample()[::12], *(film(9_000_000 + n, title=LONG, popularity=900.0 - n) for n in range(3)))
    for name, figure in drawn(frame_catalogue(films), style).items():
        width, height = figure.get_size_inches() * figure.dpi
        found = list(boxes(figure))
        outside = [text for text, box in found if min(box.x0, box.y0) < -1 or box.x1 > width + 1 or box.y1 > height + 1]
        covered = [(a, b) for (a, one), (b, other) in combinations(found, 2) if one.padded(-1).overlaps(other)]
        assert (name, outside, covered) == (name, [], [])


def test_small_groups_stand_below_a_line_that_says_so_and_every_group_says_its_n() -> None:
    films = tuple(film(number, genres=["Big"], genre_ids=[18]) for number in range(1, 41))
    films += (film(99, genres=["Small"], genre_ids=[28], vote_average=9.9, popularity=900.0),)
    genres = frame_catalogue(films).genres()
    popular, rated = figures.popular_genres(genres, SPANISH), figures.genre_ratings(genres, SPANISH)
    assert {"n = 40", "n = 1"} <= set(words(popular))
    for figure, labels in ((popular, ["Big", "Small"]), (rated, ["Big (n = 40)", "Small (n = 1)"])):
        assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == labels
        assert "Menos de 30 películas: sin ordenar con las demás" in words(figure)


def test_medians_of_money_say_of_how_many_films() -> None:
    catalogue = frame_catalogue((film(1), film(2, budget=None), film(3, budget=None, revenue=None)))
    said = words(figures.warehouse(catalogue.levels(), catalogue.decades(), SPANISH))
    assert {"1,0 (n = 1)", "3,0 (n = 2)", "100\u202f% (n = 1)"} <= set(said)


def test_a_picture_in_other_colours_is_the_one_drawn_in_them() -> None:
    catalogue = frame_catalogue(adversarial())
    light, dark = (drawn(catalogue, Style(Texts(Language.SPANISH), theme)) for theme in (LIGHT, DARK))
    for name in light:
        changed, expected = figures.recoloured(figures.svg(light[name])), figures.svg(dark[name])
        assert nameless(changed) == nameless(expected)


def nameless(picture: bytes) -> bytes:
    """Leave out matplotlib's names for markers, hatches and clips: they are made from the colours among others."""
    return re.sub(rb'(["#])[mhp][0-9a-f]{10}\b', rb"\1", picture)


def test_the_percentile_is_drawn_where_loads_were_large_enough_to_have_one() -> None:
    history = moved(frame_catalogue(sample()[::50]).top_films(3))
    assert len(figures.trends(history, SPANISH).axes) == 2
    assert len(figures.trends(history.assign(percentile=None), SPANISH).axes) == 1


def test_trends_name_their_lines_apart_from_each_other() -> None:
    moments = pd.date_range("2026-01-01", periods=4)
    rows = [
        (key, f"Film {key}", at, 100.0 + key / 10 + step, None) for key in range(6) for step, at in enumerate(moments)
    ]
    columns = ["id", "title", "data_date", "popularity", "percentile"]
    figure = figures.trends(pd.DataFrame(rows, columns=columns), SPANISH)
    figure.canvas.draw()
    names = [text for text in figure.axes[0].texts if text.get_text().startswith("Film")]
    boxes = sorted((name.get_window_extent() for name in names), key=lambda box: box.y0)
    assert len(boxes) == 6
    assert all(not first.overlaps(second) for first, second in pairwise(boxes))


def test_the_same_figure_gives_the_same_svg() -> None:
    first, second = (
        figures.svg(figures.popular_genres(frame_catalogue(adversarial()).genres(), SPANISH)) for _ in range(2)
    )
    assert first == second


def test_both_themes_have_readable_ink() -> None:
    for theme in (LIGHT, DARK):
        assert contrast(theme.ink, theme.paper) > 7
        assert min(contrast(colour, theme.paper) for colour in (theme.main, theme.second, *theme.series)) > 3


def contrast(one: str, other: str) -> float:
    """Return the WCAG contrast of two colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_numbers_are_written_as_the_language_does() -> None:
    assert SPANISH.texts.number(1234567.891, 1) == "1\u202f234\u202f567,9"
    assert ENGLISH.texts.number(1234567.891, 1) == "1\u202f234\u202f567.9"
    assert (SPANISH.texts.percent(0.125, 1), ENGLISH.texts.percent(0.125, 1)) == ("12,5\u202f%", "12.5%")
