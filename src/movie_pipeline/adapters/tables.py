"""The schema as SQLAlchemy models: the single source that migrations follow and tests compare with.

Ids are deterministic: an entity's primary key is its TMDB id, or minus a hash of its name when a message gave
only the name. So a loader never has to look an id up, a join row can be written beside its entity, and the
tables do not depend on the order of loading.
"""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Computed,
    Date,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    String,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from movie_pipeline import columns
from movie_pipeline.columns import Kind

SQL_TYPES: dict[Kind, Any] = {
    Kind.ID: BigInteger,
    Kind.TMDB_ID: Integer,
    Kind.COUNT: Integer,
    Kind.MONEY: BigInteger,
    Kind.REAL: Float(53),
    Kind.TEXT: String,
    Kind.DATE: Date,
    Kind.FLAG: Boolean,
    Kind.MOMENT: DateTime(timezone=True),
    Kind.UTC: DateTime(timezone=False),
    Kind.OFFSET: BigInteger,
    Kind.DIGEST: Uuid,
    Kind.ORDER: SmallInteger,
    Kind.JSON: JSONB,
}
UTC_NOW = text("(now() AT TIME ZONE 'utc')")


class Base(DeclarativeBase):
    """Base of all models; the SQL type of a column follows from its kind in `columns`."""


def _column(name: str, *arguments: Any, **options: Any) -> Any:
    """Declare a column of the table that the caller's `_table` lists; kind decides the type."""
    table, _, column = name.partition(".")
    kind = next(item.kind for item in columns.TABLES[table] if item.name == column)
    return mapped_column(SQL_TYPES[kind], *arguments, **options)


def _tmdb_id(table: str, *, always: bool) -> Any:
    expression = "id::integer" if always else "CASE WHEN id > 0 THEN id::integer END"
    return _column(f"{table}.tmdb_id", Computed(expression, persisted=True), unique=True, nullable=not always)


def _named_once(table: str) -> tuple[Any, ...]:
    """An entity without a TMDB id is unique by name, and its key is below zero."""
    return (Index(f"uq_{table}_name_without_id", "name", unique=True, postgresql_where=text("id < 0")),)


class Movie(Base):
    """One film, as last fetched."""

    __tablename__ = "movies"
    __table_args__ = (CheckConstraint("id > 0", name="ck_movies_id"), Index("ix_movies_fetched_at", "fetched_at"))

    id: Mapped[int] = _column("movies.id", primary_key=True, autoincrement=False)
    tmdb_id: Mapped[int] = _tmdb_id("movies", always=True)
    imdb_id: Mapped[str | None] = _column("movies.imdb_id")
    title: Mapped[str] = _column("movies.title")
    original_title: Mapped[str | None] = _column("movies.original_title")
    overview: Mapped[str | None] = _column("movies.overview")
    original_language: Mapped[str | None] = _column("movies.original_language")
    status: Mapped[str | None] = _column("movies.status")
    release_date: Mapped[date | None] = _column("movies.release_date")
    runtime: Mapped[int | None] = _column("movies.runtime")
    budget: Mapped[int | None] = _column("movies.budget")
    revenue: Mapped[int | None] = _column("movies.revenue")
    popularity: Mapped[float | None] = _column("movies.popularity")
    vote_average: Mapped[float | None] = _column("movies.vote_average")
    vote_count: Mapped[int | None] = _column("movies.vote_count")
    fetched_at: Mapped[datetime] = _column("movies.fetched_at")
    message_offset: Mapped[int] = _column("movies.message_offset")
    content_digest: Mapped[UUID | None] = _column("movies.content_digest")
    links_digest: Mapped[UUID | None] = _column("movies.links_digest")
    deleted_at: Mapped[datetime | None] = _column("movies.deleted_at")

    genres: Mapped[list["Genre"]] = relationship(
        secondary="movie_genres", back_populates="movies", order_by="movie_genres.c.position"
    )
    production_companies: Mapped[list["ProductionCompany"]] = relationship(
        secondary="movie_production_companies",
        back_populates="movies",
        order_by="movie_production_companies.c.position",
    )
    directors: Mapped[list["Person"]] = relationship(
        secondary="movie_directors", back_populates="directed", order_by="movie_directors.c.position"
    )
    cast: Mapped[list["Person"]] = relationship(
        secondary="movie_cast", back_populates="acted_in", order_by="movie_cast.c.billing_order"
    )


class Genre(Base):
    """A genre."""

    __tablename__ = "genres"
    __table_args__ = _named_once("genres")

    id: Mapped[int] = _column("genres.id", primary_key=True, autoincrement=False)
    tmdb_id: Mapped[int | None] = _tmdb_id("genres", always=False)
    name: Mapped[str] = _column("genres.name")
    named_at: Mapped[datetime] = _column("genres.named_at")
    movies: Mapped[list[Movie]] = relationship(secondary="movie_genres", back_populates="genres")


