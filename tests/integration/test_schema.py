"""The schema: by migrations, by plain SQL, from the models; and what a wrong one says."""

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from ingesting import query
from movie_pipeline.adapters.schema import create_schema_and_tables_raw, head, migrate, require_current
from movie_pipeline.adapters.tables import VIEW, VIEW_NAME, Base
from movie_pipeline.errors import StateConflictError

CATALOGUE = {
    "columns": """
        SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
               a.attgenerated, pg_get_expr(d.adbin, d.adrelid)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v') AND a.attnum > 0""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, contype, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace""",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'",
    "sequences": "SELECT sequencename, data_type::text, increment_by FROM pg_sequences WHERE schemaname = 'public'",
    "revision": "SELECT version_num FROM alembic_version",
}


def catalogue(dsn):
    return {name: sorted(query(dsn, statement), key=repr) for name, statement in CATALOGUE.items()}


def test_plain_sql_makes_the_schema_that_the_migrations_make(database, migrated_database):
    create_schema_and_tables_raw(database)
    assert catalogue(database) == catalogue(migrated_database)
    require_current(database)
    assert migrate(database) == head()


# Alembic compares a computed column's text, which PostgreSQL rewrites; the plain SQL holds that one to the models.
@pytest.mark.filterwarnings("ignore:Computed default on:UserWarning")
def test_the_models_and_the_migrated_database_do_not_differ(migrated_database):
    url = migrated_database.replace("postgresql://", "postgresql+psycopg2://")
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_the_view_is_the_one_that_the_models_declare(migrated_database):
    query(migrated_database, VIEW.replace(VIEW_NAME, "other"))
    mine, other = query(
        migrated_database, "SELECT definition FROM pg_views WHERE schemaname = 'public' ORDER BY viewname"
    )
    assert mine == other


def test_two_migrations_at_once_wait_for_one_another(database):
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(migrate(database, app_role="some_role"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [head()] * 4
    assert query(database, "SELECT count(*) FROM alembic_version") == [(1,)]


def test_a_database_without_schema_is_a_clear_error(database):
    with pytest.raises(StateConflictError, match="run `movie-pipeline migrate` first"):
        require_current(database)


def test_an_older_schema_is_a_clear_error_and_a_newer_one_is_fine(migrated_database, monkeypatch):
    query(migrated_database, "UPDATE alembic_version SET version_num = '9999_from_the_future'")
    require_current(migrated_database)
    query(migrated_database, "UPDATE alembic_version SET version_num = %s", head())
    monkeypatch.setattr("movie_pipeline.adapters.schema.head", lambda: "0002")
    with pytest.raises(StateConflictError, match="is at revision 0001, needed is 0002"):
        require_current(migrated_database)


def test_a_program_that_was_rolled_back_leaves_a_newer_schema_and_sets_the_roles_password(migrated_database):
    query(migrated_database, "ALTER TABLE movies ADD tagline text")
    query(migrated_database, "UPDATE alembic_version SET version_num = '9999_from_the_future'")
    before = catalogue(migrated_database)
    assert migrate(migrated_database, app_role="rolled_back", app_role_password="old") == "9999_from_the_future"
    assert catalogue(migrated_database) == before
    dsn = f"postgresql://rolled_back:old@{migrated_database.rpartition('@')[2]}"
    assert query(dsn, "SELECT current_user") == [("rolled_back",)]


def test_a_password_with_every_sign_reaches_the_server(postgres, database):
    password = "p@ss:/?#%'\"\\ ñ"
    migrate(database, app_role="odd_role", app_role_password=password)
    from urllib.parse import quote

    dsn = f"postgresql://odd_role:{quote(password, safe='')}@{database.rpartition('@')[2]}"
    assert query(dsn, "SELECT current_user") == [("odd_role",)]
