"""The demo from nothing to the report, killed in the middle, and in want of disk, folder or network."""

import re
import shutil
import signal
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
import pytest

from movie_pipeline.embedded.jars import ensure_jars
from movie_pipeline.jobs.demo import QUERIES

from .demo_runs import content, kept_up, kill_when, rows, start_demo, stored_films, write_sample
from .embedded_programs import descendants, survivors

pytestmark = pytest.mark.timeout(600)
FILMS = 240
FEW_SECONDS = 20.0
WRITTEN = "SELECT max(id), min(data_date), max(data_date) FROM movie_data_warehouse"


class Calm(NamedTuple):
    """What an undisturbed demo said and left."""

    said: str
    content: dict[str, Any]
    folder: Path
    written: list[Any]
    answers: list[Any]


@pytest.fixture(scope="module")
def sample(short_folder):
    return write_sample(short_folder / "films.jsonl", FILMS)


@pytest.fixture(scope="module")
def calm(short_folder, sample):
    """One demo that nobody disturbs, kept up while it is looked at."""
    folder = short_folder / "calm"
    folder.mkdir()
    ensure_jars()
    with start_demo(folder, sample, "--keep") as program:
        said = kept_up(program)
        dsn = re.search(r"postgresql://\S+", said).group()
        answers = [rows(dsn, query) for _, query in QUERIES]
        found, written = content(dsn), rows(dsn, WRITTEN)
        children = descendants(program.pid)
        program.send_signal(signal.SIGINT)
        assert program.wait(60) == 0
    assert survivors(children, FEW_SECONDS) == []
    with pytest.raises(psycopg2.OperationalError):
        rows(dsn, "SELECT 1")
    return Calm(said, found, folder, written, answers)


def test_it_ends_with_rows_files_times_addresses_and_queries_that_answer(calm):
    assert re.search(rf"^  movies +{FILMS}$", calm.said, re.MULTILINE)
    assert re.search(r"^Kafka +127\.0\.0\.1:\d+$", calm.said, re.MULTILINE)
    assert re.search(r"^  total +\d+\.\d$", calm.said, re.MULTILINE)
    assert all(query in calm.said for _, query in QUERIES)
    assert all(calm.answers)


def test_every_file_that_it_names_is_there_and_whole(calm):
    named = re.findall(r"^  (/.+)$", calm.said, re.MULTILINE)
    names = {path.rsplit("/", 1)[-1] for path in named}
    assert {"report.html", "top_películas_popularidad.png", "movie_success_model.pkl"} <= names
    out = calm.folder / "out"
    assert all((out / path).stat().st_size > 0 for path in named)
    assert len(list(out.glob("movie_*.json"))) == FILMS
    assert list(out.rglob("*.tmp")) == []


def test_the_password_is_shown_once_and_logged_never(calm):
    password = re.search(r"postgresql://movies:(.+)@", calm.said).group(1)
    assert calm.said.count(password) == 1
    assert password not in (calm.folder / "log.txt").read_text(encoding="utf-8")


def test_killed_while_it_fetches_and_again_while_it_loads_it_ends_like_a_calm_run(short_folder, sample, calm):
    folder = short_folder / "killed"
    folder.mkdir()
    quick = {"ANALYSIS": "false"}
    with start_demo(folder, sample, **quick) as fetching:
        left = kill_when(fetching, lambda: len(list((folder / "out").glob("movie_*.json"))) > FILMS // 4)
    with start_demo(folder, sample, **quick) as loading:
        left += kill_when(loading, lambda: stored_films(folder) > 0)
    with start_demo(folder, sample, "--keep", **quick) as last:
        said = kept_up(last)
        found = content(re.search(r"postgresql://\S+", said).group())
        last.send_signal(signal.SIGINT)
        assert last.wait(60) == 0
    assert found == calm.content
    assert survivors(left, FEW_SECONDS) == []


def test_a_second_run_loads_nothing_twice(calm, sample):
    with start_demo(calm.folder, sample, "--keep", ANALYSIS="false") as again:
        dsn = re.search(r"postgresql://\S+", kept_up(again)).group()
        assert content(dsn) == calm.content
        assert rows(dsn, WRITTEN) == calm.written
        last = rows(dsn, "SELECT counts FROM pipeline_runs WHERE verb = 'consume' ORDER BY started DESC LIMIT 1")
        again.send_signal(signal.SIGINT)
        assert again.wait(60) == 0
    assert last == [({"unchanged": FILMS},)]


def ended_badly(program, folder):
    """Return the one line with which the demo gives up, and its exit code."""
    program.communicate(timeout=120)
    lines = (folder / "log.txt").read_text(encoding="utf-8").splitlines()
    telling = [line for line in lines if line.startswith("movie-pipeline demo: ")]
    assert len(telling) == 1
    assert not any("Traceback" in line for line in lines)
    return program.returncode, telling[0]


def test_an_output_directory_that_cannot_be_made_is_one_clear_line(tmp_path, sample):
    (tmp_path / "out").write_text("a file is in the way", encoding="ascii")
    with start_demo(tmp_path, sample) as program:
        code, line = ended_badly(program, tmp_path)
    assert code == 1
    assert f"cannot create {tmp_path / 'out'}" in line
    assert "choose a folder" in line


def test_no_network_on_the_first_run_is_one_clear_line(tmp_path, sample):
    proxy = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    with start_demo(tmp_path, sample, XDG_CACHE_HOME=str(tmp_path / "cache"), **proxy) as program:
        code, line = ended_badly(program, tmp_path)
    assert code == 1
    assert "the first run needs the network once" in line


def test_data_that_cannot_be_read_is_a_wrong_argument(tmp_path):
    with start_demo(tmp_path, tmp_path / "absent.jsonl") as program:
        code, line = ended_badly(program, tmp_path)
    assert code == 2
    assert "absent.jsonl" in line


@pytest.fixture(autouse=True, scope="module")
def _room(short_folder):
    """Say early, and not by a torn run, when this machine has no room for the demo's tests."""
    assert shutil.disk_usage(short_folder).free > 1_000_000_000
