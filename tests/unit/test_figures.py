"""Figures: every chart of every data set draws, nothing overlaps, no font warning, small groups stand apart."""

from itertools import pairwise
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysed import DATASETS, adversarial, film, frame_catalogue
from movie_pipeline import figures
from movie_pipeline.figures import DARK, LIGHT, Style
from movie_pipeline.settings import Language
from movie_pipeline.texts import Texts

SPANISH, ENGLISH = Style(Texts(Language.SPANISH)), Style(Texts(Language.ENGLISH), DARK)
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
        "trends": figures.trends(catalogue.history(6), style),
    }


def words(figure: Figure) -> list[str]:
    """Return every text that a figure shows."""
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_visible() and text.get_text()]


@pytest.mark.parametrize("name", sorted(DATASETS.keys() - {"sample"}))
@pytest.mark.parametrize("style", [SPANISH, ENGLISH])
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


def test_small_groups_stand_below_a_line_that_says_so_and_every_group_says_its_n() -> None:
    films = tuple(film(number, genres=["Big"], genre_ids=[18]) for number in range(1, 41))
    films += (film(99, genres=["Small"], genre_ids=[28], vote_average=9.9, popularity=900.0),)
    genres = frame_catalogue(films).genres()
    for figure in (figures.popular_genres(genres, SPANISH), figures.genre_ratings(genres, SPANISH)):
        labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        assert labels == ["Big (n = 40)", "Small (n = 1)"]
        assert "Menos de 30 películas: sin ordenar con las demás" in words(figure)


def test_trends_name_their_lines_apart_from_each_other() -> None:
    moments = pd.date_range("2026-01-01", periods=4)
    rows = [(key, f"Film {key}", at, 100.0 + key / 10 + step) for key in range(6) for step, at in enumerate(moments)]
    figure = figures.trends(pd.DataFrame(rows, columns=["id", "title", "data_date", "popularity"]), SPANISH)
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
