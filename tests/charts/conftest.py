"""Charts are rendered by the real helm, with the subcharts that the tests' settings name.

`HELM` is the helm program (default: the one on PATH); `MOVIE_PIPELINE_SUBCHARTS` is a folder with the packages of the
subcharts (default: the chart's own `charts/`, where `helm dependency build` puts them).
"""

import functools
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from .cases import CASES, CHART, NAMESPACE, RELEASE, Render, RenderError, own


def helm_program() -> str:
    """Return the helm program, or fail with what to install."""
    found = shutil.which(os.environ.get("HELM", "helm"))
    assert found, f"HELM={os.environ.get('HELM', 'helm')!r} is no program: install Helm 3.19 or newer, or set HELM"
    return found


@pytest.fixture(scope="session")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the chart with its subcharts in place."""
    given = os.environ.get("MOVIE_PIPELINE_SUBCHARTS")
    packages = sorted(Path(given or CHART / "charts").glob("*.tgz"))
    wanted = {item["name"] for item in yaml.safe_load((CHART / "Chart.yaml").read_text())["dependencies"]}
    missing = {name for name in wanted if not any(package.name.startswith(f"{name}-") for package in packages)}
    assert not missing, (
        f"no package of {missing}: run helm dependency build charts/movie-pipeline, or set MOVIE_PIPELINE_SUBCHARTS"
    )
    copy = tmp_path_factory.mktemp("chart") / "movie-pipeline"
    shutil.copytree(CHART, copy, ignore=shutil.ignore_patterns("charts", "Chart.lock"))
    (copy / "charts").mkdir()
    for package in packages:
        shutil.copy(package, copy / "charts")
    return copy


@pytest.fixture(scope="session")
def render(chart: Path) -> Render:
    """Render with options of `helm template`; RenderError with helm's words when it refuses. Results are kept."""

    @functools.cache
    def run(arguments: tuple[str, ...]) -> str:
        command = [
            helm_program(),
            "template",
            RELEASE,
            ".",
            "--namespace",
            NAMESPACE,
            "--kube-version",
            "1.34.0",
            *arguments,
        ]
        done = subprocess.run(command, cwd=chart, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RenderError(done.stderr)
        return done.stdout

    def documents(*arguments: str) -> list[dict[str, Any]]:
        return [item for item in yaml.load_all(run(arguments), Loader=yaml.CSafeLoader) if item]

    return documents


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    """The name of each set of values."""
    return str(request.param)


@pytest.fixture
def objects(case: str, render: Render) -> list[dict[str, Any]]:
    """All objects of a case."""
    return render(*CASES[case])


@pytest.fixture
def ours(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Our own objects of a case, without the subcharts'."""
    return own(objects)
