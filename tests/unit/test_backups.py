"""Files below the output directory: complete or absent; segments that survive a torn end."""

import errno
import gzip
import os
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from movie_pipeline.adapters.backups import FileBackups, SegmentWriter, read_segment
from movie_pipeline.adapters.files import FileStore
from movie_pipeline.errors import OutputError


def message(movie_id):
    return orjson.dumps({"id": movie_id, "title": f"Film {movie_id}"})


def fill(backups, ids, *, films=None):
    backups.begin(len(ids) if films is None else films)
    for movie_id in ids:
        backups.save(movie_id, message(movie_id))
    backups.close()


def test_an_ordinary_run_leaves_a_file_for_each_film(tmp_path):
    fill(FileBackups(tmp_path), [3, 5])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["movie_3.json", "movie_5.json"]
    assert (tmp_path / "movie_5.json").read_bytes() == message(5)
    assert list(FileBackups(tmp_path).read()) == [(3, message(3)), (5, message(5))]


def test_a_crawl_leaves_segments_that_any_tool_reads(tmp_path):
    fill(FileBackups(tmp_path), range(1, 301), films=10_001)
    (segment,) = (tmp_path / "segments").iterdir()
    assert gzip.decompress(segment.read_bytes()).splitlines() == [message(movie_id) for movie_id in range(1, 301)]
    assert [movie_id for movie_id, _ in FileBackups(tmp_path).read()] == list(range(1, 301))


def test_a_file_gets_its_name_when_it_is_on_the_disk(tmp_path, monkeypatch):
    synced = []
    plain = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (synced.append(os.fstat(descriptor).st_ino), plain(descriptor)))
    backups = FileBackups(tmp_path)
    backups.begin(2)
    for movie_id in (3, 5):
        backups.save(movie_id, message(movie_id))
    assert list(backups.read()) == []
    backups.commit()
    assert {path.stat().st_ino for path in tmp_path.glob("movie_*.json")} < set(synced)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["movie_3.json", "movie_5.json"]


def test_a_film_that_is_kept_twice_has_its_last_copy(tmp_path):
    backups = FileBackups(tmp_path)
    backups.begin(2)
    for content in (b'{"id":3,"title":"old"}', b'{"id":3}'):
        backups.save(3, content)
    backups.close()
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("movie_3.json", b'{"id":3}')]


def test_what_a_killed_run_left_under_temporary_names_is_removed_by_a_later_one(tmp_path):
    old, young = tmp_path / ".movie_1.json.a-0.tmp", tmp_path / ".movie_2.json.b-0.tmp"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    fill(FileBackups(tmp_path), [3])
    assert sorted(path.name for path in tmp_path.iterdir()) == [young.name, "movie_3.json"]


@pytest.mark.parametrize("refusing", ["write", "fsync", "replace"])
def test_a_disk_that_refuses_a_backup_is_one_clear_line_and_leaves_no_other_name(tmp_path, monkeypatch, refusing):
    def refuse(*_arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    backups = FileBackups(tmp_path)
    fill(backups, [3])
    backups.begin(2)
    monkeypatch.setattr(os, refusing, refuse)
    with pytest.raises(OutputError, match="the disk is full"):
        fill(backups, [3, 4])
    monkeypatch.undo()
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("movie_3.json", message(3))]


def test_what_is_committed_is_read_while_the_segment_is_still_open(tmp_path):
    with closing(FileBackups(tmp_path)) as backups:
        backups.begin(10_001)
        backups.save(1, message(1))
        backups.commit()
        backups.save(2, message(2))
        assert [movie_id for movie_id, _ in FileBackups(tmp_path).read()] == [1]
    assert [movie_id for movie_id, _ in FileBackups(tmp_path).read()] == [1, 2]


def test_each_process_writes_segments_of_its_own(tmp_path):
    for movie_id in (1, 2, 3):
        fill(FileBackups(tmp_path), [movie_id], films=10_001)
    names = sorted(path.name for path in (tmp_path / "segments").iterdir())
    assert names == [f"films-{number:08d}.jsonl.gz" for number in (1, 2, 3)]


