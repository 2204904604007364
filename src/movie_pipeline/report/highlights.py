"""What stands out, in a few sentences: every number in them is one that tables, charts or metrics say as well."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from movie_pipeline.texts import Texts


def highlights(
    *,
    overview: Mapping[str, Any],
    films: pd.DataFrame,
    genres: pd.DataFrame,
    breached: Sequence[str],
    metrics: Mapping[str, Any],
    texts: Texts,
    small_group: int,
) -> list[str]:
    """Return the sentences that the data allow; a genre with fewer than `small_group` films is never called first.

    `breached` names the findings that are above their limit.
    """
    found = [
        _most_popular(films, texts),
        _genres(genres, small_group, texts),
        _profit(overview, texts),
        _money(overview, texts),
        _model(metrics, texts),
        _breaches(breached, texts),
    ]
    return [sentence for sentence in found if sentence]


def _most_popular(films: pd.DataFrame, texts: Texts) -> str:
    if films.empty:
        return ""
    first = films.iloc[0]
    year = "" if pd.isna(first["release_year"]) else f" ({first['release_year']:.0f})"
    popularity = texts.number(first["popularity"], 1)
    return texts.choose(
        f"La película más popular es {first['title']}{year}, con {popularity}.",
        f"The most popular film is {first['title']}{year}, with {popularity}.",
    )


def _genres(genres: pd.DataFrame, small_group: int, texts: Texts) -> str:
    popular = _first(genres, "popularity_median", "measured", small_group, texts, decimals=1)
    rated = _first(genres, "rating_mean", "rated", small_group, texts, decimals=2)
    if not popular or not rated:
        return ""
    return texts.choose(
        f"El género de popularidad mediana más alta es {popular}; el de mejor valoración media, {rated}.",
        f"The genre with the highest median popularity is {popular}; the one with the best mean rating, {rated}.",
    )


def _first(genres: pd.DataFrame, figure: str, n: str, small_group: int, texts: Texts, *, decimals: int) -> str:
    large = genres[genres[n] >= small_group].sort_values([figure, "genre"], ascending=[False, True])
    if large.empty:
        return ""
    first = large.iloc[0]
    return f"{texts.genre(first['genre'])} ({texts.number(first[figure], decimals)}; n = {texts.number(first[n])})"


def _profit(overview: Mapping[str, Any], texts: Texts) -> str:
    known, profitable = int(overview["rois"]), int(overview["profitable"])
    if not known:
        return ""
    share = texts.percent(profitable / known, 1)
    return texts.choose(
        f"De las {texts.number(known)} películas de presupuesto e ingresos conocidos, {texts.number(profitable)} "
        f"({share}) ingresaron más de lo que costaron.",
        f"Of the {texts.number(known)} films with known budget and revenue, {texts.number(profitable)} "
        f"({share}) brought in more than they cost.",
    )


def _money(overview: Mapping[str, Any], texts: Texts) -> str:
    films = int(overview["films"])
    if not films:
        return ""
    low, high = (texts.percent((films - int(overview[known])) / films, 1) for known in ("budgets", "revenues"))
    return texts.choose(
        f"El presupuesto se desconoce en el {low} de las películas y los ingresos en el {high}: lo que se dice del "
        "dinero vale para las demás.",
        f"The budget of {low} of the films is unknown, and the revenue of {high}: what is said about money holds for "
        "the others.",
    )


def _model(metrics: Mapping[str, Any], texts: Texts) -> str:
    if not metrics["trained"]:
        return ""
    after, before = (_margin(metrics["feature_sets"][name]["margin"], texts) for name in ("seed", "pre_release"))
    return texts.choose(
        f"El modelo se equivoca un {after} menos que quien siempre dice la mediana si conoce los votos, y un {before} "
        "menos con lo que se sabe antes del estreno.",
        f"The model is wrong by {after} less than always saying the median when it knows the votes, and by {before} "
        "less with what is known before release.",
    )


def _margin(margin: Mapping[str, float], texts: Texts) -> str:
    low, high = texts.percent(margin["low"], 1), texts.percent(margin["high"], 1)
    return f"{texts.percent(margin['share'], 1)} ({low} – {high})"


def _breaches(breached: Sequence[str], texts: Texts) -> str:
    names = [texts[f"finding_{name}"] for name in breached]
    if not names:
        return texts.choose(
            "Ningún hallazgo de calidad supera su límite.", "No finding about data quality is above its limit."
        )
    listed = ", ".join(names)
    return texts.choose(f"Superan su límite de calidad: {listed}.", f"Above their limit of data quality: {listed}.")
