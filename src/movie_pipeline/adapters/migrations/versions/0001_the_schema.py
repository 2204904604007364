"""The schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

VIEW = """
CREATE VIEW movies_in_warehouse AS
SELECT DISTINCT ON (tmdb_id) tmdb_id, title, release_date, release_year, budget, revenue, runtime, popularity,
       vote_average, vote_count, roi, popularity_level, rating_level, is_profitable, data_date
FROM movie_data_warehouse
ORDER BY tmdb_id, id
"""


def upgrade() -> None:
    """Expand the schema."""
    op.create_table(
        "analysis_batches",
        sa.Column("n", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("counts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("loaded", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("analysed", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("n"),
    )
    op.create_table(
        "genres",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "tmdb_id", sa.Integer(), sa.Computed("CASE WHEN id > 0 THEN id::integer END", persisted=True), nullable=True
        ),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("named_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tmdb_id"),
    )
    op.create_index("uq_genres_name_without_id", "genres", ["name"], unique=True, postgresql_where=sa.text("id < 0"))
    op.create_table(
        "ingest_offsets",
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("topic_id", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("topic", "partition"),
    )
    op.create_table(
        "movie_data_warehouse",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("tmdb_id", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("release_date", sa.String(), nullable=True),
        sa.Column("release_year", sa.Integer(), nullable=True),
        sa.Column("genre", sa.String(), nullable=True),
        sa.Column("budget", sa.BigInteger(), nullable=True),
        sa.Column("revenue", sa.BigInteger(), nullable=True),
        sa.Column("runtime", sa.Integer(), nullable=True),
        sa.Column("director", sa.String(), nullable=True),
        sa.Column("popularity", sa.Float(precision=53), nullable=True),
        sa.Column("vote_average", sa.Float(precision=53), nullable=True),
        sa.Column("vote_count", sa.Integer(), nullable=True),
        sa.Column("roi", sa.Float(precision=53), nullable=True),
        sa.Column("popularity_level", sa.String(), nullable=True),
        sa.Column("rating_level", sa.String(), nullable=True),
        sa.Column("is_profitable", sa.Boolean(), nullable=True),
        sa.Column("data_date", sa.DateTime(), server_default=sa.text("(now() AT TIME ZONE 'utc')"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_movie_data_warehouse_tmdb_id", "movie_data_warehouse", ["tmdb_id"], unique=False)
    op.create_table(
        "movie_history",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("movie_id", sa.BigInteger(), nullable=False),
        sa.Column("popularity", sa.Float(precision=53), nullable=True),
        sa.Column("vote_average", sa.Float(precision=53), nullable=True),
        sa.Column("vote_count", sa.Integer(), nullable=True),
        sa.Column("revenue", sa.BigInteger(), nullable=True),
        sa.Column("data_date", sa.DateTime(), server_default=sa.text("(now() AT TIME ZONE 'utc')"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_movie_history_movie_id", "movie_history", ["movie_id", "id"], unique=False)
    op.create_table(
        "movies",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tmdb_id", sa.Integer(), sa.Computed("id::integer", persisted=True), nullable=False),
        sa.Column("imdb_id", sa.String(), nullable=True),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("original_title", sa.String(), nullable=True),
        sa.Column("overview", sa.String(), nullable=True),
        sa.Column("original_language", sa.String(), nullable=True),
        sa.Column("status", sa.String(), nullable=True),
        sa.Column("release_date", sa.Date(), nullable=True),
        sa.Column("runtime", sa.Integer(), nullable=True),
        sa.Column("budget", sa.BigInteger(), nullable=True),
        sa.Column("revenue", sa.BigInteger(), nullable=True),
        sa.Column("popularity", sa.Float(precision=53), nullable=True),
        sa.Column("vote_average", sa.Float(precision=53), nullable=True),
        sa.Column("vote_count", sa.Integer(), nullable=True),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("message_offset", sa.BigInteger(), nullable=False),
        sa.Column("content_digest", sa.Uuid(), nullable=True),
        sa.Column("links_digest", sa.Uuid(), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("id > 0", name="ck_movies_id"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tmdb_id"),
    )
    op.create_index("ix_movies_fetched_at", "movies", ["fetched_at"], unique=False)
    op.create_table(
        "people",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "tmdb_id", sa.Integer(), sa.Computed("CASE WHEN id > 0 THEN id::integer END", persisted=True), nullable=True
        ),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("named_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tmdb_id"),
    )
    op.create_index("uq_people_name_without_id", "people", ["name"], unique=True, postgresql_where=sa.text("id < 0"))
    op.create_table(
        "pipeline_runs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("verb", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column(
            "counts", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("degraded", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("started", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "files", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", "verb"),
    )
    op.create_table(
        "producer_retries",
        sa.Column("movie_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("movie_id"),
    )
    op.create_table(
        "producer_state",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("state", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("updated", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "production_companies",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "tmdb_id", sa.Integer(), sa.Computed("CASE WHEN id > 0 THEN id::integer END", persisted=True), nullable=True
        ),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("named_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tmdb_id"),
    )
    op.create_index(
        "uq_production_companies_name_without_id",
        "production_companies",
        ["name"],
        unique=True,
        postgresql_where=sa.text("id < 0"),
    )
    op.create_table(
        "quality_findings",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("verb", sa.String(), nullable=False),
        sa.Column("finding", sa.String(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("detail", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", "verb", "finding"),
    )
    op.create_table(
        "rate_budget",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("next_free", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "movie_cast",
        sa.Column("movie_id", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("billing_order", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["movie_id"],
            ["movies.id"],
        ),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["people.id"],
        ),
        sa.PrimaryKeyConstraint("movie_id", "person_id"),
    )
    op.create_index("ix_movie_cast_person_id", "movie_cast", ["person_id"], unique=False)
    op.create_table(
        "movie_directors",
        sa.Column("movie_id", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["movie_id"],
            ["movies.id"],
        ),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["people.id"],
        ),
        sa.PrimaryKeyConstraint("movie_id", "person_id"),
    )
    op.create_index("ix_movie_directors_person_id", "movie_directors", ["person_id"], unique=False)
    op.create_table(
        "movie_genres",
        sa.Column("movie_id", sa.BigInteger(), nullable=False),
        sa.Column("genre_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["genre_id"],
            ["genres.id"],
        ),
        sa.ForeignKeyConstraint(
            ["movie_id"],
            ["movies.id"],
        ),
        sa.PrimaryKeyConstraint("movie_id", "genre_id"),
    )
    op.create_index("ix_movie_genres_genre_id", "movie_genres", ["genre_id"], unique=False)
    op.create_table(
        "movie_production_companies",
        sa.Column("movie_id", sa.BigInteger(), nullable=False),
        sa.Column("company_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id"],
            ["production_companies.id"],
        ),
        sa.ForeignKeyConstraint(
            ["movie_id"],
            ["movies.id"],
        ),
        sa.PrimaryKeyConstraint("movie_id", "company_id"),
    )
    op.create_index(
        "ix_movie_production_companies_company_id", "movie_production_companies", ["company_id"], unique=False
    )
    op.execute(VIEW)
