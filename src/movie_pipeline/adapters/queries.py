"""The SQL of the published aggregates; only constants are put into its text, values are parameters."""
# ruff: noqa: S608 - see above

from movie_pipeline import quality

LIVE = "movies WHERE deleted_at IS NULL"

OVERVIEW = f"""
SELECT count(*) AS films, count(budget) AS budgets, count(revenue) AS revenues,
       count(*) FILTER (WHERE budget > 0 AND revenue IS NOT NULL) AS rois,
       count(*) FILTER (WHERE budget > 0 AND revenue > budget) AS profitable, count(vote_average) AS rated,
       count(popularity) AS measured, sum(revenue)::float8 AS revenue, min(release_date) AS first_release,
       max(release_date) AS last_release, max(fetched_at) AS fetched_at,
       percentile_cont(ARRAY[0.1, 0.25, 0.5, 0.75, 0.9, 0.99]) WITHIN GROUP (ORDER BY popularity) AS popularity
FROM {LIVE}
"""

TOP_FILMS = f"""
SELECT id, title, release_date, extract(year FROM release_date)::int AS release_year, popularity,
       100 * percentile AS percentile, vote_average, vote_count,
       CASE WHEN budget > 0 THEN (revenue - budget)::float8 / budget END AS roi
FROM (SELECT movies.*, cume_dist() OVER (ORDER BY popularity) AS percentile
      FROM {LIVE} AND popularity IS NOT NULL) films
ORDER BY popularity DESC, id
LIMIT %(limit)s
"""

GROUP_FIGURES = """
       count(*) AS films, count(popularity) AS measured,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY popularity) AS popularity_median,
       percentile_cont(0.25) WITHIN GROUP (ORDER BY popularity) AS popularity_q1,
       percentile_cont(0.75) WITHIN GROUP (ORDER BY popularity) AS popularity_q3,
       count(vote_average) AS rated, avg(vote_average) AS rating_mean,
       percentile_cont(0.25) WITHIN GROUP (ORDER BY vote_average) AS rating_q1,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY vote_average) AS rating_median,
       percentile_cont(0.75) WITHIN GROUP (ORDER BY vote_average) AS rating_q3,
       count(roi) AS rois, percentile_cont(0.5) WITHIN GROUP (ORDER BY roi) AS roi_median,
       count(*) FILTER (WHERE roi > 0) AS profitable
"""
FILMS = f"""
films AS (SELECT id, popularity, vote_average, budget, revenue, extract(year FROM release_date)::int AS release_year,
                 CASE WHEN budget > 0 THEN (revenue - budget)::float8 / budget END AS roi FROM {LIVE})
"""

# A name stands for the genre: two entities of one name (with and without a TMDB id) are one bar.
GENRES = f"""
WITH {FILMS}, members AS (
    SELECT DISTINCT genres.name, movie_genres.movie_id
    FROM movie_genres JOIN genres ON genres.id = movie_genres.genre_id
)
SELECT members.name AS genre, {GROUP_FIGURES}
FROM members JOIN films ON films.id = members.movie_id
GROUP BY members.name ORDER BY films DESC, members.name COLLATE "C"
"""

DIRECTORS = f"""
WITH {FILMS}, prolific AS (
    SELECT person_id FROM movie_directors GROUP BY person_id HAVING count(*) >= %(min_films)s
)
SELECT people.id, people.name AS director, {GROUP_FIGURES}
FROM prolific JOIN movie_directors USING (person_id) JOIN films ON films.id = movie_directors.movie_id
JOIN people ON people.id = person_id
GROUP BY people.id, people.name HAVING count(*) >= %(min_films)s
ORDER BY popularity_median DESC NULLS LAST, people.id
LIMIT %(limit)s
"""

LEVELS = """
SELECT popularity_level, rating_level, count(*) AS films
FROM movies_in_warehouse GROUP BY 1, 2
ORDER BY popularity_level COLLATE "C", rating_level COLLATE "C"
"""

DECADES = f"""
WITH {FILMS}
SELECT release_year / 10 * 10 AS decade, count(*) AS films,
       count(budget) AS budgets, percentile_cont(0.5) WITHIN GROUP (ORDER BY budget) AS budget_median,
       count(revenue) AS revenues, percentile_cont(0.5) WITHIN GROUP (ORDER BY revenue) AS revenue_median,
       count(roi) AS rois, percentile_cont(0.5) WITHIN GROUP (ORDER BY roi) AS roi_median,
       count(*) FILTER (WHERE roi > 0) AS profitable
FROM films WHERE release_year IS NOT NULL GROUP BY 1 ORDER BY 1
"""

HISTORY = """
WITH moved AS (
    SELECT movie_id, max(popularity) - min(popularity) AS moved
    FROM movie_history GROUP BY movie_id HAVING max(popularity) > min(popularity)
), movers AS (
    SELECT movies.id, movies.title, moved.moved FROM moved JOIN movies ON movies.id = moved.movie_id
    WHERE movies.deleted_at IS NULL ORDER BY moved.moved DESC, movies.id LIMIT %(limit)s
), points AS MATERIALIZED (
    SELECT movers.id, movers.title, movers.moved, movie_history.id AS point, movie_history.data_date,
           movie_history.popularity, movie_history.data_date::date AS load_day
    FROM movers JOIN movie_history ON movie_history.movie_id = movers.id
), ranks AS (
    SELECT points.point, 100.0 * count(*) FILTER (WHERE others.popularity <= points.popularity) / count(*) AS percentile
    FROM points JOIN movie_history AS others ON others.data_date::date = points.load_day
    WHERE others.popularity IS NOT NULL AND points.popularity IS NOT NULL
    GROUP BY points.point HAVING count(*) >= %(load)s
)
SELECT id, title, data_date, popularity, percentile::float8
FROM points LEFT JOIN ranks USING (point)
ORDER BY moved DESC, id, data_date, point
"""


