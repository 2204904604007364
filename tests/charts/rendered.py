"""Look into rendered objects."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

Object = dict[str, Any]


def named(items: Sequence[Object], kind: str, name: str) -> Object:
    """Return the one object of a kind and name."""
    found = [item for item in items if item["kind"] == kind and item["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} objects {kind}/{name}: {[(i['kind'], i['metadata']['name']) for i in items]}"
    return found[0]


def of_kind(items: Sequence[Object], kind: str) -> list[Object]:
    """Return the objects of a kind."""
    return [item for item in items if item["kind"] == kind]


def pods(items: Sequence[Object]) -> Iterator[tuple[str, Object, Object]]:
    """Yield (where, pod labels, pod spec) of every pod: also the DAG's and Dask's, which lie in ConfigMaps."""
    for item in items:
        where, spec = f"{item['kind']}/{item['metadata']['name']}", item.get("spec", {})
        if item["kind"] == "Pod":
            yield where, item["metadata"].get("labels", {}), spec
        elif item["kind"] == "CronJob":
            template = spec["jobTemplate"]["spec"]["template"]
            yield where, template["metadata"]["labels"], template["spec"]
        elif item["kind"] in {"Deployment", "StatefulSet", "Job"}:
            yield where, spec["template"]["metadata"].get("labels", {}), spec["template"]["spec"]
        elif item["kind"] == "ConfigMap":
            yield from _kept_pods(where, item.get("data", {}))


def _kept_pods(where: str, data: dict[str, str]) -> Iterator[tuple[str, Object, Object]]:
    for name, pod in json.loads(data.get("pods.json", "{}")).items():
        yield f"{where}/{name}", pod["metadata"]["labels"], pod["spec"]
    for file in ("cluster.yaml", "dag.yaml"):
        if file in data:
            cluster = yaml.safe_load(data[file])
            for role in ("scheduler", "worker"):
                yield f"{where}/{file}/{role}", cluster["metadata"]["labels"], cluster["spec"][role]["spec"]


def containers(spec: Object) -> list[Object]:
    """Return a pod's containers, init containers included."""
    return [*spec.get("initContainers", []), *spec["containers"]]


def variables(spec: Object) -> set[str]:
    """Return the names of the variables that a pod sets itself."""
    return {item["name"] for container in containers(spec) for item in container.get("env", [])}
