"""One release for all tests, in a namespace that enforces PodSecurity `restricted`.

KUBECONFIG names the cluster. Its nodes must have the images or be able to pull them, also the one of
`tests/e2e/later-image`; `MOVIE_PIPELINE_SUBCHARTS` is a folder with the subcharts' packages (default: the chart's own
`charts/`), `MOVIE_PIPELINE_E2E_VALUES` more options for helm, SCREENSHOTS a folder that keeps what the browser saw.
`tests/e2e/standins` prepares all this where no registry can be reached.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from .cluster import CHART, CommandError, Figures, Release, program, run, until

LABELS = [f"pod-security.kubernetes.io/{mode}=restricted" for mode in ("enforce", "warn", "audit")]
SAMPLE = 4803


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the release was seen to take."""
    terminalreporter.write_sep("-", "figures")
    for line in Figures.lines:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the chart with its subcharts in place."""
    packages = sorted(Path(os.environ.get("MOVIE_PIPELINE_SUBCHARTS", CHART / "charts")).glob("*.tgz"))
    assert packages, "no subcharts: run helm dependency build charts/movie-pipeline, or set MOVIE_PIPELINE_SUBCHARTS"
    copy = tmp_path_factory.mktemp("chart") / "movie-pipeline"
    shutil.copytree(CHART, copy, ignore=shutil.ignore_patterns("charts", "Chart.lock"))
    (copy / "charts").mkdir()
    for package in packages:
        shutil.copy(package, copy / "charts")
    return copy


@pytest.fixture(scope="session")
def options(chart: Path) -> list[str]:
    """What every install and upgrade is given. Small transactions: a load lasts long enough to be disturbed."""
    more = os.environ.get("MOVIE_PIPELINE_E2E_VALUES", "").split()
    return ["--values", str(chart / "values-kind.yaml"), "--set", "settings.LOAD_SIZE=60", *more]


@pytest.fixture(scope="session")
def release(chart: Path, options: list[str]) -> Iterator[Release]:
    """The installed release with the sample loaded; removed with its namespace afterwards."""
    made = Release("e2e", "movies-e2e", chart)
    began = time.monotonic()
    with namespace_of(made):
        with Figures.timed("helm install --wait on the empty cluster"):
            made.install(*options)
        until("the sample's films", lambda: made.films() == SAMPLE, seconds=300)
        Figures.add(f"all {SAMPLE} films in the warehouse after {time.monotonic() - began:.0f} s")
        yield made


@contextmanager
def namespace_of(release: Release) -> Iterator[None]:
    """Make the namespace of a release; afterwards remove it with the release and what an uninstall keeps."""
    kubectl = program("kubectl")
    run(kubectl, "create", "namespace", release.namespace)
    run(kubectl, "label", "namespace", release.namespace, *LABELS)
    try:
        yield
    except BaseException as error:
        for kind in ("pods", "events"):
            with suppress(CommandError):
                error.add_note(release.kubectl("get", kind, "--sort-by=.metadata.creationTimestamp")[-8000:])
        raise
    finally:
        if release.name in release.helm("list", "--short", "--all"):
            release.uninstall()
        for kind in ("kafkatopics", "kafkanodepools", "kafkas"):
            release.kubectl("delete", kind, "--all", "--ignore-not-found", "--timeout=60s")
        run(kubectl, "delete", "namespace", release.namespace, "--timeout=180s", timeout_seconds=200)


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """Where the browser's pictures go."""
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
