"""The jobs around charts, model and report, with real files and films in memory."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from analysed import adversarial, film, frame_catalogue, records
from movie_pipeline import messages, quality
from movie_pipeline.adapters.artifacts import RunStore
from movie_pipeline.errors import BrokerUnavailableError, ConfigurationError, SourceUnavailableError
from movie_pipeline.jobs import analysis
from movie_pipeline.jobs import predict as prediction
from movie_pipeline.jobs.analysis import Analyst
from movie_pipeline.jobs.process import Source, message_source, process, processed_films, topic_source
from movie_pipeline.model import files as model_files
from movie_pipeline.ports import Finding
from movie_pipeline.report.page import ATTRIBUTION, RunFacts
from movie_pipeline.settings import Language
from movie_pipeline.texts import Texts

NOW = datetime(2026, 11, 23, 12, 30, 15, tzinfo=UTC)


def analyst(root: Path, language: Language = Language.SPANISH, keep: int = 2) -> Analyst:
    return Analyst(RunStore(root), Texts(language), keep, lambda: NOW, ThreadPoolExecutor(1))


def facts(**changes: Any) -> RunFacts:
    told = {"run_id": "run-1", "verb": "report", "source": "tmdb", "degraded": False, "at": NOW, "seconds": {}}
    return RunFacts(**{**told, "versions": {"python": "3"}, **changes})


class Page(HTMLParser):
    """What a test needs of a page: tags with attributes, and the texts."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, analysis.Outcome]:
    root = tmp_path_factory.mktemp("batch")
    told = facts(batch=7, batch_counts={"inserted": 200, "changed": 40}, seconds={})
    return root, analyst(root).analyse_batch(frame_catalogue(adversarial()), told)


def test_a_batch_leaves_the_contracts_files_and_the_skops_twin(batch: tuple[Path, analysis.Outcome]) -> None:
    names = {path.name for path in (batch[0] / "batch_7").iterdir()}
    assert names >= {
        "top_películas_popularidad.png", "generos_populares.png", "generos_valoracion.png", "analisis_warehouse.png",
        "movie_success_model.pkl", "movie_success_model.skops", "feature_importance.csv", "feature_importance.png",
        "metrics.json",
    }  # fmt: skip
    assert (batch[0] / "batch_latest").readlink() == Path("batch_7")
    assert (batch[0] / "report.html").is_file()


def test_findings_of_a_run_are_returned_for_its_record(batch: tuple[Path, analysis.Outcome]) -> None:
    assert set(batch[1].findings) == set(quality.CATALOGUE_FINDINGS)
    assert batch[1].counts["films"] == 240


def test_the_report_is_one_file_without_outside_links(batch: tuple[Path, analysis.Outcome]) -> None:
    page = Page((batch[0] / "report.html").read_bytes())
    places = [value for _, attrs in page.tags for name, value in attrs.items() if name in {"src", "href", "srcset"}]
    assert len(places) > 10
    assert all((place or "").startswith(("data:", "#")) for place in places)
    assert ATTRIBUTION in page.text
    assert page.text.count("Lote") >= 1


def test_every_picture_has_words_for_those_who_do_not_see_it(batch: tuple[Path, analysis.Outcome]) -> None:
    page = Page((batch[0] / "report.html").read_bytes())
    pictures = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(pictures) == 5
    assert len([attrs for tag, attrs in page.tags if tag == "source"]) == 3 * 5
    assert all(len(picture["alt"] or "") > 20 for picture in pictures)


def test_a_title_with_markup_stays_text(tmp_path: Path) -> None:
    films = (film(1, title="<script>alert(1)</script>", popularity=99.0), film(2))
    analyst(tmp_path).report(frame_catalogue(films), facts(), charts_folder=None, model_folder=None)
    assert b"<script>alert" not in (tmp_path / "report.html").read_bytes()
    assert "<script>alert(1)</script>" in (tmp_path / "report.txt").read_text()


def test_a_degraded_run_says_so_and_names_its_source(tmp_path: Path) -> None:
    told = facts(degraded=True, source="backup")
    analyst(tmp_path).report(frame_catalogue((film(1),)), told, charts_folder=None, model_folder=None)
    text = Page((tmp_path / "report.html").read_bytes()).text
    assert re.search(r"Ejecución degradada\..*backup", text, re.DOTALL)
    assert "DEGRADADA" in (tmp_path / "report.txt").read_text()


