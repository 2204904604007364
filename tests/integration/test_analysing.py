"""What the analysis records in the database, and reads back; its verbs as the DAG and a person call them."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from analysed import film, load, sample
from movie_pipeline.adapters.aggregates import PostgresCatalogue
from movie_pipeline.adapters.runs import PostgresRunLog
from movie_pipeline.cli import main
from movie_pipeline.ports import Finding


def test_corrections_are_those_of_loads_not_of_files(migrated_database: str) -> None:
    runs = PostgresRunLog(migrated_database)
    runs.add_findings("r", "consume", {"impossible budget": (2, "x"), "unrated": (9, None)})
    runs.add_findings("r", "process", {"impossible budget": (2, "x")})
    with PostgresCatalogue(migrated_database) as catalogue:
        assert catalogue.corrections() == [Finding("impossible budget", 2, "x")]


@pytest.fixture
def own_logs() -> Iterator[None]:
    """Give the logs back to the other tests as they were: a verb sets them up for its whole process."""
    handlers, level = logging.root.handlers, logging.root.level
    yield
    logging.root.handlers = handlers
    logging.root.setLevel(level)


def rows(dsn: str, query: str) -> list[tuple[Any, ...]]:
    connection = psycopg2.connect(dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute(query)
        found = cursor.fetchall() if cursor.description else []
    connection.close()
    return found


@pytest.mark.usefixtures("own_logs")
def test_a_runs_verbs_leave_the_dags_files_and_predict_reads_the_model(
    migrated_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    films = (*sample()[::48], *(film(9_000_000 + n, genres=[], genre_ids=[]) for n in range(90)))
    load(migrated_database, films)
    moved = (
        f"INSERT INTO movie_history (movie_id, popularity) SELECT id, popularity * 1.5 FROM movies WHERE id < {2**31}"
    )
    rows(migrated_database, moved)
    for name, value in (("DATABASE_URL", migrated_database), ("OUTPUT_DIR", str(tmp_path)), ("RUN_ID", "r")):
        monkeypatch.setenv(name, value)
    assert [main([verb]) for verb in ("charts", "train", "report")] == [0, 0, 0]
    (charts,), (model,) = (list(tmp_path.glob(f"{prefix}_v2_2*")) for prefix in ("visualizations", "ml_model"))
    assert re.fullmatch(r"visualizations_v2_\d{8}_\d{6}", charts.name)
    assert {"tendencias_popularidad.png", "report.txt", "report.html"} <= {path.name for path in charts.iterdir()}
    assert {"model.pkl", "metrics.json", "feature_importance.png"} <= {path.name for path in model.iterdir()}
    assert (tmp_path / "visualizations_v2_latest").resolve() == charts
    ((told,),) = rows(
        migrated_database, "SELECT detail FROM quality_findings WHERE finding='no_genre' AND verb='report'"
    )
    assert re.fullmatch(r"\d\d\.\d% of the films, floor 40\.0%", told)
    capsys.readouterr()
    chosen = sample()[0]["id"]
    assert main(["predict", "--id", str(chosen)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["id"], found["features"]) == (chosen, "seed")
    assert found["low"] < found["prediction"] < found["high"]
    (model / "model.skops").write_bytes(b"something else")
    assert main(["predict", "--id", str(chosen)]) == 1
    assert "SHA-256" in capsys.readouterr().err
