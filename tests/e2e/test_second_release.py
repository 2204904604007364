"""A second release beside the first, in another namespace, without Airflow and without a Dask operator."""

from pathlib import Path

import pytest

from .cluster import Figures, Release, contents, until
from .conftest import SAMPLE, namespace_of

pytestmark = pytest.mark.timeout(1800)

OFF = ("airflow", "airflow-postgresql", "dask-kubernetes-operator")


def test_two_releases_do_not_meet_and_one_without_an_operator_computes_on_a_local_cluster(
    release: Release, chart: Path, options: list[str]
) -> None:
    before = contents(release)
    second = Release("second", "movies-second", chart)
    without = [f"--set={part}.enabled=false" for part in OFF]
    with namespace_of(second):
        with Figures.timed("a second release without Airflow, until all its films are loaded"):
            second.install(*options, *without, "--set=strimzi-kafka-operator.createGlobalResources=false")
            until("the second release's films", lambda: second.films() == SAMPLE, seconds=300)
        said = second.kubectl("logs", f"deployment/{second.full}-consumer")
        assert "is the Dask operator running" in said
        assert "local Dask workers" in said
        second.helm("test", second.name, "--timeout", "10m")
    assert contents(release) == before
    release.helm("test", release.name, "--timeout", "10m")