def test_the_dags_verbs_leave_their_folders_links_and_a_report_beside_the_charts(tmp_path: Path) -> None:
    works, catalogue = analyst(tmp_path, Language.ENGLISH), frame_catalogue(adversarial())
    drawn, learned = works.charts(catalogue, facts(verb="charts")), works.train(catalogue)
    charts, model = Path(drawn.files["visualizations"]), Path(learned.files["model"])
    assert (charts.name, model.name) == ("visualizations_v2_20261123_123015", "ml_model_v2_20261123_123015")
    works.report(catalogue, facts(), charts_folder=charts.name, model_folder=model.name)
    assert {"generos_populares.png", "report.txt", "report.html"} <= {path.name for path in charts.iterdir()}
    assert {"model.pkl", "model.skops", "metrics.json", "feature_importance.png"} <= {
        one.name for one in model.iterdir()
    }
    assert (tmp_path / "ml_model_v2_latest").readlink() == Path(model.name)
    text = Page((tmp_path / "report.html").read_bytes()).text
    assert "What it cannot do" in text
    assert json.loads((model / "metrics.json").read_text())["rows"] > 100


def test_too_few_films_leave_metrics_that_say_why_and_no_model(tmp_path: Path) -> None:
    learned = analyst(tmp_path).train(frame_catalogue((film(1),)))
    metrics = json.loads(Path(learned.files["metrics"]).read_text())
    assert metrics["trained"] is False
    assert "60 are needed" in metrics["message"]
    assert not list(Path(learned.files["model"]).glob("*.pkl"))
    assert not (tmp_path / "ml_model_v2_latest").exists()


def test_no_film_at_all_still_gives_a_report(tmp_path: Path) -> None:
    analyst(tmp_path).analyse_batch(frame_catalogue(()), facts(batch=1))
    assert "60 are needed" in (tmp_path / "report.txt").read_text()


def test_only_the_newest_folders_are_kept_and_nothing_else_is_touched(tmp_path: Path) -> None:
    for name in ("batch_1", "batch_9", "batch_10", "batch_old", "visualizations_v2_20260101_000000"):
        (tmp_path / name).mkdir()
    store = RunStore(tmp_path)
    store.link("batch_latest", "batch_10")
    assert store.prune("batch_", 2) == ["batch_1"]
    assert store.prune("batch_", 0) == []
    assert {path.name for path in tmp_path.iterdir()} == {
        "batch_9", "batch_10", "batch_old", "batch_latest", "visualizations_v2_20260101_000000",
    }  # fmt: skip
    assert store.newest("batch_") == "batch_10"
    assert store.newest("ml_model_v2_") is None


def test_a_floor_is_breached_above_its_share_only() -> None:
    verdicts = quality.judge(
        [Finding(quality.NO_GENRE, 41), Finding(quality.UNRATED, 75), Finding("namesakes", 900)], 100
    )
    assert [verdict.breached for verdict in verdicts] == [True, False, False]
    assert verdicts[2].share is None
    assert not any(verdict.breached for verdict in quality.judge([Finding(quality.NO_GENRE, 0)], 0))
    assert [verdict.told for verdict in verdicts] == ["41.0% of the films, floor 40.0%", None, None]


def test_the_report_speaks_one_language_also_where_it_tells_of_cleaning_and_counts(tmp_path: Path) -> None:
    films = (film(1, cast=["A", "A"], cast_ids=[5, 5], budget=-3),)
    for language, said in ((Language.SPANISH, "repetido en reparto"), (Language.ENGLISH, "duplicate in cast")):
        told = facts(batch=1, batch_counts={"new": 1})
        analyst(tmp_path, language).analyse_batch(frame_catalogue(films), told)
        text = Page((tmp_path / "report.html").read_bytes()).text
        assert said in text
        assert (": 1" in text, "nuevas: 1" in text) == (True, language is Language.SPANISH)
    assert "impossible budget: 1" in text