class ProductionCompany(Base):
    """A production company; names are not unique, ids are."""

    __tablename__ = "production_companies"
    __table_args__ = _named_once("production_companies")

    id: Mapped[int] = _column("production_companies.id", primary_key=True, autoincrement=False)
    tmdb_id: Mapped[int | None] = _tmdb_id("production_companies", always=False)
    name: Mapped[str] = _column("production_companies.name")
    named_at: Mapped[datetime] = _column("production_companies.named_at")
    movies: Mapped[list[Movie]] = relationship(
        secondary="movie_production_companies", back_populates="production_companies"
    )


class Person(Base):
    """A director or cast member; names are not unique, ids are."""

    __tablename__ = "people"
    __table_args__ = _named_once("people")

    id: Mapped[int] = _column("people.id", primary_key=True, autoincrement=False)
    tmdb_id: Mapped[int | None] = _tmdb_id("people", always=False)
    name: Mapped[str] = _column("people.name")
    named_at: Mapped[datetime] = _column("people.named_at")
    directed: Mapped[list[Movie]] = relationship(secondary="movie_directors", back_populates="directors")
    acted_in: Mapped[list[Movie]] = relationship(secondary="movie_cast", back_populates="cast")


class MovieGenre(Base):
    """A film's genre."""

    __tablename__ = "movie_genres"
    __table_args__ = (Index("ix_movie_genres_genre_id", "genre_id"),)

    movie_id: Mapped[int] = _column("movie_genres.movie_id", ForeignKey("movies.id"), primary_key=True)
    genre_id: Mapped[int] = _column("movie_genres.genre_id", ForeignKey("genres.id"), primary_key=True)
    position: Mapped[int] = _column("movie_genres.position")


class MovieCompany(Base):
    """A film's production company."""

    __tablename__ = "movie_production_companies"
    __table_args__ = (Index("ix_movie_production_companies_company_id", "company_id"),)

    movie_id: Mapped[int] = _column("movie_production_companies.movie_id", ForeignKey("movies.id"), primary_key=True)
    company_id: Mapped[int] = _column(
        "movie_production_companies.company_id", ForeignKey("production_companies.id"), primary_key=True
    )
    position: Mapped[int] = _column("movie_production_companies.position")


class MovieDirector(Base):
    """A film's director."""

    __tablename__ = "movie_directors"
    __table_args__ = (Index("ix_movie_directors_person_id", "person_id"),)

    movie_id: Mapped[int] = _column("movie_directors.movie_id", ForeignKey("movies.id"), primary_key=True)
    person_id: Mapped[int] = _column("movie_directors.person_id", ForeignKey("people.id"), primary_key=True)
    position: Mapped[int] = _column("movie_directors.position")


class MovieCast(Base):
    """A film's cast member; a person stands once, at the first billing."""

    __tablename__ = "movie_cast"
    __table_args__ = (Index("ix_movie_cast_person_id", "person_id"),)

    movie_id: Mapped[int] = _column("movie_cast.movie_id", ForeignKey("movies.id"), primary_key=True)
    person_id: Mapped[int] = _column("movie_cast.person_id", ForeignKey("people.id"), primary_key=True)
    billing_order: Mapped[int] = _column("movie_cast.billing_order")


class WarehouseRow(Base):
    """One film x genre x director, denormalized for analysis."""

    __tablename__ = "movie_data_warehouse"
    __table_args__ = (Index("ix_movie_data_warehouse_tmdb_id", "tmdb_id"),)

    id: Mapped[int] = _column("movie_data_warehouse.id", Identity(always=False), primary_key=True)
    tmdb_id: Mapped[int] = _column("movie_data_warehouse.tmdb_id")
    title: Mapped[str] = _column("movie_data_warehouse.title")
    release_date: Mapped[str | None] = _column("movie_data_warehouse.release_date")
    release_year: Mapped[int | None] = _column("movie_data_warehouse.release_year")
    genre: Mapped[str | None] = _column("movie_data_warehouse.genre")
    budget: Mapped[int | None] = _column("movie_data_warehouse.budget")
    revenue: Mapped[int | None] = _column("movie_data_warehouse.revenue")
    runtime: Mapped[int | None] = _column("movie_data_warehouse.runtime")
    director: Mapped[str | None] = _column("movie_data_warehouse.director")
    popularity: Mapped[float | None] = _column("movie_data_warehouse.popularity")
    vote_average: Mapped[float | None] = _column("movie_data_warehouse.vote_average")
    vote_count: Mapped[int | None] = _column("movie_data_warehouse.vote_count")
    roi: Mapped[float | None] = _column("movie_data_warehouse.roi")
    popularity_level: Mapped[str | None] = _column("movie_data_warehouse.popularity_level")
    rating_level: Mapped[str | None] = _column("movie_data_warehouse.rating_level")
    is_profitable: Mapped[bool | None] = _column("movie_data_warehouse.is_profitable")
    data_date: Mapped[datetime] = _column("movie_data_warehouse.data_date", server_default=UTC_NOW)


