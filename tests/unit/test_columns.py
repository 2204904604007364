"""Columns are declared once: models, frames and COPY lists follow from the declaration."""

from movie_pipeline import columns, levels
from movie_pipeline.adapters.tables import SQL_TYPES, Base
from movie_pipeline.columns import Kind
from movie_pipeline.transform.normalize import HISTORY_COLUMNS, LINKS, MOVIE_COLUMNS
from movie_pipeline.transform.star import WAREHOUSE_COLUMNS

SEED_WAREHOUSE = (
    "id", "tmdb_id", "title", "release_date", "release_year", "genre", "budget", "revenue", "runtime", "director",
    "popularity", "vote_average", "vote_count", "roi", "popularity_level", "rating_level", "is_profitable", "data_date",
)  # fmt: skip


def test_every_table_has_the_declared_columns_in_their_order_and_kinds():
    tables = Base.metadata.tables
    assert set(tables) == set(columns.TABLES)
    for name, declared in columns.TABLES.items():
        assert [column.name for column in tables[name].columns] == [column.name for column in declared], name
        for column in declared:
            expected = SQL_TYPES[column.kind]
            expected = expected if isinstance(expected, type) else type(expected)
            assert isinstance(tables[name].columns[column.name].type, expected), (name, column.name)


def test_the_warehouse_has_the_seeds_columns_in_the_seeds_order():
    assert tuple(column.name for column in columns.WAREHOUSE) == SEED_WAREHOUSE
    assert tuple(name for name in SEED_WAREHOUSE if name not in {"id", "data_date"}) == WAREHOUSE_COLUMNS


def test_money_is_64_bit_everywhere():
    kinds = {
        column.kind for fields in columns.TABLES.values() for column in fields if column.name in {"budget", "revenue"}
    }
    assert kinds == {Kind.MONEY}


def test_what_is_copied_are_columns_of_its_table():
    names = {table: {column.name for column in fields} for table, fields in columns.TABLES.items()}
    assert set(MOVIE_COLUMNS) == names["movies"] - {"tmdb_id", "deleted_at"}
    assert set(HISTORY_COLUMNS) - {"id"} == names["movie_history"] - {"id", "movie_id", "data_date"}
    for link in LINKS:
        assert names[link.table] == {"movie_id", link.key, link.order}


def test_the_labels_are_the_seeds():
    assert levels.POPULARITY.labels == ("Alta", "Media", "Baja", "Muy Baja")
    assert levels.RATING.labels == ("Excelente", "Buena", "Regular", "Mala")
