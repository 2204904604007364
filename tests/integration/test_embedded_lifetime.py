"""The embedded servers end with their program, however that ends, and never lose what was stored."""

import shutil
import signal
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from movie_pipeline.embedded import EmbeddedKafka, EmbeddedPostgres
from movie_pipeline.embedded.binaries import installations
from movie_pipeline.embedded.process import locked
from movie_pipeline.errors import StateConflictError

from .embedded_programs import BOTH, ONE_LINE, answer, descendants, home_of_ordinary_user, said, start, survivors

FEW_SECONDS = 20.0


@pytest.fixture
def folder(short_folder, request):
    """A folder of this test's own, with a name that would trip a careless configuration file."""
    path = short_folder / f"{request.node.name[:20]}, películas"
    path.mkdir()
    yield path
    shutil.rmtree(path)


def rows(dsn, statement):
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def publish(bootstrap_servers, topic, values):
    with closing(KafkaAdminClient(bootstrap_servers=bootstrap_servers)) as admin:
        admin.create_topics([NewTopic(topic, 1, 1)])
    with closing(KafkaProducer(bootstrap_servers=bootstrap_servers)) as producer:
        for sent in [producer.send(topic, value=value) for value in values]:
            sent.get(timeout=30)


def stored(bootstrap_servers, topic, count):
    partition = TopicPartition(topic, 0)
    with closing(KafkaConsumer(bootstrap_servers=bootstrap_servers, consumer_timeout_ms=30_000)) as consumer:
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        return [next(consumer).value for _ in range(count)]


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_program_ended_by_a_signal_leaves_no_process_and_can_go_on_at_once(folder, ending):
    with start(BOTH, folder) as program:
        rows(answer(program)["dsn"], "CREATE TABLE kept AS SELECT 1 AS n")
        children = descendants(program.pid)
        program.send_signal(ending)
        program.wait(FEW_SECONDS)
    assert len(children) >= 4
    with start(BOTH, folder) as again:
        assert rows(answer(again)["dsn"], "SELECT n FROM kept") == [(1,)]
        again.communicate("")
    assert survivors(children, FEW_SECONDS) == []


def test_a_program_that_fails_leaves_no_process(folder):
    with start(BOTH, folder, "fail", stderr=-3) as program:
        answer(program)
        assert program.wait(FEW_SECONDS) == 1
    with locked(folder / "postgres", 0.0), locked(folder / "kafka", 0.0):
        pass


@pytest.fixture(scope="module")
def ordinary_user(short_folder):
    home = short_folder / "home"
    home.mkdir()
    return home_of_ordinary_user(home)


def test_both_servers_run_for_a_user_without_rights_and_with_an_empty_path(ordinary_user):
    with start(BOTH, ordinary_user["cwd"] / "state", **ordinary_user) as program:
        facts = answer(program)
        assert rows(facts["dsn"], "SHOW server_encoding") == [("UTF8",)]
        publish(facts["kafka"], "films", [b"1"])
        owners = {process.uids().real for process in descendants(program.pid)}
        program.communicate("")
    assert program.returncode == 0
    assert owners == {ordinary_user["cwd"].stat().st_uid}


@pytest.mark.parametrize("kind", ["kafka", "postgres"])
def test_a_folder_that_may_not_be_written_is_one_clear_line(folder, ordinary_user, kind):
    folder.chmod(0o555)
    asked = folder / kind
    line = said(ONE_LINE, kind, asked, **ordinary_user)
    assert line.startswith(f"OutputError: cannot create {asked}: Permission denied; choose a folder")


def test_a_killed_broker_comes_back_on_its_port_with_every_record(folder):
    values = [str(number).encode() for number in range(200)]
    with EmbeddedKafka(folder / "kafka") as broker:
        address = broker.bootstrap_servers
        publish(address, "films", values)
        broker.kill()
        assert broker.pid is None
        broker.start()
        assert broker.bootstrap_servers == address
        assert stored(address, "films", 200) == values
    with EmbeddedKafka(folder / "kafka") as next_run:
        assert stored(next_run.bootstrap_servers, "films", 200) == values


@pytest.mark.parametrize("binaries", installations(), ids=lambda found: f"postgresql-{found.major}")
def test_a_killed_database_comes_back_on_its_port_with_every_committed_row(folder, binaries):
    with EmbeddedPostgres(folder / "postgres", binaries=binaries) as server:
        dsn = server.dsn
        rows(dsn, "CREATE TABLE kept AS SELECT n FROM generate_series(1, 1000) AS n")
        server.kill()
        server.start()
        assert server.dsn == dsn
        assert rows(dsn, "SELECT count(*) FROM kept") == [(1000,)]
        assert rows(dsn, "SELECT current_setting('server_version_num')::int / 10000") == [(binaries.major,)]
        server.restart()
        assert rows(dsn, "SELECT count(*) FROM kept") == [(1000,)]
    with EmbeddedPostgres(folder / "postgres") as next_run:
        assert rows(next_run.dsn, "SELECT count(*) FROM kept") == [(1000,)]


def test_a_process_number_left_by_a_crash_that_now_is_another_process_does_no_harm(folder):
    with EmbeddedPostgres(folder / "postgres") as server:
        left = (server.directory / "data" / "postmaster.pid").read_text(encoding="utf-8")
        server.kill()
        with start("input()") as bystander:
            first, rest = left.split("\n", 1)
            assert first.isdigit()
            (server.directory / "data" / "postmaster.pid").write_text(f"{bystander.pid}\n{rest}", encoding="utf-8")
            server.start()
            assert rows(server.dsn, "SELECT 1") == [(1,)]
            bystander.communicate("\n")


def test_a_folder_in_use_is_refused(folder):
    with (
        EmbeddedPostgres(folder / "postgres") as server,
        pytest.raises(StateConflictError, match="in use by another program"),
        locked(server.directory, 0.1),
    ):
        pass


def test_the_password_is_in_a_private_file_and_in_no_log(folder):
    with EmbeddedPostgres(folder / "postgres") as server:
        password = server.dsn.split(":")[2].split("@")[0]
        file = Path(server.directory / "password")
        assert file.read_text(encoding="ascii") == password
        assert file.stat().st_mode & 0o077 == 0
        assert password not in server.log_path.read_text(encoding="utf-8")
        assert password not in " ".join(part for each in descendants(1) for part in _command(each))


def _command(process):
    import psutil

    try:
        return process.cmdline()
    except psutil.Error:
        return []
