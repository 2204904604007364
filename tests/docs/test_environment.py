"""Variables that manifests set are settings of the program, or known ones of somebody else."""

import re

import pytest
import yaml

from movie_pipeline.settings import Settings

from .places import CHART, ROOT

SETTINGS = {name.upper() for name in Settings.model_fields}
OURS_BESIDE = {
    "PIPELINE_RUNNER": "dags",
    "PIPELINE_PROGRAM": "dags",
    "PIPELINE_PODS": "dags",
    "PIPELINE_RETRY_SECONDS": "dags",
    "PRODUCE_PAGES": "docker-compose.yml",
    "PRODUCE_EVERY_SECONDS": "docker-compose.yml",
}
"""Variables of ours that the program itself does not read, and where they are used."""

UPSTREAM = {
    "apache/kafka": r"KAFKA_\w+|CLUSTER_ID",
    "postgres": r"POSTGRES_(USER|PASSWORD|DB)",
    "redis": r"REDISCLI_AUTH",
    "movie-pipeline/airflow": r"AIRFLOW__\w+|AIRFLOW_HOME|AIRFLOW_ADMIN_PASSWORD",
    "movie-pipeline/compose-worker": r"AIRFLOW__\w+|AIRFLOW_HOME|DUMB_INIT_SETSID|MPLCONFIGDIR",
}
"""Variables of upstream images, and what our commands inside them read."""

CHART_UPSTREAM = {
    "HOME": "every process",
    "USER": "getpass, which Dask asks",
    "RELEASE": "files/uninstall.py",
    "CONSUMER": "files/uninstall.py",
    "KAFKA_CLUSTER": "files/uninstall.py",
    "TIMEOUT_SECONDS": "files/uninstall.py",
    "MINIMUM_FILMS": "files/test_warehouse.py",
    "CONSUMER_URL": "files/test_web.py",
    "WEB_URL": "files/test_web.py",
    "ADMIN_USER": "files/airflow-user.sh",
    "AIRFLOW_HOME": "Airflow",
    "AIRFLOW__CORE__AUTH_MANAGER": "Airflow",
    "AIRFLOW__CORE__FERNET_KEY": "Airflow",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "Airflow",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "Airflow",
    "STRIMZI_USE_FINALIZERS": "Strimzi's topic operator",
}
"""Variables of the chart's own small scripts, and of the system."""


def _services():
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]


@pytest.mark.parametrize("name", _services())
def test_variables_of_a_compose_service_are_known(name):
    service = _services()[name]
    image = service["image"].partition(":")[0]
    upstream = UPSTREAM.get(image, "")
    ours = SETTINGS | set(OURS_BESIDE) if image.startswith("movie-pipeline/") else set()
    assert not {key for key in service.get("environment", {}) if key not in ours and not re.fullmatch(upstream, key)}


def test_variables_that_compose_needs_are_in_the_generated_file():
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    needed = {name for name, rest in re.findall(r"(?<!\$)\$\{(\w+)(:-)?", text) if not rest}
    made = set(re.findall(r"^([A-Z_]+)=", (ROOT / "images" / "make-env").read_text(encoding="utf-8"), re.MULTILINE))
    assert needed
    assert needed <= made


def test_the_charts_settings_map_holds_settings_only():
    text = (CHART / "templates" / "settings.yaml").read_text(encoding="utf-8")
    names = set(re.findall(r'^\s+"([A-Z][A-Z0-9_]+)" ', text, re.MULTILINE))
    names |= set(re.findall(r'set \$data "(\w+)"', text))
    assert len(names) > 15
    assert names <= SETTINGS


def test_variables_of_the_charts_pods_are_known():
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted((CHART / "templates").rglob("*.*"))}
    # A name with a value beside it is a variable; everything else that has a name is written small.
    names = {name for text in texts.values() for name in re.findall(r"- name: ([A-Z][A-Z0-9_]+)\b", text)}
    assert {"PGUSER", "APP_ROLE_PASSWORD", "TMDB_API_TOKEN"} <= names
    assert names - SETTINGS - set(CHART_UPSTREAM) == set()


def test_variables_of_the_dag_are_known():
    text = (ROOT / "dags" / "tmdb_pipeline.py").read_text(encoding="utf-8")
    names = set(re.findall(r'environ(?:\.get\(|\[)"(\w+)"', text))
    names |= set(re.findall(r'V1EnvVar\(name="(\w+)"', text)) | set(re.findall(r'"env": \{"(\w+)"', text))
    assert {"PIPELINE_RUNNER", "OUTPUT_DIR", "RUN_ID"} <= names
    assert names - SETTINGS - set(OURS_BESIDE) == set()


@pytest.mark.parametrize("name", [name for name, reader in CHART_UPSTREAM.items() if reader.startswith("files/")])
def test_variables_of_the_charts_scripts_are_read(name):
    assert name in (CHART / CHART_UPSTREAM[name]).read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "place"), OURS_BESIDE.items())
def test_variables_beside_the_settings_are_used_and_documented(name, place):
    files = [path for path in (ROOT / place, *(ROOT / place).glob("*.py")) if path.is_file()]
    assert any(name in path.read_text(encoding="utf-8") for path in files)
    assert f"`{name}`" in (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


def test_the_program_help_names_every_setting():
    from movie_pipeline.cli import build_parser

    epilog = str(build_parser().epilog)
    assert set(re.findall(r"^  ([A-Z_]+) ", epilog, re.MULTILINE)) == SETTINGS


def test_the_program_reads_every_setting():
    package = ROOT / "src" / "movie_pipeline"
    code = "\n".join(path.read_text(encoding="utf-8") for path in sorted(package.rglob("*.py")))
    assert {
        name for name in Settings.model_fields if not re.search(rf"\b\w*settings\.{name}\b|self\.{name}\b", code)
    } == set()
