"""Producing against the real sample API, broker and database: each fault that concerns it."""

import io
import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing, redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import orjson
import psycopg2
import pytest

from movie_pipeline.adapters.kafka import KafkaAddress, KafkaReader
from movie_pipeline.cli import main
from movie_pipeline.jobs.workers import WAITING_RESULTS
from movie_pipeline.messages import OffsetRange
from movie_pipeline.sample_api import Faults, SampleApi, SyntheticCatalogue

TOKEN, KEY = "eyJtokenThatMustShowNowhere", "key0f0thatMustShowNowhere"
CLOSED_PORT = "127.0.0.1:9"


class Scene:
    """A sample API, and `movie-pipeline` run as people run it, with its own topics, database and folder."""

    def __init__(self, kafka, topics, database, folder, api):
        self.topic, self.dlq = topics("films"), topics("dlq")
        self.kafka, self.database, self.folder, self.api = kafka, database, folder, api
        self.environment = {
            "KAFKA_BOOTSTRAP_SERVERS": kafka, "KAFKA_TOPIC": self.topic, "KAFKA_DLQ_TOPIC": self.dlq,
            "KAFKA_PARTITIONS": "2", "KAFKA_TIMEOUT_SECONDS": "5", "DATABASE_URL": database, "TMDB_API_URL": api.url,
            "TMDB_EXPORT_URL": api.export_url, "TMDB_API_TOKEN": TOKEN, "TMDB_REQUESTS_PER_SECOND": "900",
            "OUTPUT_DIR": str(folder), "PATH": os.environ["PATH"],
        }  # fmt: skip

    def start(self, *arguments, **changed):
        environment = {name: value for name, value in {**self.environment, **changed}.items() if value is not None}
        command = [sys.executable, "-m", "movie_pipeline.cli", *arguments]
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder
        )

    def run_apart(self, *arguments, code=0, **changed):
        """Run one verb as a process: kafka-python leaves sockets open when no broker answers."""
        process = self.start(*arguments, **changed)
        out, err = process.communicate(timeout=120)
        assert process.returncode == code, err
        return Said(out.splitlines(), err)

    def run(self, *arguments, code=0, **changed):
        """Run one verb in this process, check its exit code, and return what it said."""
        environment = {name: value for name, value in {**self.environment, **changed}.items() if value is not None}
        out, err = io.StringIO(), io.StringIO()
        handlers, level = logging.root.handlers, logging.root.level
        try:
            with patch.dict(os.environ, environment, clear=True), redirect_stdout(out), redirect_stderr(err):
                found = main(arguments)
        finally:
            logging.root.handlers = handlers
            logging.root.setLevel(level)
        assert found == code, err.getvalue()
        return Said(out.getvalue().splitlines(), err.getvalue())

    def records(self, topic=None):
        with closing(KafkaReader(KafkaAddress(self.kafka))) as reader:
            bounds = reader.bounds(topic or self.topic)
            ranges = [OffsetRange(topic or self.topic, part, *span) for part, span in bounds.items()]
            return [record for part in ranges for records, _ in reader.read(part, 500) for record in records]

    def published(self):
        return {int(record.key): record.value for record in self.records()}

    def query(self, statement):
        with closing(psycopg2.connect(self.database)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    def backups(self):
        return {int(path.stem.removeprefix("movie_")) for path in self.folder.glob("movie_*.json")}


class Said:
    """Standard output by lines, and standard error."""

    def __init__(self, lines, errors):
        self.lines, self.errors = lines, errors


@pytest.fixture
def scene(kafka, topics, migrated_database, tmp_path):
    with SampleApi(SyntheticCatalogue(60)) as api:
        yield Scene(kafka, topics, migrated_database, tmp_path, api)


def test_a_run_publishes_backs_up_and_records_itself(scene):
    said = scene.run("produce", "--run-id", "run-7")
    assert said.lines[0].startswith("60 of 60 films published (sample")
    assert set(scene.published()) == scene.backups() == set(range(1, 61))
    assert scene.query("SELECT verb, source, state, counts->>'published' FROM pipeline_runs") == [
        ("produce", "sample", "done", "60")
    ]
    record = scene.records()[0]
    assert dict(record.headers) == {"source": b"sample", "run_id": b"run-7", "schema_version": b"1"}
    assert scene.api.counts.connections <= 16, "TMDB allows twenty"


def test_failing_slow_and_cut_answers_and_a_rate_limit_cost_no_film(scene):
    scene.api.faults = Faults(error_rate=0.1, cut_rate=0.1, rate_limit=40, rate_window_seconds=1, seed=3)
    scene.run("produce")
    assert set(scene.published()) == set(range(1, 61))
    assert {status for status in scene.api.counts.statuses if status >= 500}
    assert scene.api.counts.statuses[429] > 0


def test_a_service_that_answers_too_late_is_one_clear_line_and_costs_nothing(scene):
    scene.api.faults = Faults(latency_seconds=1.0)
    said = scene.run("produce", code=1, TMDB_TIMEOUT_SECONDS="0.2", TMDB_RETRY_ATTEMPTS="2")
    assert "no usable answer to /authentication in 2 attempts: ReadTimeout" in said.errors
    scene.api.faults = Faults()
    assert scene.run("produce").lines[0].startswith("60 of 60")


def test_a_film_that_fails_is_owed_in_the_database_and_taken_up_by_the_next_run(scene):
    plain = scene.api.answers.catalogue.film
    broken = {**plain(5), "genres": [{"name": "a genre without id"}]}
    scene.api.answers.catalogue.film = lambda movie_id: broken if movie_id == 5 else plain(movie_id)
    said = scene.run("produce", "--all")
    assert said.lines[-1] == "1 films failed and are on the retry list of the next run"
    assert [(row[0], row[1]) for row in scene.query("SELECT movie_id, attempts FROM producer_retries")] == [(5, 1)]
    scene.api.answers.catalogue.film = plain
    scene.api.answers._known.cache_clear()
    (scene.folder / "ids").write_text("1\n")
    scene.run("produce", "--ids", str(scene.folder / "ids"))
    assert 5 in scene.published()
    assert scene.query("SELECT movie_id FROM producer_retries") == []


def test_a_404_is_recorded_and_after_a_second_look_a_tombstone_is_published(scene):
    scene.run("produce")
    scene.api.faults = Faults(gone=frozenset({7}))
    scene.run("produce")
    assert scene.query("SELECT movie_id, reason FROM producer_retries") == [(7, "gone")]
    assert scene.published()[7] is not None
    said = scene.run("produce")
    assert said.lines[-1] == "0 films answered 404 and are looked at again, 1 marked deleted"
    assert scene.published()[7] is None
    assert scene.query("SELECT movie_id FROM producer_retries") == []
    scene.run("consume", DASK_ENGINE="inline", ANALYSIS="false")
    assert scene.query("SELECT count(*) FROM movies WHERE deleted_at IS NULL") == [(59,)]
    assert scene.query("SELECT deleted_at IS NOT NULL FROM movies WHERE id = 7") == [(True,)]
    assert scene.query("SELECT * FROM movie_data_warehouse WHERE tmdb_id = 7") == []


def test_changes_of_a_month_are_published_and_the_next_run_begins_where_this_one_ended(scene):
    scene.api.faults = Faults(null_changes=3)
    today = datetime.now(UTC).date()
    scene.api.answers.changes = {today - timedelta(days=back): [back + 1, 60] for back in range(31)}
    scene.run("produce", "--changes", "--since", str(today - timedelta(days=30)))
    assert set(scene.published()) == {*range(1, 32), 60}
    scene.run("produce", "--changes")
    scene.run("produce", "--changes")
    begun = [request.query["start_date"] for request in scene.api.counts.recent if "start_date" in request.query]
    assert begun[-2:] in ([str(today - timedelta(days=1)), str(today)], [str(today)] * 2), "a night may pass meanwhile"


def test_films_that_grow_old_are_fetched_again_oldest_first_within_the_daily_budget(scene, monkeypatch):
    monkeypatch.setattr("movie_pipeline.sample_api.server.SERVER_NAME", "openresty")
    scene.run("produce")
    scene.run("consume", DASK_ENGINE="inline", ANALYSIS="false")
    with closing(psycopg2.connect(scene.database)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("UPDATE movies SET fetched_at = now() - (139.9 + id) * interval '1 day' WHERE id <= 30")
    before = scene.api.counts.films.copy()
    said = scene.run("produce", "--refresh", DAILY_REQUEST_BUDGET="5")
    assert said.lines[0].startswith("5 of 5 films published (tmdb")
    assert set(scene.api.counts.films - before) == {26, 27, 28, 29, 30}
    scene.run("produce", "--refresh")
    assert set(scene.api.counts.films - before) == set(range(11, 31)), "150 days are young enough"


def test_a_list_with_a_line_that_is_no_id_is_refused_before_anything_is_fetched(scene):
    (scene.folder / "ids").write_text("5\ntt0137523\n")
    said = scene.run("produce", "--ids", str(scene.folder / "ids"), code=2)
    assert said.errors.splitlines()[-1].endswith("ids, line 2: 'tt0137523' is not a TMDB id; give one id a line")
    assert scene.api.counts.films.total() == 0


def test_a_wrong_key_stops_at_once_with_exit_code_2_and_names_the_setting(scene):
    scene.api._accepted = frozenset({"another"})
    said = scene.run("produce", code=2)
    assert "TMDB refuses TMDB_API_TOKEN (HTTP 401" in said.errors
    assert scene.api.counts.statuses == {401: 1}


def test_without_kafka_films_go_to_the_backups_with_exit_code_3_and_replay_publishes_them(scene):
    said = scene.run_apart("produce", code=3, KAFKA_BOOTSTRAP_SERVERS=CLOSED_PORT, KAFKA_TIMEOUT_SECONDS="1")
    assert said.lines[-2].startswith("DEGRADED: 60 films lie in the backups only; Kafka does not answer")
    assert said.lines[-1] == "publish them with: movie-pipeline replay"
    assert scene.backups() == set(range(1, 61))
    assert scene.run("replay", "--list").lines[0] == "60 backups published"
    assert scene.records() == []
    assert scene.run("replay").lines == ["60 backups published", "skipped: nothing"]
    assert set(scene.published()) == set(range(1, 61))
    assert scene.run("replay").lines[1] == "skipped: 60 in the topic already"


def test_after_an_outage_of_kafka_the_next_run_publishes_what_was_not_delivered(scene):
    scene.run_apart("produce", code=3, KAFKA_BOOTSTRAP_SERVERS=CLOSED_PORT, KAFKA_TIMEOUT_SECONDS="1")
    said = scene.run("produce")
    assert "an interrupted run was taken up where it was" in said.lines
    assert set(scene.published()) == set(range(1, 61))


def test_without_the_database_the_state_lies_in_the_output_directory_and_the_rate_is_a_share(scene):
    away = {"DATABASE_URL": f"postgresql://movies@{CLOSED_PORT}/movies", "MAX_PRODUCERS": "3"}
    scene.api.faults = Faults(gone=frozenset({7}))
    said = scene.run("produce", **away)
    assert '"requests_per_second": 294.0' in said.errors
    assert set(scene.published()) == set(range(1, 61)) - {7}
    assert orjson.loads((scene.folder / ".producer_state" / "retries.json").read_bytes())["7"][1] == "gone"
    scene.run("produce")
    assert scene.published()[7] is None, "the next run, with the database, knows what the files say"
    assert not (scene.folder / ".producer_state" / "retries.json").exists()


def test_kafka_going_away_in_the_middle_is_exit_code_3_and_nothing_is_lost(scene, kafka_server):
    scene.api.faults = Faults(latency_seconds=0.2)
    process = scene.start("produce", TMDB_THREADS="2", KAFKA_TIMEOUT_SECONDS="2")
    while scene.api.counts.films.total() < 20:
        time.sleep(0.02)
    kafka_server.stop()
    try:
        out, errors = process.communicate(timeout=120)
    finally:
        kafka_server.start()
    assert process.returncode == 3, errors
    assert out.splitlines()[-1] == "publish them with: movie-pipeline replay"
    assert scene.backups() == set(range(1, 61))
    assert 0 < len(scene.published()) < 60
    scene.run("replay")
    assert set(scene.published()) == set(range(1, 61))


@pytest.mark.parametrize(("mount", "said"), [
    ("size=64k", "the disk is full: free space"), ("size=64k,ro", "the file system is read-only"),
])  # fmt: skip
def test_a_disk_that_is_full_or_read_only_is_one_clear_line_and_leaves_no_torn_file(scene, mount, said):
    disk = scene.folder / "disk"
    disk.mkdir()
    script = f'mount -t tmpfs -o {mount} none "$1" || exit 77; shift; "$@"; code=$?; cat disk/movie_*.json; exit $code'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(disk)]
    produce = [sys.executable, "-m", "movie_pipeline.cli", "produce"]
    found = subprocess.run(
        [*command, *produce], env={**scene.environment, "OUTPUT_DIR": str(disk)}, cwd=scene.folder, timeout=120,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if found.returncode == 77 or "unshare failed" in found.stderr:
        pytest.skip("this machine lets nobody mount a disk of his own")
    assert found.returncode == 1, found.stderr
    (line,) = [line for line in found.stderr.splitlines() if line.startswith("movie-pipeline produce: ")]
    assert said in line
    films = [orjson.loads(film + "}")["id"] for film in found.stdout.split("}")[:-1]]
    assert len(set(films)) == len(films) <= 20


def test_an_output_directory_that_cannot_be_written_is_one_clear_line(scene):
    (scene.folder / "file").write_text("")
    said = scene.run("produce", code=1, OUTPUT_DIR=str(scene.folder / "file"))
    assert said.errors.splitlines()[-1].startswith("movie-pipeline produce: cannot write ")
    assert "a file stands where a folder is needed: set OUTPUT_DIR to another folder" in said.errors


def test_two_producers_of_one_crawl_do_not_disturb_each_other(scene):
    scene.api.faults = Faults(latency_seconds=0.3)
    first = scene.start("produce")
    while not scene.api.counts.films:
        time.sleep(0.05)
    second = scene.start("produce", TMDB_REQUESTS_PER_SECOND="900")
    scene.api.faults = Faults(latency_seconds=0.0)
    codes = []
    for process in (first, second):
        process.communicate(timeout=60)
        codes.append(process.returncode)
    assert codes == [0, 0], "the second waits for the first's lock, or finds its work done"
    assert set(scene.published()) == set(range(1, 61))


def test_sigterm_ends_a_run_at_once_and_saves_what_was_acknowledged(scene):
    scene.api.faults = Faults(latency_seconds=0.3)
    process = scene.start("produce", TMDB_THREADS="4")
    while scene.api.counts.films.total() < 12:
        time.sleep(0.02)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert time.monotonic() - began < 10
    scene.api.faults = Faults()
    scene.run("produce")
    assert set(scene.published()) == set(range(1, 61))
    assert scene.api.counts.films.total() <= 60 + 4 * WAITING_RESULTS, "only what was in the air is fetched again"


@pytest.mark.parametrize("credential", ["TMDB_API_TOKEN", "TMDB_API_KEY"])
def test_the_credential_is_found_nowhere_afterwards(scene, credential):
    secret = {"TMDB_API_TOKEN": TOKEN, "TMDB_API_KEY": KEY}[credential]
    scene.api.faults = Faults(error_rate=0.2, cut_rate=0.2, gone=frozenset({7}), seed=2)
    given = {"TMDB_API_TOKEN": None, credential: secret, "LOG_LEVEL": "DEBUG", "TMDB_RETRY_ATTEMPTS": "2"}
    said = [scene.run("produce", **given)]
    scene.api.faults = Faults()
    said.append(scene.run("produce", code=2, **given, TMDB_API_URL=scene.api.url + "/wrong"))
    said.append(scene.run("produce", code=1, **given, TMDB_API_URL=f"http://{CLOSED_PORT}/3"))
    scene.api._accepted = frozenset({"another"})
    said.append(scene.run("produce", code=2, **given))
    assert "tmdb retry" in said[0].errors
    tables = [row[0] for row in scene.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    assert "producer_state" in tables
    places = {
        "output": "".join(line for one in said for line in one.lines),
        "logs": "".join(one.errors for one in said),
        "messages": repr(scene.records()),
        "files": "".join(path.read_text("latin-1") for path in scene.folder.rglob("*") if path.is_file()),
        "database": repr([scene.query(f'SELECT * FROM "{table}"') for table in tables]),
    }
    assert min(map(len, places.values())) > 50, "every place was looked at"
    assert [place for place, text in places.items() if secret in text] == []


def test_the_producer_loads_nothing_heavy():
    code = (
        "import sys; import movie_pipeline.cli, movie_pipeline.wiring.produce, movie_pipeline.jobs.producer,"
        " movie_pipeline.jobs.replay, movie_pipeline.adapters.tmdb, movie_pipeline.adapters.kafka,"
        " movie_pipeline.adapters.rate, movie_pipeline.adapters.crawl_state, movie_pipeline.adapters.backups;"
        " heavy = {'pandas', 'numpy', 'sqlalchemy', 'dask', 'distributed', 'sklearn', 'matplotlib', 'pyarrow'};"
        " print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == "[]\n"


def test_a_crawl_that_is_killed_again_and_again_publishes_every_film_and_fetches_few_twice(
    kafka, topics, migrated_database, tmp_path
):
    films, kills, chance = 3_000, 3, random.Random(11)
    with SampleApi(SyntheticCatalogue(films)) as api:
        scene = Scene(kafka, topics, migrated_database, tmp_path, api)
        crawl = {"TMDB_REQUESTS_PER_SECOND": "1000"}
        for number in range(kills):
            process = scene.start("produce", "--all", **crawl)
            enough = api.counts.films.total() + chance.randint(50, films // (kills + 1))
            while api.counts.films.total() < enough:
                assert process.poll() is None, process.communicate()[1]
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            assert len(api.counts.films) < films, f"kill {number} came in the middle"
        scene.run("produce", "--all", **crawl)
        keys = Counter(int(record.key) for record in scene.records())
        assert set(keys) == set(range(1, films + 1))
        twice = api.counts.films.total() - len(api.counts.films)
        assert twice <= kills * 150, f"{twice} films fetched twice"