class HistoryRow(Base):
    """A film's moving numbers, whenever one of them changed."""

    __tablename__ = "movie_history"
    __table_args__ = (Index("ix_movie_history_movie_id", "movie_id", "id"),)

    id: Mapped[int] = _column("movie_history.id", Identity(always=False), primary_key=True)
    movie_id: Mapped[int] = _column("movie_history.movie_id")
    popularity: Mapped[float | None] = _column("movie_history.popularity")
    vote_average: Mapped[float | None] = _column("movie_history.vote_average")
    vote_count: Mapped[int | None] = _column("movie_history.vote_count")
    revenue: Mapped[int | None] = _column("movie_history.revenue")
    data_date: Mapped[datetime] = _column("movie_history.data_date", server_default=UTC_NOW)


class Run(Base):
    """One invocation of a verb: what tasks need from one another is found here."""

    __tablename__ = "pipeline_runs"

    id: Mapped[str] = _column("pipeline_runs.id", primary_key=True)
    verb: Mapped[str] = _column("pipeline_runs.verb", primary_key=True)
    source: Mapped[str | None] = _column("pipeline_runs.source")
    state: Mapped[str] = _column("pipeline_runs.state")
    counts: Mapped[dict[str, Any]] = _column("pipeline_runs.counts", server_default=text("'{}'::jsonb"))
    degraded: Mapped[bool] = _column("pipeline_runs.degraded", server_default=text("false"))
    started: Mapped[datetime] = _column("pipeline_runs.started", server_default=text("now()"))
    ended: Mapped[datetime | None] = _column("pipeline_runs.ended")
    files: Mapped[dict[str, Any]] = _column("pipeline_runs.files", server_default=text("'{}'::jsonb"))


class Finding(Base):
    """A counted finding about data quality."""

    __tablename__ = "quality_findings"

    run_id: Mapped[str] = _column("quality_findings.run_id", primary_key=True)
    verb: Mapped[str] = _column("quality_findings.verb", primary_key=True)
    finding: Mapped[str] = _column("quality_findings.finding", primary_key=True)
    count: Mapped[int] = _column("quality_findings.count")
    detail: Mapped[str | None] = _column("quality_findings.detail")


class IngestOffset(Base):
    """Position of the loads in one partition, moved in the same transaction as the rows."""

    __tablename__ = "ingest_offsets"

    topic: Mapped[str] = _column("ingest_offsets.topic", primary_key=True)
    partition: Mapped[int] = _column("ingest_offsets.partition", primary_key=True, autoincrement=False)
    next_offset: Mapped[int] = _column("ingest_offsets.next_offset")
    topic_id: Mapped[str | None] = _column("ingest_offsets.topic_id")


class AnalysisBatch(Base):
    """A batch of the consumer, for the numbers of the `batch_{n}` folders."""

    __tablename__ = "analysis_batches"

    n: Mapped[int] = _column("analysis_batches.n", Identity(always=False), primary_key=True)
    run_id: Mapped[str] = _column("analysis_batches.run_id")
    counts: Mapped[dict[str, Any]] = _column("analysis_batches.counts")
    loaded: Mapped[datetime] = _column("analysis_batches.loaded", server_default=text("now()"))
    analysed: Mapped[datetime | None] = _column("analysis_batches.analysed")


class ProducerState(Base):
    """How far a crawl has come."""

    __tablename__ = "producer_state"

    name: Mapped[str] = _column("producer_state.name", primary_key=True)
    state: Mapped[dict[str, Any]] = _column("producer_state.state")
    updated: Mapped[datetime] = _column("producer_state.updated", server_default=text("now()"))


class ProducerRetry(Base):
    """A film that the next producer run takes up again."""

    __tablename__ = "producer_retries"

    movie_id: Mapped[int] = _column("producer_retries.movie_id", primary_key=True, autoincrement=False)
    attempts: Mapped[int] = _column("producer_retries.attempts")
    reason: Mapped[str] = _column("producer_retries.reason")
    since: Mapped[datetime] = _column("producer_retries.since", server_default=text("now()"))


class RateBudget(Base):
    """The request budget that several producers share."""

    __tablename__ = "rate_budget"

    name: Mapped[str] = _column("rate_budget.name", primary_key=True)
    next_free: Mapped[datetime] = _column("rate_budget.next_free")


VIEW_NAME = "movies_in_warehouse"
VIEW = f"""
CREATE VIEW {VIEW_NAME} AS
SELECT DISTINCT ON (tmdb_id) tmdb_id, title, release_date, release_year, budget, revenue, runtime, popularity,
       vote_average, vote_count, roi, popularity_level, rating_level, is_profitable, data_date
FROM movie_data_warehouse
ORDER BY tmdb_id, id
"""  # noqa: S608 - our own name
"""Each film of the warehouse once: what sums and means are to be taken over."""
