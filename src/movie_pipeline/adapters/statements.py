"""The SQL of the loader: set-based, keys in sorted order, and nothing written that is stored already."""

MOVE_OFFSET = "UPDATE ingest_offsets SET next_offset = %s WHERE topic = %s AND partition = %s AND next_offset = %s"

STORED = """
SELECT id, (extract(epoch FROM fetched_at) * 1000000)::bigint, message_offset,
       replace(content_digest::text, '-', ''), replace(links_digest::text, '-', '')
FROM movies WHERE id = ANY(%s::bigint[])
"""

STAGING = """
CREATE TEMP TABLE stage_movies (LIKE movies) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE stage_genres (id bigint, name varchar, named_at timestamptz) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE stage_production_companies (LIKE stage_genres) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE stage_people (LIKE stage_genres) ON COMMIT DELETE ROWS;
ALTER TABLE stage_movies ALTER tmdb_id DROP NOT NULL;
"""

PUT_NEW = """
INSERT INTO {table} (id, name, named_at) SELECT id, name, named_at FROM stage_{table} ORDER BY id
ON CONFLICT (id) DO NOTHING
"""

# The join keeps rows that stay as they are from being locked, and so from being written.
PUT_NEWER_NAMES = """
INSERT INTO {table} AS old (id, name, named_at)
SELECT new.id, new.name, new.named_at
FROM stage_{table} AS new JOIN {table} AS stored USING (id)
WHERE stored.name <> new.name AND (new.named_at, new.name) > (stored.named_at, stored.name)
ORDER BY new.id
ON CONFLICT (id) DO UPDATE SET name = excluded.name, named_at = excluded.named_at
WHERE old.name <> excluded.name AND (excluded.named_at, excluded.name) > (old.named_at, old.name)
"""

# `xmin` is the transaction that wrote the row: what others have written, or this one's forerunners, stays.
WITHDRAW = """
DELETE FROM {table} AS entity WHERE id = ANY(%s) AND xmin = %s::xid AND {unnamed}
"""

# Whoever commits rows that need these waits for the disk, and so for all that was written before.
BEGIN_AHEAD = """
SET LOCAL synchronous_commit = off;
SELECT next_offset, pg_current_xact_id()::xid::text FROM ingest_offsets WHERE topic = %s AND partition = %s
"""

STORED_IDS = "SELECT id FROM movies WHERE id = ANY(%s::bigint[])"

UPDATE_HISTORY = """
INSERT INTO movie_history (movie_id, popularity, vote_average, vote_count, revenue)
SELECT new.id, new.popularity, new.vote_average, new.vote_count, new.revenue
FROM stage_movies AS new JOIN movies AS old USING (id)
WHERE (new.popularity, new.vote_average, new.vote_count, new.revenue)
      IS DISTINCT FROM (old.popularity, old.vote_average, old.vote_count, old.revenue)
ORDER BY new.id
"""

UPDATE_MOVIES = """
UPDATE movies AS old
SET imdb_id = new.imdb_id, title = new.title, original_title = new.original_title, overview = new.overview,
    original_language = new.original_language, status = new.status, release_date = new.release_date,
    runtime = new.runtime, budget = new.budget, revenue = new.revenue, popularity = new.popularity,
    vote_average = new.vote_average, vote_count = new.vote_count, fetched_at = new.fetched_at,
    message_offset = new.message_offset, content_digest = new.content_digest, links_digest = new.links_digest,
    deleted_at = NULL
FROM stage_movies AS new WHERE old.id = new.id
"""

REFRESH = """
UPDATE movies AS old SET fetched_at = new.fetched_at, message_offset = new.message_offset
FROM (VALUES %s) AS new (id, fetched_at, message_offset) WHERE old.id = new.id
"""

BURY = """
UPDATE movies AS old
SET deleted_at = gone.at, fetched_at = gone.at, message_offset = gone.message_offset, content_digest = NULL
FROM (VALUES %s) AS gone (id, at, message_offset)
WHERE old.id = gone.id AND (gone.at, gone.message_offset) > (old.fetched_at, old.message_offset)
RETURNING old.id
"""

ADD_FINDINGS = """
INSERT INTO quality_findings AS old (run_id, verb, finding, count) VALUES %s
ON CONFLICT (run_id, verb, finding) DO UPDATE SET count = old.count + excluded.count
"""
