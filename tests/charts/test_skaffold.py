"""`skaffold.yaml` against Skaffold's published schema, the images and the chart.

`SKAFFOLD_SCHEMA` is the schema's file; without it the schema is taken out of Skaffold's Go module by the go program.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from .cases import CHART, ROOT

MODULE, SCHEMA = "github.com/GoogleContainerTools/skaffold/v2@v2.24.0", "docs-v2/content/en/schemas/v4beta14.json"


@pytest.fixture(scope="session")
def skaffold() -> dict[str, Any]:
    """The file's content."""
    return yaml.safe_load((ROOT / "skaffold.yaml").read_text())


@pytest.fixture(scope="session")
def schema(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The published schema of the file's version."""
    if given := os.environ.get("SKAFFOLD_SCHEMA"):
        return json.loads(Path(given).read_text())
    go = shutil.which("go")
    assert go, "no go program to get Skaffold's schema with: install Go, or set SKAFFOLD_SCHEMA to v4beta14.json"
    command = [go, "mod", "download", "-json", MODULE]
    done = subprocess.run(command, cwd=tmp_path_factory.mktemp("go"), capture_output=True, text=True, check=True)
    return json.loads((Path(json.loads(done.stdout)["Dir"]) / SCHEMA).read_text())


def test_the_file_follows_the_published_schema(skaffold: dict[str, Any], schema: dict[str, Any]) -> None:
    jsonschema.Draft7Validator(schema).validate(skaffold)
    broken = {**skaffold, "build": {**skaffold["build"], "artefacts": []}}
    assert not jsonschema.Draft7Validator(schema).is_valid(broken)


def test_every_artifact_is_a_target_of_the_images(skaffold: dict[str, Any]) -> None:
    targets = set(re.findall(r"^FROM .* AS (\S+)$", (ROOT / "images" / "Dockerfile").read_text(), re.MULTILINE))
    for artifact in skaffold["build"]["artifacts"]:
        assert artifact["docker"]["dockerfile"] == "images/Dockerfile"
        assert artifact["docker"]["target"] in targets
        assert artifact["image"] == f"movie-pipeline/{artifact['docker']['target']}"


def test_the_chart_gets_every_artifact_by_values_that_exist(skaffold: dict[str, Any]) -> None:
    release = skaffold["deploy"]["helm"]["releases"][0]
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    templates = release["setValueTemplates"]
    profiles = [
        patch["value"]
        for p in skaffold["profiles"]
        for patch in p.get("patches", [])
        if patch["path"].endswith("setValues")
    ]
    for path in [*templates, *(path for extra in profiles for path in extra)]:
        found = values
        for key in path.split("."):
            assert key in found, path
            found = found[key]
    for artifact in skaffold["build"]["artifacts"]:
        name = artifact["image"].replace("-", "_").replace("/", "_")
        for part in ("REPO", "TAG"):
            assert f"{{{{.IMAGE_{part}_{name}}}}}" in templates.values()


def test_its_files_and_services_exist(skaffold: dict[str, Any]) -> None:
    release = skaffold["deploy"]["helm"]["releases"][0]
    for path in [
        release["chartPath"],
        *release["valuesFiles"],
        *skaffold["deploy"]["helm"]["hooks"]["before"][0]["host"]["command"][3:],
    ]:
        assert (ROOT / path).exists(), path
    for artifact in skaffold["build"]["artifacts"]:
        for rule in artifact.get("sync", {}).get("manual", []):
            assert list(ROOT.glob(rule["src"])), rule
    namespaces = list(yaml.safe_load_all((ROOT / "k8s" / "namespaces.yaml").read_text()))
    assert release["namespace"] in {item["metadata"]["name"] for item in namespaces}


def test_the_profiles_patch_what_is_there(skaffold: dict[str, Any]) -> None:
    names = {profile["name"] for profile in skaffold["profiles"]}
    assert {"kind", "minikube"} <= names
    for profile in skaffold["profiles"]:
        for patch in profile.get("patches", []):
            found: Any = skaffold
            *parents, _ = patch["path"].strip("/").split("/")
            for key in parents:
                found = found[int(key)] if isinstance(found, list) else found[key]
            assert found, patch["path"]
