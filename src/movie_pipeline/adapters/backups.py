"""Backups of messages: `movie_{id}.json` for ordinary runs, segments for crawls.

A file gets its name when its content is on the disk. That is done for many files together, on `commit`: the first of
them makes the file system write its journal, and the others then cost little.

A segment is a `.jsonl.gz` file of independent gzip members, each holding some films and gzip's own CRC-32 and length:
appending never touches what is written, any tool reads it, and a member that was torn by a crash is found and dropped.
"""

import itertools
import os
import threading
import time
import uuid
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

import orjson

from movie_pipeline import logs
from movie_pipeline.adapters.files import output_errors, sync_folder

log = logs.get(__name__)

MOST_SINGLE_FILES = 10_000
"""Films of a run up to which each gets a file of its own; TMDB's lists end there."""
LEFT_OVER_SECONDS = 3_600
"""Age at which a file under a temporary name is what a killed run left: a living one names its files within seconds."""
MEMBER_BYTES = 256 * 1024
SEGMENT_BYTES = 64 * 1024 * 1024
GZIP_HEADER = b"\x1f\x8b\x08"
_GZIP_WINDOW = 31
_STEP_BYTES = 64 * 1024


class FileBackups:
    """Backups below the output directory; see `ports.Backups`."""

    def __init__(self, root: Path) -> None:
        self._root, self._folder = root, root / "segments"
        self._writer: SingleFileWriter | SegmentWriter | None = None
        self.damaged = 0

    def begin(self, films: int) -> None:
        """Write segments for more than 10,000 films, single files otherwise."""
        self.close()
        self._writer = SegmentWriter(self._folder) if films > MOST_SINGLE_FILES else SingleFileWriter(self._root)

    def save(self, movie_id: int, content: bytes) -> None:
        """Keep one message; OutputError when that fails."""
        if self._writer is None:
            self.begin(1)
        assert self._writer
        self._writer.append(movie_id, content)

    def commit(self) -> None:
        """Make everything saved so far durable."""
        if self._writer:
            self._writer.commit()

    def close(self) -> None:
        """Commit, and let go of the open files."""
        if self._writer:
            self._writer.close()
            self._writer = None

    def read(self) -> Iterator[tuple[int, bytes]]:
        """Yield (id, message) of every file and segment; what is damaged is dropped and counted."""
        self.damaged = 0
        for path in sorted(self._root.glob("movie_*.json")):
            yield from self._checked(path.read_bytes())
        for path in sorted(self._folder.glob("*.jsonl.gz")):
            films, torn = read_segment(path)
            self.damaged += torn
            for line in films:
                yield from self._checked(line)

    def _checked(self, content: bytes) -> Iterator[tuple[int, bytes]]:
        try:
            movie_id = orjson.loads(content)["id"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            movie_id = None
        if isinstance(movie_id, int):
            yield movie_id, content
        else:
            self.damaged += 1


class _Unnamed(NamedTuple):
    """A file that is written and not yet known to be on the disk."""

    descriptor: int
    spare: str
    final: str


class SingleFileWriter:
    """One file for each film, from any thread; it appears under its name on `commit`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._waiting: deque[_Unnamed] = deque()
        self._own, self._numbers = uuid.uuid4().hex[:8], itertools.count()
        with output_errors(root):
            root.mkdir(parents=True, exist_ok=True)
            _remove_left_overs(root)

    def append(self, movie_id: int, content: bytes) -> None:
        """Write one film under a temporary name; OutputError when that fails, and then nothing is left of it."""
        final = f"{self._root}/movie_{movie_id}.json"
        spare = f"{self._root}/.movie_{movie_id}.json.{self._own}-{next(self._numbers)}.tmp"
        with output_errors(Path(final)):
            file = _Unnamed(os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), spare, final)
            try:
                _write_all(file.descriptor, content)
            except OSError:
                _discard([file])
                raise
        with self._lock:
            self._waiting.append(file)

    def commit(self) -> None:
        """Bring what was written to the disk, then give it its names; OutputError when that fails."""
        with self._lock:
            files, self._waiting = self._waiting, deque()
        if not files:
            return
        try:
            with output_errors(self._root):
                for file in files:
                    os.fsync(file.descriptor)
                while files:
                    os.replace(files[0].spare, files[0].final)  # noqa: PTH105 - pathlib takes longer than the call
                    os.close(files.popleft().descriptor)
                sync_folder(self._root)
        finally:
            _discard(files)

    def close(self) -> None:
        """Commit; nothing stays open."""
        self.commit()


class SegmentWriter:
    """Append films to segments of at most 64 MiB, from any thread.

    Each process writes files of its own (created exclusively, numbers counting up), so a torn end stays an end.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._lines: list[bytes] = []
        self._waiting_bytes = 0
        self._file: IO[bytes] | None = None

    def append(self, _movie_id: int, content: bytes) -> None:
        """Add one film; it reaches the file with its member, at the latest on `commit`."""
        with self._lock:
            self._lines.append(content)
            self._waiting_bytes += len(content)
            if self._waiting_bytes >= MEMBER_BYTES:
                self._write()

    def commit(self) -> None:
        """Write what waits as a member and bring the file to disk; OutputError when that fails."""
        with self._lock:
            self._write()
            if self._file:
                with output_errors(self._folder):
                    os.fsync(self._file.fileno())
                if self._file.tell() >= SEGMENT_BYTES:
                    self._file.close()
                    self._file = None

    def close(self) -> None:
        """Commit and close the file."""
        try:
            self.commit()
        finally:
            if self._file:
                self._file.close()
                self._file = None

    def _write(self) -> None:
        if not self._lines:
            return
        packer = zlib.compressobj(level=3, wbits=_GZIP_WINDOW)
        member = packer.compress(b"\n".join([*self._lines, b""])) + packer.flush()
        with output_errors(self._folder):
            file = self._file or self._create()
            start = file.tell()
            try:
                file.write(member)
            except OSError:
                file.truncate(start)
                raise
        self._lines, self._waiting_bytes = [], 0

    def _create(self) -> IO[bytes]:
        self._folder.mkdir(parents=True, exist_ok=True)
        number = max((int(path.name[6:14]) for path in self._folder.glob("films-????????.jsonl.gz")), default=0)
        while True:
            number += 1
            try:
                # Without a buffer of our own a killed process loses nothing that was written.
                self._file = (self._folder / f"films-{number:08d}.jsonl.gz").open("xb", buffering=0)
            except FileExistsError:
                continue
            sync_folder(self._folder)
            return self._file


def _write_all(descriptor: int, content: bytes) -> None:
    """A full disk may take the first part of a film and only then refuse."""
    written = os.write(descriptor, content)
    while written < len(content):
        written += os.write(descriptor, content[written:])


def _discard(files: Iterable[_Unnamed]) -> None:
    for file in files:
        os.close(file.descriptor)
        Path(file.spare).unlink(missing_ok=True)


def _remove_left_overs(root: Path) -> None:
    for path in root.glob(".movie_*.tmp"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < time.time() - LEFT_OVER_SECONDS:
                path.unlink()


def read_segment(path: Path) -> tuple[Iterator[bytes], int]:
    """Return the films of a segment, and how many of its members were damaged and dropped."""
    content = memoryview(path.read_bytes())
    lines: list[bytes] = []
    start = damaged = 0
    while start < len(content):
        member, end = _unpack(content, start)
        if end:
            lines.extend(member.splitlines())
            start = end
        else:
            damaged += 1
            found = bytes(content[start + 1 :]).find(GZIP_HEADER)
            start = start + 1 + found if found >= 0 else len(content)
    if damaged:
        log.warning("segment damaged", file=path.name, members_dropped=damaged)
    return iter(lines), damaged


def _unpack(content: memoryview, start: int) -> tuple[bytes, int]:
    """Return one member and where it ends; (b"", 0) when it is torn or its checksum disagrees."""
    unpacker = zlib.decompressobj(wbits=_GZIP_WINDOW)
    pieces = []
    try:
        while not unpacker.eof and start < len(content):
            pieces.append(unpacker.decompress(content[start : start + _STEP_BYTES]))
            start += _STEP_BYTES
    except zlib.error:
        return b"", 0
    return (b"".join(pieces), min(start, len(content)) - len(unpacker.unused_data)) if unpacker.eof else (b"", 0)
