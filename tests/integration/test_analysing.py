"""What the analysis records in the database, and reads back."""

from movie_pipeline.adapters.aggregates import PostgresCatalogue
from movie_pipeline.adapters.runs import PostgresRunLog
from movie_pipeline.ports import Finding


def test_corrections_are_those_of_loads_not_of_files(migrated_database: str) -> None:
    runs = PostgresRunLog(migrated_database)
    runs.add_findings("r", "consume", {"impossible budget": (2, "x"), "unrated": (9, None)})
    runs.add_findings("r", "process", {"impossible budget": (2, "x")})
    with PostgresCatalogue(migrated_database) as catalogue:
        assert catalogue.corrections() == [Finding("impossible budget", 2, "x")]
