"""What a load leaves in the database, but for serial ids and times of loading: what two runs are compared by."""

from collections import Counter
from contextlib import closing
from typing import Any

import psycopg2

CONTENT = {
    "movies": """SELECT id, tmdb_id, imdb_id, title, original_title, overview, original_language, status, release_date,
        runtime, budget, revenue, popularity, vote_average, vote_count, fetched_at, content_digest, links_digest,
        deleted_at FROM movies""",
    "genres": "SELECT id, tmdb_id, name FROM genres",
    "production_companies": "SELECT id, tmdb_id, name FROM production_companies",
    "people": "SELECT id, tmdb_id, name FROM people",
    "movie_genres": "SELECT * FROM movie_genres",
    "movie_production_companies": "SELECT * FROM movie_production_companies",
    "movie_directors": "SELECT * FROM movie_directors",
    "movie_cast": "SELECT * FROM movie_cast",
    "movie_history": """SELECT movie_id, row_number() OVER (PARTITION BY movie_id ORDER BY id), popularity,
        vote_average, vote_count, revenue FROM movie_history""",
    "movie_data_warehouse": """SELECT tmdb_id, title, release_date, release_year, genre, budget, revenue, runtime,
        director, popularity, vote_average, vote_count, roi, popularity_level, rating_level, is_profitable
        FROM movie_data_warehouse""",
}


def query(dsn: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run one statement and return its rows, if it has any."""
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


def content(dsn: str) -> dict[str, Counter[tuple[Any, ...]]]:
    """Return every table's rows with how often each stands there."""
    return {name: Counter(query(dsn, statement)) for name, statement in CONTENT.items()}
