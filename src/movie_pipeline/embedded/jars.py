"""Fetch the broker's jars once, by their Maven coordinates, and keep them in the user's cache.

`kafka-jars.lock` says which jars and their SHA-256; nothing else is ever put on the broker's class path. Where Maven
artifacts live is the business of `jgo`: a company's mirror goes into its configuration file, a proxy into HTTPS_PROXY.
"""

import errno
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from movie_pipeline.embedded.places import Progress, cache_folder, make_folder, silent
from movie_pipeline.errors import ConfigurationError, OutputError, RetryLaterError

LOCK_FILE = Path(__file__).with_name("kafka-jars.lock")
# More at once makes name servers refuse; see also the retry.
_THREADS = 4
_ATTEMPTS = 3
_PAUSE_SECONDS = 1.0
_TIMEOUT_SECONDS = 30
_DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


@dataclass(frozen=True)
class Jar:
    """One line of the lock file."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Return the jar's usual file name."""
        return f"{self.artifact}-{self.version}.jar"


Download = Callable[[Jar, Path], Path]
"""Given a jar and a scratch folder, return the downloaded file below that folder, or raise."""


def locked_jars() -> list[Jar]:
    """Return the jars of the lock file, in its order."""
    lines = LOCK_FILE.read_text(encoding="utf-8").splitlines()
    entries = [line.replace(":", " ").split() for line in lines if line and not line.startswith("#")]
    return [Jar(group, artifact, version, digest) for group, artifact, version, digest in entries]


def ensure_jars(
    folder: Path | None = None, progress: Progress = silent, download: Download | None = None
) -> list[Path]:
    """Return the paths of all jars, fetching those that the cache lacks; each is checked against the lock file.

    Raises RetryLaterError when they cannot be fetched, OutputError when the cache cannot be written. A jar is complete
    and right under its name or not there, whatever happens, and several programs may fetch at once.
    """
    folder = folder or cache_folder() / "kafka"
    jars = locked_jars()
    missing = [jar for jar in jars if not _is_right(folder / jar.file_name, jar)]
    if missing:
        make_folder(folder)
        _fetch_all(missing, folder, progress, download or _by_coordinates)
    return [folder / jar.file_name for jar in jars]


def _fetch_all(jars: Sequence[Jar], folder: Path, progress: Progress, download: Download) -> None:
    what = "Downloading the broker"
    progress(what, 0, len(jars))
    with ThreadPoolExecutor(_THREADS) as pool:
        jobs = [pool.submit(_fetch, jar, folder, download) for jar in jars]
        try:
            for done, job in enumerate(as_completed(jobs), start=1):
                job.result()
                progress(what, done, len(jars))
        finally:
            pool.shutdown(cancel_futures=True)


def _fetch(jar: Jar, folder: Path, download: Download) -> None:
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix="fetching-") as scratch:
            file = _with_retries(jar, Path(scratch), download)
            file.chmod(0o644)
            file.replace(folder / jar.file_name)
    except OSError as error:
        raise OutputError(
            f"cannot write the cache {folder}: {error.strerror}; "
            "set XDG_CACHE_HOME to a folder with 60 MB of space that this user may write"
        ) from error


def _with_retries(jar: Jar, scratch: Path, download: Download) -> Path:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            file = download(jar, scratch / str(attempt))
        except ConfigurationError:
            raise
        # The library lets through whatever its HTTP client raises, and bare RuntimeErrors of its own.
        except Exception as error:
            if getattr(error, "errno", None) in _DISK_FAULTS:
                raise
            if attempt == _ATTEMPTS:
                raise RetryLaterError(
                    f"cannot download {jar.file_name} ({type(error).__name__}); "
                    "the first run needs the network once, for Apache Kafka's jars (43 MB): "
                    "connect, or set HTTPS_PROXY, or a mirror in jgo's configuration file, and run it again"
                ) from error
            time.sleep(_PAUSE_SECONDS * attempt)
            continue
        if _is_right(file, jar):
            return file
    raise RetryLaterError(
        f"{jar.file_name} arrives damaged (its SHA-256 is not {jar.sha256}); "
        "the mirror or proxy in between alters it: use another, and run it again"
    )


def _by_coordinates(jar: Jar, scratch: Path) -> Path:
    try:
        from jgo.config import GlobalSettings  # noqa: PLC0415 - an extra, needed on the first run only
        from jgo.maven import MavenContext  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError("the embedded broker needs `pip install 'movie-pipeline[embedded]'`") from None
    context = MavenContext(
        repo_cache=scratch, remote_repos=GlobalSettings.load().repositories or None, timeout=_TIMEOUT_SECONDS
    )
    return Path(context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve())


def _is_right(file: Path, jar: Jar) -> bool:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest() == jar.sha256
    except FileNotFoundError:
        return False


def class_path(jars: Sequence[Path]) -> str:
    """Return the jars as Java's class path."""
    return os.pathsep.join(str(jar) for jar in jars)
