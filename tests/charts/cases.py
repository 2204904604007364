"""The sets of values under which the chart is rendered."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "movie-pipeline"
RELEASE, NAMESPACE = "mp", "movies"
Render = Callable[..., list[dict[str, Any]]]

EXTERNAL = (
    "kafka.enabled=false",
    "strimzi-kafka-operator.enabled=false",
    "kafka.external.bootstrapServers=kafka.example.org:9093",
    "kafka.external.caSecret=kafka-ca",
    "kafka.external.users.producer=kafka-producer",
    "kafka.external.users.consumer=kafka-consumer",
    "kafka.external.users.replay=kafka-replay",
    "postgresql.enabled=false",
    "database.host=db.example.org",
    "database.sslmode=verify-full",
    "database.caSecret=db-ca",
    "database.owner.existingSecret=db-owner",
    "database.app.existingSecret=db-app",
    "dask-kubernetes-operator.enabled=false",
    "airflow.enabled=false",
    "airflow-postgresql.enabled=false",
    "tmdb.existingSecret=tmdb",
    "artifacts.existingClaim=shared",
)
EVERYTHING = (
    "autoscaling.enabled=true",
    "monitoring.serviceMonitor.enabled=true",
    "monitoring.prometheusRule.enabled=true",
    "monitoring.dashboard.enabled=true",
    "producer.cronJob.enabled=true",
    "artifacts.web.ingress.enabled=true",
    "artifacts.web.ingress.host=films.example.org",
    "artifacts.web.ingress.tlsSecret=films-tls",
)
CASES: dict[str, tuple[str, ...]] = {
    "defaults": (),
    "everything": tuple(f"--set={value}" for value in EVERYTHING),
    "external": tuple(f"--set={value}" for value in EXTERNAL),
    "kind": ("--values=values-kind.yaml",),
    "production": ("--values=values-production.yaml",),
}


class RenderError(Exception):
    """What helm said when it refused."""


def own(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep what this chart's templates made."""
    return [
        item
        for item in items
        if item["metadata"].get("labels", {}).get("helm.sh/chart", "").startswith("movie-pipeline-")
    ]
