"""Synthetic films, as records of the topic, with the repetition of names that real films have.

The shapes follow the 20,000 films of the baseline that the figures are compared with: 2.5 genres a film, 3.0
companies, 1.25 directors, 9.9 cast members, and about 45,000 people and 7,100 companies in all, a few of them in
very many films (Zipf). The same seed gives the same films.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from movie_pipeline import messages
from movie_pipeline.messages import Record
from movie_pipeline.sample_api.catalogue import packaged

GENRES = (
    "Action", "Adventure", "Animation", "Comedy", "Crime", "Documentary", "Drama", "Family", "Fantasy", "History",
    "Horror", "Music", "Mystery", "Romance", "Science Fiction", "TV Movie", "Thriller", "War", "Western",
)  # fmt: skip
FETCHED_AT = datetime(2026, 11, 1, tzinfo=UTC)
WORDS = tuple(f"{head}{tail}" for head in ("an", "ber", "cor", "del", "fi", "gra", "hol", "in", "lu", "mar")
              for tail in ("da", "el", "ion", "to", "ves", "wick", "zar"))  # fmt: skip
PIECE = 10_000
"""Films that are drawn at once; a film does not depend on how many are asked for."""


class Shape(NamedTuple):
    """How many entities of a kind a film has, and how their popularity is spread."""

    most: int
    mean: float
    zipf: float
    pool: int


COMPANIES = Shape(most=12, mean=2.97, zipf=1.35, pool=150_000)
DIRECTORS = Shape(most=4, mean=1.25, zipf=1.12, pool=400_000)
CAST = Shape(most=10, mean=9.94, zipf=1.12, pool=1_500_000)


def records(films: int, *, partitions: int = 1, topic: str = "films", seed: int = 7) -> Iterator[Record]:
    """Yield records in the order of their ids; partition and offset as if they were spread evenly."""
    stamp = int(FETCHED_AT.timestamp() * 1000) + 86_400_000
    for index, message in enumerate(messages_of(films, seed=seed)):
        value = messages.encode(message)
        yield Record(topic, index % partitions, index // partitions, stamp, messages.key_of(message["id"]), value)


def messages_of(films: int, *, seed: int = 7) -> Iterator[dict[str, Any]]:
    """Yield messages as the producer publishes them, ids from 1."""
    for start in range(0, films, PIECE):
        piece = _Piece(start, seed)
        yield from (piece.message(index) for index in range(min(PIECE, films - start)))


def sample() -> list[Record]:
    """Return the packaged sample of real films as records of one partition."""
    stamp = int(FETCHED_AT.timestamp() * 1000)
    found = []
    for movie_id in (catalogue := packaged()).ids:
        message = messages.build(catalogue.film(movie_id) or {}, fetched_at=messages.SAMPLE_FETCHED_AT)
        found.append(Record("films", 0, len(found), stamp, messages.key_of(movie_id), messages.encode(message)))
    return found


class _Piece:
    """The draws for `PIECE` films."""

    def __init__(self, start: int, seed: int) -> None:
        self._start = start
        draw = np.random.default_rng((seed, start))
        self._genres = [
            draw.permutation(len(GENRES))[:count]
            for count in draw.choice([1, 2, 3, 4], PIECE, p=[0.15, 0.36, 0.34, 0.15])
        ]
        self._companies = _drawn(draw, COMPANIES)
        self._directors = _drawn(draw, DIRECTORS)
        self._cast = _drawn(draw, CAST)
        self._numbers = draw.random((PIECE, 6))
        self._words = draw.integers(0, len(WORDS), (PIECE, 52))

    def message(self, index: int) -> dict[str, Any]:
        movie_id = self._start + index + 1
        known, popularity, votes, money, gain, day = self._numbers[index].tolist()
        words = [WORDS[word] for word in self._words[index]]
        title = " ".join(words[:3]).title()
        genres = self._genres[index].tolist()
        people = (self._directors[index], self._cast[index])
        return {
            "id": movie_id,
            "title": title,
            "original_title": title if known < 0.8 else " ".join(words[3:6]).title(),
            "overview": " ".join(words[2 : 12 + int(40 * known)]),
            "release_date": (date(1950, 1, 1) + timedelta(days=int(day * 27_000))).isoformat(),
            "imdb_id": f"tt{movie_id:07d}",
            "original_language": "en" if known < 0.7 else "es",
            "status": "Released",
            "popularity": round(0.6 / (popularity + 0.005), 3),
            "vote_average": round(4 + 4 * known, 1),
            "vote_count": int(20 / (votes + 0.001)),
            "budget": int(money * 200_000_000) if known > 0.6 else 0,
            "revenue": int(gain * 900_000_000) if known > 0.55 else 0,
            "runtime": 60 + int(known * 120),
            "genres": [GENRES[genre] for genre in genres],
            "genre_ids": [genre + 1 for genre in genres],
            "production_companies": [f"Company {_name(company)}" for company in self._companies[index]],
            "production_company_ids": self._companies[index],
            "directors": [_name(person) for person in people[0]],
            "director_ids": people[0],
            "cast": [_name(person) for person in people[1]],
            "cast_ids": people[1],
            "schema_version": messages.SCHEMA_VERSION,
            "fetched_at": messages.utc_text(FETCHED_AT),
        }


def _drawn(draw: np.random.Generator, shape: Shape) -> list[list[int]]:
    """Draw distinct entities for each film, by bounded Zipf."""
    if shape.mean > shape.most - 1:
        counts = np.full(PIECE, shape.most)
        counts[draw.random(PIECE) < (shape.most - shape.mean)] -= 1
    else:
        counts = np.clip(draw.poisson(shape.mean - 1, PIECE) + 1, 1, shape.most)
    tail = 1 - shape.zipf
    # The inverse of a power law's distribution function, which is what a Zipf law is between its integers.
    spread = 1 - draw.random((PIECE, 3 * shape.most)) * (1 - float(shape.pool) ** tail)
    picked = np.minimum(spread ** (1 / tail), shape.pool).astype(np.int64)
    # Scattered, so that who is famous does not follow from the number.
    scattered = picked * 7_919 % 1_999_993 + 1
    return [list(dict.fromkeys(row))[:count] for row, count in zip(scattered.tolist(), counts.tolist(), strict=True)]


def _name(number: int) -> str:
    return f"{WORDS[number % len(WORDS)]} {WORDS[number // 7 % len(WORDS)]} {number}".title()
