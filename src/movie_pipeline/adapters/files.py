"""The output directory: files that are complete or absent under their final name.

Everything is written to a temporary name in the same folder, brought to disk, and renamed. A full or read-only disk
is an OutputError that says which, and leaves nothing but what was there before.
"""

import errno
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from movie_pipeline.errors import OutputError

_NO_FOLDER = "a file stands where a folder is needed: set OUTPUT_DIR to another folder"
_FIXES = {
    errno.ENOSPC: "the disk is full: free space, or set OUTPUT_DIR to another disk",
    errno.EDQUOT: "the disk quota is used up: free space, or set OUTPUT_DIR to another disk",
    errno.EROFS: "the file system is read-only: set OUTPUT_DIR to a writable folder",
    errno.EACCES: "no permission: set OUTPUT_DIR to a folder that this user may write",
    errno.ENOTDIR: _NO_FOLDER,
    errno.EEXIST: _NO_FOLDER,
}


class FileStore:
    """Files below one root; see `ports.ArtifactStore`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write_bytes(self, name: str, content: bytes) -> Path:
        """Write a file below the root, atomically and durably; OutputError when that fails."""
        path = self.root / name
        spare = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
        with output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with spare.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                spare.replace(path)
            except BaseException:
                spare.unlink(missing_ok=True)
                raise
        return path

    @contextmanager
    def folder(self, name: str) -> Iterator[Path]:
        """Give a temporary folder that becomes `name` when the block ends without an error.

        What a run left under that name before is replaced.
        """
        final = self.root / name
        spare, old = (final.with_name(f".{final.name}.{os.getpid()}.{end}") for end in ("tmp", "old.tmp"))
        try:
            with output_errors(final):
                spare.mkdir(parents=True)
                yield spare
                for path in spare.rglob("*"):
                    _sync(path)
                if final.exists():
                    final.rename(old)
                spare.rename(final)
        finally:
            for left in (spare, old):
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn what the file system says into an OutputError that names the path and the fix."""
    try:
        yield
    except OSError as error:
        fix = _FIXES.get(error.errno or 0, "set OUTPUT_DIR to a writable folder on a healthy disk")
        raise OutputError(f"cannot write {error.filename or path}: {error.strerror or error}; {fix}") from error


def sync_folder(path: Path) -> None:
    """Bring a folder's entries to disk, where the system can do that."""
    with suppress(PermissionError):
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
