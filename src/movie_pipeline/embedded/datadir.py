"""Make the folder that an embedded PostgreSQL stores everything in, also where root must give it to another user."""

import os
import secrets
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

from movie_pipeline.embedded.binaries import Binaries
from movie_pipeline.embedded.places import ServerUser, make_folder, write_text
from movie_pipeline.embedded.process import locked, server_environment
from movie_pipeline.errors import OutputError

ROLE = "movies"
# Root's data goes here when the directory asked for lies where the server's user may not go.
_ROOTS_FOLDER = Path("/var/lib/movie-pipeline")


def own_folder(asked: Path, user: ServerUser | None, roots_folder: Path = _ROOTS_FOLDER) -> Path:
    """Return the folder to use: created, owned by the server's user and within its reach."""
    if user is None:
        return make_folder(asked, mode=0o700)
    make_folder(asked.parent)
    if user.can_reach(asked.parent):
        return _given_to(user, asked)
    if not roots_folder.exists():
        make_folder(roots_folder).chmod(0o755)
    folder = _given_to(user, roots_folder / f"postgres-{sha256(bytes(asked)).hexdigest()[:12]}")
    marker = make_folder(asked, mode=0o700) / "stored-elsewhere"
    if not marker.exists():
        # Whoever removed the directory asked for has removed its data, too.
        with locked(folder):
            _clear(folder)
        write_text(marker, f"{folder}\n")
    return folder


def _clear(folder: Path) -> None:
    for name in ("data", "data.new"):
        if (folder / name).exists():
            shutil.rmtree(folder / name)
    (folder / "password").unlink(missing_ok=True)


def _given_to(user: ServerUser, folder: Path) -> Path:
    make_folder(folder, mode=0o700)
    try:
        if not any(folder.iterdir()):
            os.chown(folder, user.uid, user.gid)
    except OSError as error:
        raise OutputError(
            f"cannot give {folder} to user {user.name}, whom PostgreSQL runs as: {error.strerror}; "
            "choose a folder on a local disk"
        ) from error
    if not user.can_reach(folder):
        raise OutputError(
            f"user {user.name}, whom PostgreSQL runs as, cannot enter {folder}; "
            "choose a new or empty folder, or run this as an ordinary user"
        )
    return folder


def stored_major(folder: Path) -> int | None:
    """Return the PostgreSQL version that wrote the data in this folder, None when there is none yet."""
    try:
        return int((folder / "data" / "PG_VERSION").read_text(encoding="ascii"))
    except FileNotFoundError:
        return None


def stored_password(folder: Path) -> str:
    """Return the role's password, made up on the first call and readable by this user alone."""
    path = folder / "password"
    if not path.exists():
        write_text(path, secrets.token_urlsafe(24), mode=0o600)
    return path.read_text(encoding="ascii")


def initialise(folder: Path, binaries: Binaries, user: ServerUser | None, lock: int) -> None:
    """Make the data directory; it is complete under its name or not there. The child holds `lock` while it works."""
    draft = folder / "data.new"
    if draft.exists():
        shutil.rmtree(draft)
    password = write_text(folder / "password.initdb", stored_password(folder), mode=0o600)
    identity: dict[str, Any] = {}
    if user:
        os.chown(password, user.uid, user.gid)
        identity = {"user": user.uid, "group": user.gid, "extra_groups": []}
    command = [binaries.program("initdb"), "-D", str(draft), "--username", ROLE, "--pwfile", str(password)]
    command += ["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=server_environment(),
            capture_output=True,
            text=True,
            check=False,
            pass_fds=[lock],
            **identity,
        )
    finally:
        password.unlink()
    if done.returncode != 0:
        raise OutputError(
            f"cannot create a database in {folder}: {_reason(done.stderr)}; "
            "choose a folder with 100 MB of space that this user may write"
        )
    draft.rename(folder / "data")


def _reason(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower() or "fatal" in line.lower()]
    return (telling or lines or ["initdb said nothing"])[0]
