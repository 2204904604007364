"""Backups of messages: `movie_{id}.json` for ordinary runs, segments for crawls.

A segment is a `.jsonl.gz` file of independent gzip members, each holding some films and gzip's own CRC-32 and length:
appending never touches what is written, any tool reads it, and a member that was torn by a crash is found and dropped.
"""

import os
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import orjson

from movie_pipeline import logs
from movie_pipeline.adapters.files import FileStore, output_errors, sync_folder

log = logs.get(__name__)

MOST_SINGLE_FILES = 10_000
"""Films of a run up to which each gets a file of its own; TMDB's lists end there."""
MEMBER_BYTES = 256 * 1024
SEGMENT_BYTES = 64 * 1024 * 1024
GZIP_HEADER = b"\x1f\x8b\x08"
_GZIP_WINDOW = 31
_STEP_BYTES = 64 * 1024


class FileBackups:
    """Backups below the output directory; see `ports.Backups`."""

    def __init__(self, root: Path) -> None:
        self._files = FileStore(root)
        self._folder = root / "segments"
        self._segment: SegmentWriter | None = None
        self.damaged = 0

    def begin(self, films: int) -> None:
        """Write segments for more than 10,000 films, single files otherwise."""
        self.close()
        self._segment = SegmentWriter(self._folder) if films > MOST_SINGLE_FILES else None

    def save(self, movie_id: int, content: bytes) -> None:
        """Keep one message; OutputError when that fails."""
        if self._segment:
            self._segment.append(content)
        else:
            self._files.write_bytes(f"movie_{movie_id}.json", content)

    def commit(self) -> None:
        """Make everything saved so far durable."""
        if self._segment:
            self._segment.commit()

    def close(self) -> None:
        """Commit, and let go of the open segment."""
        if self._segment:
            self._segment.close()
            self._segment = None

    def read(self) -> Iterator[tuple[int, bytes]]:
        """Yield (id, message) of every file and segment; what is damaged is dropped and counted."""
        self.damaged = 0
        for path in sorted(self._files.root.glob("movie_*.json")):
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

    def append(self, content: bytes) -> None:
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