def _without(table: str) -> str:
    return f"count(*) FILTER (WHERE NOT EXISTS (SELECT FROM {table} WHERE {table}.movie_id = movies.id))"


FINDINGS = f"""
SELECT count(*) - count(budget) AS {quality.UNKNOWN_BUDGET}, count(*) - count(revenue) AS {quality.UNKNOWN_REVENUE},
       count(*) FILTER (WHERE budget BETWEEN 1 AND %(below)s - 1 OR revenue BETWEEN 1 AND %(below)s - 1)
           AS {quality.MONEY_IN_MILLIONS},
       count(*) - count(release_date) AS {quality.UNKNOWN_DATE},
       count(*) FILTER (WHERE extract(year FROM release_date) NOT BETWEEN %(first)s
                              AND extract(year FROM fetched_at AT TIME ZONE 'utc') + %(ahead)s)
           AS {quality.IMPLAUSIBLE_DATE},
       count(*) - count(vote_average) AS {quality.UNRATED},
       {_without("movie_genres")} AS {quality.NO_GENRE}, {_without("movie_directors")} AS {quality.NO_DIRECTOR},
       {_without("movie_cast")} AS {quality.NO_CAST}, {_without("movie_production_companies")} AS {quality.NO_COMPANY},
       count(*) FILTER (WHERE EXISTS (SELECT FROM movie_genres
                                      WHERE movie_id = movies.id AND genre_id <> ALL (%(known)s)))
           AS {quality.UNKNOWN_GENRE}
FROM {LIVE}
"""

NAMESAKES = """
SELECT count(*), (array_agg(name ORDER BY bearers DESC, name COLLATE "C"))[1]
FROM (SELECT name, count(*) AS bearers FROM people WHERE id > 0 GROUP BY name HAVING count(*) > 1) shared
"""
SAME_TITLE = f"""
SELECT coalesce(sum(films), 0)::bigint, (array_agg(title ORDER BY films DESC, title COLLATE "C"))[1]
FROM (SELECT title, count(*) AS films FROM {LIVE} GROUP BY title HAVING count(*) > 1) shared
"""
UNKNOWN_GENRE_NAMES = """
SELECT string_agg(DISTINCT genres.name, ', ') FROM genres WHERE id <> ALL (%(known)s)
"""

CORRECTIONS = """
SELECT finding, sum(count)::bigint AS count, min(detail) AS detail
FROM quality_findings WHERE finding <> ALL (%(ours)s) AND verb <> 'process'
GROUP BY finding ORDER BY finding COLLATE "C"
"""


def _names(table: str, entity: str, key: str, order: str) -> str:
    """Return the array of a film's entity names.

    Each name is looked up by its key. A join leaves the way to the planner, which right after a load knows nothing of
    the tables yet, takes a film for one with hundreds of people, and reads all people once for each film.
    """
    return f"""ARRAY(SELECT (SELECT name FROM {entity} WHERE {entity}.id = {table}.{key})
               FROM {table} WHERE {table}.movie_id = movies.id ORDER BY {table}.{order}, {key})"""


FILM_COLUMNS = f"""
SELECT id, title, release_date, runtime, budget, revenue, popularity, vote_average, vote_count, original_language,
       {_names("movie_genres", "genres", "genre_id", "position")} AS genres,
       {_names("movie_production_companies", "production_companies", "company_id", "position")} AS production_companies,
       {_names("movie_directors", "people", "person_id", "position")} AS directors,
       {_names("movie_cast", "people", "person_id", "billing_order")} AS "cast"
FROM movies
"""

# The hash of the id is a fixed lottery: the same films whatever the order of loading.
TRAINING = f"""
WITH chosen AS (
    SELECT id AS chosen_id FROM {LIVE} AND popularity IS NOT NULL AND vote_average IS NOT NULL
    ORDER BY md5(id::text), id LIMIT %(limit)s
)
{FILM_COLUMNS} JOIN chosen ON chosen_id = movies.id ORDER BY movies.id
"""
FILM = f"{FILM_COLUMNS} WHERE id = %(id)s AND deleted_at IS NULL"


def _entities(names: str, ids: str, source: tuple[str, str, str, str]) -> str:
    """Return two arrays from (join table, entity, its key, order); an entity that is known by name only has no id."""
    table, _, key, order = source
    linked = f"FROM {table} WHERE {table}.movie_id = movies.id"
    return f"""'{names}', {_names(*source)},
       '{ids}', ARRAY(SELECT CASE WHEN {key} > 0 THEN {key} END {linked} ORDER BY {table}.{order}, {key})"""


_COMPANIES = ("movie_production_companies", "production_companies", "company_id", "position")
MESSAGES = f"""
SELECT id, json_build_object('id', id, 'title', title, 'original_title', original_title, 'overview', overview,
       'release_date', release_date, 'popularity', popularity, 'vote_average', vote_average, 'vote_count', vote_count,
       'budget', budget, 'revenue', revenue, 'runtime', runtime, 'imdb_id', imdb_id,
       'original_language', original_language, 'status', status,
       {_entities("genres", "genre_ids", ("movie_genres", "genres", "genre_id", "position"))},
       {_entities("production_companies", "production_company_ids", _COMPANIES)},
       {_entities("directors", "director_ids", ("movie_directors", "people", "person_id", "position"))},
       {_entities("cast", "cast_ids", ("movie_cast", "people", "person_id", "billing_order"))},
       'schema_version', 1,
       'fetched_at', to_char(fetched_at AT TIME ZONE 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))::text
FROM {LIVE} ORDER BY fetched_at DESC, id LIMIT %(limit)s
"""