class FakeTopic:
    """A topic of one partition."""

    def __init__(self, content: list[messages.Record]) -> None:
        self._content = content

    def bounds(self, _topic: str) -> dict[int, tuple[int, int]]:
        return {0: (0, len(self._content))}

    def read(self, _offsets: Any, _most: int) -> Any:
        yield self._content, len(self._content)


def published(*films: tuple[int, str], source: str = "tmdb") -> Any:
    made = [
        record._replace(offset=place, headers=(("source", source.encode()), ("run_id", run.encode())))
        for place, (number, run) in enumerate(films)
        for record in records((film(number),))
    ]
    return FakeTopic(made)


def run(sources: list[Source], root: Path, *, degraded: bool = False) -> Any:
    return process(sources, RunStore(root), run_id="r", degraded=degraded, now=NOW)


def test_process_takes_the_runs_own_messages_and_says_where_they_come_from(tmp_path: Path) -> None:
    topic = published((1, "r"), (2, "other"), (3, "r"))
    outcome = run([topic_source(topic, "films", "r")], tmp_path)
    assert (outcome.source, outcome.films) == ("tmdb", 2)
    assert [one["id"] for one in json.loads((tmp_path / "movies_data.json").read_text())] == [1, 3]
    header, *rows = (tmp_path / "processed_movies_v2.csv").read_text().splitlines()
    assert header.startswith("id,title,release_date,release_year,budget,revenue")
    assert len(rows) == 2


def test_a_run_that_published_nothing_is_given_the_topics_films(tmp_path: Path) -> None:
    assert run([topic_source(published((1, "other"), (2, "other")), "films", "r")], tmp_path).films == 2


def away() -> Any:
    raise BrokerUnavailableError("nobody there")


def test_sources_are_tried_in_order_and_the_facts_say_degraded(tmp_path: Path) -> None:
    backups = [(5, messages.encode(film(5))), (5, messages.encode(film(5, title="newer"))), (6, b"torn")]
    sources = [Source("postgresql", away), message_source("backup", lambda: backups, NOW)]
    outcome = run(sources, tmp_path, degraded=True)
    assert (outcome.source, outcome.films, outcome.rejected) == ("backup", 1, 1)
    told = json.loads((tmp_path / "processed_movies_v2.json").read_text())
    assert (told["degraded"], told["source"], told["run_id"]) == (True, "backup", "r")
    films, _ = processed_films((tmp_path / "movies_data.json").read_bytes(), NOW)
    assert films["title"].tolist() == ["newer"]


def test_without_any_source_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailableError, match="postgresql, backup"):
        run([Source("postgresql", away), message_source("backup", list, NOW)], tmp_path)
    assert not list(tmp_path.iterdir())


def test_predictions_carry_the_interval_and_the_feature_set_that_fits(batch: tuple[Path, analysis.Outcome]) -> None:
    films = prediction.from_json(json.dumps([film(1), {"id": 2, "title": "Planned", "budget": 5_000_000}]).encode())
    read = (batch[0] / "batch_7").joinpath
    found = prediction.predict(
        films, lambda kind: model_files.load(lambda n: read(n).read_bytes(), "movie_success_model", kind)
    )
    assert [one["features"] for one in found] == ["seed", "pre_release"]
    assert all(one["low"] < one["prediction"] < one["high"] for one in found)


def test_csv_lists_may_be_json_or_bars() -> None:
    text = 'title,budget,genres,cast,vote_count\nA,100,Drama|War,"[""X"", ""Y""]",\nB,,,,12\n'
    films = prediction.from_csv(text.encode())
    assert films["genres"].tolist() == [["Drama", "War"], []]
    assert films["cast"].tolist() == [["X", "Y"], []]


@pytest.mark.parametrize(
    ("read", "content", "message"),
    [
        (prediction.from_json, b"{", "not JSON"),
        (prediction.from_json, b"[]", "holds no film"),
        (prediction.from_json, b'{"title": "A", "budget": "a lot"}', "film 1: budget 'a lot'"),
        (prediction.from_csv, b"name\nA\n", "a column title"),
        (prediction.from_csv, b"title,genres\nA,[broken\n", "genres"),
    ],
)
def test_wrong_input_is_one_clear_line(read: Any, content: bytes, message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        read(content)
