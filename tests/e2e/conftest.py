"""One release for all tests, in a namespace that enforces PodSecurity `restricted`.

KUBECONFIG names the cluster. Its nodes must have the images or be able to pull them; `MOVIE_PIPELINE_SUBCHARTS` is a
folder with the subcharts' packages (default: the chart's own `charts/`), `MOVIE_PIPELINE_E2E_VALUES` more options for
helm.
`tests/e2e/standins` prepares all this where no registry can be reached.
"""

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .cluster import CHART, Release, program, run, until

NAMESPACE = "movies-e2e"
LABELS = [f"pod-security.kubernetes.io/{mode}=restricted" for mode in ("enforce", "warn", "audit")]
SAMPLE = 4803
log = logging.getLogger(__name__)


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
    """What every install and upgrade is given."""
    return ["--values", str(chart / "values-kind.yaml"), *os.environ.get("MOVIE_PIPELINE_E2E_VALUES", "").split()]


@pytest.fixture(scope="session")
def release(chart: Path, options: list[str]) -> Iterator[Release]:
    """The installed release with the sample loaded; removed with its namespace afterwards."""
    made = Release("e2e", NAMESPACE, chart)
    kubectl = program("kubectl")
    run(kubectl, "create", "namespace", NAMESPACE)
    run(kubectl, "label", "namespace", NAMESPACE, *LABELS)
    try:
        seconds = made.install(*options)
        until("the sample's films", lambda: made.films() == SAMPLE, seconds=300)
        log.info("installed in %.0f s", seconds)
        yield made
    finally:
        remove(made)


def remove(release: Release) -> None:
    """Uninstall, and delete what an uninstall keeps."""
    if release.name in release.helm("list", "--short", "--all"):
        release.helm("uninstall", release.name, "--wait", "--timeout", "5m")
    for kind in ("kafkatopics", "kafkanodepools", "kafkas"):
        run(
            program("kubectl"),
            "--namespace",
            release.namespace,
            "delete",
            kind,
            "--all",
            "--ignore-not-found",
            "--timeout=60s",
        )
    run(program("kubectl"), "delete", "namespace", release.namespace, "--timeout=180s", timeout_seconds=200)
