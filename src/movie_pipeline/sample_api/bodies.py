"""Bodies of TMDB's answers, made from films in the sample's shape.

The sample holds facts only; keys of the real API that it lacks are added here with the values TMDB uses for "none".
"""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import orjson

GENRES: tuple[tuple[int, str], ...] = (
    (28, "Action"),
    (12, "Adventure"),
    (16, "Animation"),
    (35, "Comedy"),
    (80, "Crime"),
    (99, "Documentary"),
    (18, "Drama"),
    (10751, "Family"),
    (14, "Fantasy"),
    (36, "History"),
    (27, "Horror"),
    (10402, "Music"),
    (9648, "Mystery"),
    (10749, "Romance"),
    (878, "Science Fiction"),
    (10770, "TV Movie"),
    (53, "Thriller"),
    (10752, "War"),
    (37, "Western"),
)

GENRE_LIST = {"genres": [{"id": genre_id, "name": name} for genre_id, name in GENRES]}

CONFIGURATION = {
    "images": {
        "base_url": "http://image.tmdb.org/t/p/",
        "secure_base_url": "https://image.tmdb.org/t/p/",
        "backdrop_sizes": ["w300", "w780", "w1280", "original"],
        "logo_sizes": ["w45", "w92", "w154", "w185", "w300", "w500", "original"],
        "poster_sizes": ["w92", "w154", "w185", "w342", "w500", "w780", "original"],
        "profile_sizes": ["w45", "w185", "h632", "original"],
        "still_sizes": ["w92", "w185", "w300", "original"],
    },
    "change_keys": [
        "adult",
        "also_known_as",
        "budget",
        "cast",
        "crew",
        "genres",
        "overview",
        "release_dates",
        "revenue",
        "title",
        "video",
        "videos",
    ],
}

AUTHENTICATED = {"success": True, "status_code": 1, "status_message": "Success."}

ERRORS: Mapping[int, tuple[int, str]] = {
    4: (405, "Invalid format: This service doesn't exist in that format."),
    7: (401, "Invalid API key: You must be granted a valid key."),
    9: (503, "Service offline: This service is temporarily offline, try again later."),
    11: (500, "Internal error: Something went wrong, contact TMDB."),
    20: (422, "Invalid date range: Should be a range no longer than 14 days."),
    22: (400, "Invalid page: Pages start at 1 and max at 500. They are expected to be an integer."),
    23: (400, "Invalid date: Format needs to be YYYY-MM-DD."),
    24: (504, "Your request to the backend server timed out. Try again."),
    25: (429, "Your request count (#) is over the allowed limit of (40)."),
    27: (400, "Too many append to response objects: The maximum number of remote calls is 20."),
    34: (404, "The resource you requested could not be found."),
    43: (502, "Couldn't connect to the backend server."),
}
"""TMDB's code: HTTP status and message."""

CODE_OF_STATUS: Mapping[int, int] = {status: code for code, (status, _) in ERRORS.items() if code not in {22, 27}}

_LANGUAGES: Mapping[str, str] = orjson.loads((files(__package__) / "data" / "languages.json").read_bytes())


def error(code: int, message: str | None = None) -> tuple[int, dict[str, Any]]:
    """Return HTTP status and body of one of TMDB's errors."""
    status, text = ERRORS[code]
    return status, {"success": False, "status_code": code, "status_message": message or text}


def list_row(film: Mapping[str, Any]) -> dict[str, Any]:
    """Return a film as a row of a list."""
    copied = (
        "id",
        "title",
        "original_language",
        "original_title",
        "overview",
        "popularity",
        "release_date",
        "vote_average",
        "vote_count",
    )
    added = {
        "adult": False,
        "backdrop_path": None,
        "genre_ids": [genre["id"] for genre in film["genres"]],
        "poster_path": None,
    }
    return {**added, **{key: film[key] for key in copied}, "softcore": False, "video": False}


def page(rows: Sequence[Any], number: int, size: int, total: int) -> dict[str, Any]:
    """Return the envelope of one page; the number of pages runs past what the service gives out."""
    return {"page": number, "results": list(rows), "total_pages": max(-(-total // size), 1), "total_results": total}


def details(film: Mapping[str, Any], *, with_credits: bool) -> dict[str, Any]:
    """Return the answer of `/movie/{id}`."""
    countries = film["production_countries"]
    body = {
        "adult": False,
        "backdrop_path": None,
        "belongs_to_collection": None,
        "homepage": "",
        "poster_path": None,
        "softcore": False,
        "tagline": "",
        "video": False,
        "origin_country": [country["iso_3166_1"] for country in countries[:1]],
        **{key: value for key, value in film.items() if key != "credits"},
        "production_companies": [
            {**company, "logo_path": None, "origin_country": ""} for company in film["production_companies"]
        ],
        "spoken_languages": [_language(language) for language in film["spoken_languages"]],
    }
    return {**body, "credits": credit_lists(film)} if with_credits else body


def credit_lists(film: Mapping[str, Any]) -> dict[str, Any]:
    """Return cast and crew as `/movie/{id}/credits` gives them, without the id."""
    lists = film.get("credits") or {}
    return {
        "cast": [_person(person, "Acting") for person in lists.get("cast") or ()],
        "crew": [_person(person, person.get("department")) for person in lists.get("crew") or ()],
    }


def _language(language: Mapping[str, Any]) -> dict[str, Any]:
    return {**language, "english_name": _LANGUAGES.get(language["iso_639_1"], language["name"])}


def _person(person: Mapping[str, Any], department: str | None) -> dict[str, Any]:
    return {
        "adult": False,
        **person,
        "known_for_department": department,
        "original_name": person["name"],
        "popularity": 0,
        "profile_path": None,
    }