@pytest.mark.parametrize("lost_bytes", [1, 8, 30])
def test_a_torn_end_is_dropped_and_counted(tmp_path, lost_bytes):
    writer = SegmentWriter(tmp_path)
    for movie_id in (1, 2, 3):
        writer.append(movie_id, message(movie_id))
        writer.commit()
    writer.close()
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-lost_bytes])
    lines, damaged = read_segment(path)
    assert (list(lines), damaged) == ([message(1), message(2)], 1)


def test_a_damaged_middle_does_not_cost_the_rest(tmp_path):
    writer = SegmentWriter(tmp_path)
    ends = []
    for movie_id in (1, 2, 3):
        writer.append(movie_id, message(movie_id) * 3)
        writer.commit()
        ends.append(next(tmp_path.iterdir()).stat().st_size)
    writer.close()
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[ends[1] - 6] ^= 0xFF
    path.write_bytes(content)
    lines, damaged = read_segment(path)
    assert (list(lines), damaged) == ([message(1) * 3, message(3) * 3], 1)


def test_damaged_single_files_are_counted_and_passed_over(tmp_path):
    fill(FileBackups(tmp_path), [3])
    (tmp_path / "movie_4.json").write_bytes(b'{"id": 4, "tit')
    (tmp_path / "movie_5.json").write_bytes(b"[]")
    backups = FileBackups(tmp_path)
    assert ([movie_id for movie_id, _ in backups.read()], backups.damaged) == ([3], 2)


def test_a_file_is_replaced_as_a_whole(tmp_path):
    store = FileStore(tmp_path / "out")
    store.write_bytes("a/b.txt", b"old")
    assert store.write_bytes("a/b.txt", b"new").read_bytes() == b"new"
    assert [path.name for path in (tmp_path / "out" / "a").iterdir()] == ["b.txt"]


@pytest.mark.parametrize(("code", "fix"), [
    (errno.ENOSPC, "the disk is full"), (errno.EROFS, "the file system is read-only"), (errno.EACCES, "no permission"),
])  # fmt: skip
def test_a_disk_that_refuses_is_one_clear_line_and_leaves_the_old_file(tmp_path, monkeypatch, code, fix):
    store = FileStore(tmp_path)
    store.write_bytes("film.json", b"old")

    def refuse(_descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OutputError, match=fix):
        store.write_bytes("film.json", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("film.json", b"old")]


def test_a_really_full_disk_leaves_no_torn_file():
    with pytest.raises(OutputError, match="OUTPUT_DIR"):
        FileStore(Path("/dev/full")).write_bytes("movie_1.json", b"x")
    with Path("/dev/full").open("wb", buffering=0) as full:
        writer = SegmentWriter(Path())
        writer._file = _Unseekable(full)
        writer.append(1, message(1))
        with pytest.raises(OutputError, match="the disk is full"):
            writer.commit()


class _Unseekable:
    """A device that takes nothing, with the methods of a segment's file."""

    def __init__(self, file):
        self._file = file

    def write(self, content):
        return self._file.write(content)

    def tell(self):
        return 0

    def truncate(self, size):
        assert size == 0


def test_a_folder_appears_when_it_is_complete_and_replaces_the_one_of_before(tmp_path):
    store = FileStore(tmp_path)
    for content in ("one", "two"):
        with store.folder("batch_1") as folder:
            (folder / "chart.png").write_text(content)
            assert not (tmp_path / "batch_1").exists() or content == "two"
    assert [(path.name, path.read_text()) for path in (tmp_path / "batch_1").iterdir()] == [("chart.png", "two")]
    assert [path.name for path in tmp_path.iterdir()] == ["batch_1"]


def test_a_folder_whose_work_failed_never_appears(tmp_path):
    def work():
        with FileStore(tmp_path).folder("batch_1") as folder:
            (folder / "chart.png").write_text("half")
            raise ValueError("no chart")

    with pytest.raises(ValueError, match="no chart"):
        work()
    assert list(tmp_path.iterdir()) == []
