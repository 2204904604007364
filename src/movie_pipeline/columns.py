"""Every column of the database, declared once: its kind, its unit, its meaning.

SQL types (`adapters.tables`), the dtypes of frames (`transform`) and the data dictionary
(`docs/data-dictionary.md`) follow from here.
"""

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What a value is; money and ids are 64-bit everywhere."""

    ID = "id"
    TMDB_ID = "tmdb id"
    COUNT = "count"
    MONEY = "money"
    REAL = "real"
    TEXT = "text"
    DATE = "date"
    FLAG = "flag"
    MOMENT = "moment"
    UTC = "utc timestamp"
    OFFSET = "offset"
    DIGEST = "digest"
    ORDER = "order"
    JSON = "json"


class Column(NamedTuple):
    """One column of a table."""

    name: str
    kind: Kind
    meaning: str
    unit: str = ""


ENTITY_ID = "The TMDB id, or minus a hash of the name for an entity known by name only"

MOVIES = (
    Column("id", Kind.ID, "The TMDB id"),
    Column("tmdb_id", Kind.TMDB_ID, "The TMDB id again, under the name that all entities share"),
    Column("imdb_id", Kind.TEXT, "IMDb's id"),
    Column("title", Kind.TEXT, "Title in the language asked for"),
    Column("original_title", Kind.TEXT, "Title in the original language"),
    Column("overview", Kind.TEXT, "Summary"),
    Column("original_language", Kind.TEXT, "ISO 639-1 code"),
    Column("status", Kind.TEXT, "TMDB's word: Released, Rumored, …"),
    Column("release_date", Kind.DATE, "First release"),
    Column("runtime", Kind.COUNT, "Running time; NULL when unknown", "minutes"),
    Column("budget", Kind.MONEY, "Budget; NULL when unknown", "US dollars"),
    Column("revenue", Kind.MONEY, "Box office; NULL when unknown", "US dollars"),
    Column("popularity", Kind.REAL, "TMDB's popularity; its scale has changed over the years"),
    Column("vote_average", Kind.REAL, "Mean rating; NULL without votes", "0 to 10"),
    Column("vote_count", Kind.COUNT, "Ratings given"),
    Column("fetched_at", Kind.MOMENT, "When TMDB was asked; older never overwrites newer"),
    Column(
        "message_offset", Kind.OFFSET, "Offset of the record that this row comes from; decides between equal fetched_at"
    ),
    Column("content_digest", Kind.DIGEST, "Hash of the cleaned film: equal means unchanged"),
    Column(
        "links_digest", Kind.DIGEST, "Hash of genres, companies, directors and cast: equal means the join rows stay"
    ),
    Column("deleted_at", Kind.MOMENT, "When the film was found gone at TMDB"),
)

ENTITY = (
    Column("id", Kind.ID, ENTITY_ID),
    Column("tmdb_id", Kind.TMDB_ID, "The TMDB id; NULL for an entity known by name only"),
    Column("name", Kind.TEXT, "Name; not unique among entities with an id"),
    Column("named_at", Kind.MOMENT, "fetched_at of the film that gave the name"),
)

MOVIE_GENRES = (
    Column("movie_id", Kind.ID, "movies.id"),
    Column("genre_id", Kind.ID, "genres.id"),
    Column("position", Kind.ORDER, "TMDB's order, from 0"),
)
MOVIE_COMPANIES = (
    Column("movie_id", Kind.ID, "movies.id"),
    Column("company_id", Kind.ID, "production_companies.id"),
    Column("position", Kind.ORDER, "TMDB's order, from 0"),
)
MOVIE_DIRECTORS = (
    Column("movie_id", Kind.ID, "movies.id"),
    Column("person_id", Kind.ID, "people.id"),
    Column("position", Kind.ORDER, "TMDB's order, from 0"),
)
MOVIE_CAST = (
    Column("movie_id", Kind.ID, "movies.id"),
    Column("person_id", Kind.ID, "people.id"),
    Column("billing_order", Kind.ORDER, "Billing order, from 0"),
)

WAREHOUSE = (
    Column("id", Kind.ID, "Serial key"),
    Column("tmdb_id", Kind.TMDB_ID, "The TMDB id"),
    Column("title", Kind.TEXT, "Title"),
    Column("release_date", Kind.TEXT, "First release as YYYY-MM-DD"),
    Column("release_year", Kind.COUNT, "Year of release_date"),
    Column("genre", Kind.TEXT, "One genre; a film has a row for each genre and director"),
    Column("budget", Kind.MONEY, "Budget; NULL when unknown", "US dollars"),
    Column("revenue", Kind.MONEY, "Box office; NULL when unknown", "US dollars"),
    Column("runtime", Kind.COUNT, "Running time", "minutes"),
    Column("director", Kind.TEXT, "One director"),
    Column("popularity", Kind.REAL, "TMDB's popularity"),
    Column("vote_average", Kind.REAL, "Mean rating", "0 to 10"),
    Column("vote_count", Kind.COUNT, "Ratings given"),
    Column("roi", Kind.REAL, "(revenue - budget) / budget; NULL unless both are known"),
    Column("popularity_level", Kind.TEXT, "Alta, Media, Baja or Muy Baja"),
    Column("rating_level", Kind.TEXT, "Excelente, Buena, Regular or Mala"),
    Column("is_profitable", Kind.FLAG, "roi > 0; NULL where roi is NULL"),
    Column("data_date", Kind.UTC, "When the load that last changed the row was committed"),
)

HISTORY = (
    Column("id", Kind.ID, "Serial key"),
    Column("movie_id", Kind.ID, "movies.id"),
    Column("popularity", Kind.REAL, "TMDB's popularity"),
    Column("vote_average", Kind.REAL, "Mean rating", "0 to 10"),
    Column("vote_count", Kind.COUNT, "Ratings given"),
    Column("revenue", Kind.MONEY, "Box office", "US dollars"),
    Column("data_date", Kind.UTC, "When this state was loaded"),
)

RUNS = (
    Column("id", Kind.TEXT, "run_id"),
    Column("verb", Kind.TEXT, "Verb of movie-pipeline; one run_id may cover several"),
    Column("source", Kind.TEXT, "Where the films came from: tmdb, sample, backup, postgresql"),
    Column("state", Kind.TEXT, "running, done, failed or degraded"),
    Column("counts", Kind.JSON, "What was counted"),
    Column("degraded", Kind.FLAG, "Finished by an alternative path"),
    Column("started", Kind.MOMENT, "Start"),
    Column("ended", Kind.MOMENT, "End"),
    Column("files", Kind.JSON, "Paths of the run's files"),
)
FINDINGS = (
    Column("run_id", Kind.TEXT, "The run that found it"),
    Column("verb", Kind.TEXT, "Its verb"),
    Column("finding", Kind.TEXT, "What was found"),
    Column("count", Kind.ID, "How often"),
    Column("detail", Kind.TEXT, "An example"),
)
OFFSETS = (
    Column("topic", Kind.TEXT, "Kafka topic"),
    Column("partition", Kind.COUNT, "Partition"),
    Column("next_offset", Kind.OFFSET, "First offset that has not taken effect"),
    Column("topic_id", Kind.TEXT, "Kafka's id of the topic, which tells a topic that was made anew"),
)
BATCHES = (
    Column("n", Kind.COUNT, "Number of the batch's folder"),
    Column("run_id", Kind.TEXT, "The consumer run"),
    Column("counts", Kind.JSON, "Counts of the batch"),
    Column("loaded", Kind.MOMENT, "Last commit of the batch"),
    Column("analysed", Kind.MOMENT, "When its charts and model were ready; NULL when analysed with a later batch"),
)
PRODUCER_STATE = (
    Column("name", Kind.TEXT, "Which crawl"),
    Column("state", Kind.JSON, "Its position"),
    Column("updated", Kind.MOMENT, "When it was saved"),
)
PRODUCER_RETRIES = (
    Column("movie_id", Kind.ID, "Film to look at again"),
    Column("attempts", Kind.COUNT, "Runs that failed on it"),
    Column("reason", Kind.TEXT, "unavailable, or gone (a first 404)"),
    Column("since", Kind.MOMENT, "First failure"),
)
RATE_BUDGET = (
    Column("name", Kind.TEXT, "Which budget"),
    Column("next_free", Kind.MOMENT, "When the next request may go out"),
)

TABLES: dict[str, tuple[Column, ...]] = {
    "movies": MOVIES,
    "genres": ENTITY,
    "production_companies": ENTITY,
    "people": ENTITY,
    "movie_genres": MOVIE_GENRES,
    "movie_production_companies": MOVIE_COMPANIES,
    "movie_directors": MOVIE_DIRECTORS,
    "movie_cast": MOVIE_CAST,
    "movie_data_warehouse": WAREHOUSE,
    "movie_history": HISTORY,
    "pipeline_runs": RUNS,
    "quality_findings": FINDINGS,
    "ingest_offsets": OFFSETS,
    "analysis_batches": BATCHES,
    "producer_state": PRODUCER_STATE,
    "producer_retries": PRODUCER_RETRIES,
    "rate_budget": RATE_BUDGET,
}
