"""Where embedded parts live on this machine: cache folder, free ports, and a user that may run a database."""

import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from movie_pipeline.errors import ConfigurationError, OutputError

HOST = "127.0.0.1"
Progress = Callable[[str, int, int], None]
"""Told (what is being done, steps done, steps in all)."""


def silent(_what: str, _done: int, _total: int) -> None:
    """Show no progress."""


def cache_folder() -> Path:
    """Return this user's cache folder for our downloads; it may not exist yet."""
    return _user_folder("XDG_CACHE_HOME", mac="Library/Caches", other=".cache") / "movie-pipeline"


def state_folder() -> Path:
    """Return this user's folder for data that outlives a run; it may not exist yet."""
    return _user_folder("XDG_STATE_HOME", mac="Library/Application Support", other=".local/state") / "movie-pipeline"


def _user_folder(variable: str, *, mac: str, other: str) -> Path:
    named = os.environ.get(variable, "")
    if Path(named).is_absolute():
        return Path(named)
    try:
        return Path.home() / (mac if sys.platform == "darwin" else other)
    except RuntimeError:
        raise ConfigurationError(
            f"this user has no home folder; set {variable} to an absolute path of a folder that it may write"
        ) from None


def make_folder(folder: Path, mode: int = 0o755) -> Path:
    """Create the folder with its parents; OutputError when that fails."""
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot create {folder}: {error.strerror}; choose a folder that this user may write"
        ) from error
    return folder


def write_text(path: Path, text: str, mode: int = 0o644) -> Path:
    """Write a small file under a temporary name and rename it; OutputError when that fails."""
    draft = path.with_name(f"{path.name}.tmp")
    try:
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        return draft.replace(path)
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror}; choose a folder with space that this user may write"
        ) from error


def choose_port(wanted: int, what: str) -> int:
    """Return the wanted port, or a free one for 0; ConfigurationError when the wanted port is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError as error:
            raise ConfigurationError(
                f"port {wanted} for {what} cannot be used on {HOST}: {error.strerror}; "
                "end what holds it, or choose another port (0 takes a free one)"
            ) from None
        return int(probe.getsockname()[1])


def is_open(port: int) -> bool:
    """Tell whether something listens on this port of the loopback address."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0


@dataclass(frozen=True)
class ServerUser:
    """A user of the machine that a server runs as."""

    name: str
    uid: int
    gid: int

    def can(self, command: Sequence[str]) -> bool:
        """Tell whether a command ends well as this user: the only answer that knows all modes, lists and mounts."""
        try:
            done = subprocess.run(
                command, user=self.uid, group=self.gid, extra_groups=[], capture_output=True, check=False, cwd="/"
            )
        except OSError:
            return False
        return done.returncode == 0

    def can_reach(self, folder: Path) -> bool:
        """Tell whether this user may enter the folder."""
        return self.can(["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)])


def unprivileged_user() -> ServerUser | None:
    """Return the user for a server that refuses root; None when this process is not root and needs no other."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "_postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServerUser(name, found.pw_uid, found.pw_gid)
    raise ConfigurationError(
        "PostgreSQL does not run as root, and there is neither a user 'postgres' nor 'nobody'; "
        "run this as an ordinary user"
    )
