"""The DAG file: what it costs to read, what it promises, and that the program takes every command in it."""

import json
import subprocess
import sys
from itertools import pairwise
from typing import Any

import pytest

from conftest import HERE, ROOT

ORDER = ["check_kafka", "check_tmdb", "produce", "process_kafka_data", "warehouse"]
COMMANDS = {*ORDER, "check_postgres", "process_alternative", "charts", "train", "report"}


def test_reading_the_file_takes_well_under_a_second_of_its_own(
    looked: dict[str, Any], capsys: pytest.CaptureFixture[str]
):
    with capsys.disabled():
        sys.stdout.write(f"\nparse time of dags/tmdb_pipeline.py: {looked['seconds'] * 1000:.0f} ms\n")
    assert looked["seconds"] < 1


def test_reading_the_file_loads_nothing_but_airflow(looked: dict[str, Any]):
    assert not {"movie_pipeline", "pandas", "kafka", "dask", "sklearn", "kubernetes"} & set(looked["modules"])


def test_it_runs_every_twelve_hours_one_run_at_a_time_without_catching_up(looked: dict[str, Any]):
    assert looked["dag"]["schedule"] == "0 */12 * * *"
    assert (looked["dag"]["catchup"], looked["dag"]["max_active_runs"]) == (False, 1)


def test_a_late_run_raises_an_alert_before_it_is_ended(looked: dict[str, Any]):
    assert looked["dag"]["deadlines"] == 1
    assert looked["dag"]["timeout"] == 6 * 3600


def test_services_are_asked_before_the_main_path_and_what_follows_is_in_order(looked: dict[str, Any]):
    tasks = looked["tasks"]
    for before, after in pairwise(ORDER):
        assert before in tasks[after]["upstream"]
    assert "check_postgres" in tasks["warehouse"]["upstream"]


def test_charts_and_model_run_side_by_side_before_the_report(looked: dict[str, Any]):
    tasks = looked["tasks"]
    assert tasks["charts"]["upstream"] == tasks["train"]["upstream"] == ["process_alternative", "warehouse"]
    assert tasks["report"]["upstream"] == ["charts", "train"]


def test_one_leaf_decides_the_colour_of_a_run(looked: dict[str, Any]):
    leaves = [name for name, task in looked["tasks"].items() if not task["downstream"]]
    assert leaves == ["gate"]
    assert looked["tasks"]["gate"]["upstream"] == ["charts", "report", "train"]


def test_groups_show_the_checks_and_the_alternative_path(looked: dict[str, Any]):
    assert looked["dag"]["groups"] == {
        "check_services": ["check_kafka", "check_postgres", "check_tmdb"],
        "alternative_path": ["process_alternative"],
    }


def test_every_command_has_a_time_out_and_retries_with_growing_pauses(looked: dict[str, Any]):
    for name in COMMANDS:
        task = looked["tasks"][name]
        assert task["timeout"], name
        assert (task["retries"], task["backoff"]) == (3, 2.0), name


def test_warehouse_and_report_are_announced_as_assets(looked: dict[str, Any]):
    outlets = {name: task["outlets"] for name, task in looked["tasks"].items() if task["outlets"]}
    assert outlets == {"warehouse": ["movie-pipeline://tables/warehouse"], "report": ["movie-pipeline://files/report"]}


def test_the_web_page_explains_every_task(looked: dict[str, Any]):
    explained = looked["dag"]["doc"]
    for name in {*looked["tasks"]} - {"check_kafka", "check_tmdb", "check_postgres", "process_alternative"}:
        assert f"`{name}`" in explained, name


def test_the_compose_profile_and_kubernetes_run_the_same_commands(
    looked: dict[str, Any], in_kubernetes: dict[str, Any]
):
    assert {name for name, task in looked["tasks"].items() if "BashOperator" in task["kinds"]} == COMMANDS
    assert {
        name for name, task in in_kubernetes["tasks"].items() if "KubernetesPodOperator" in task["kinds"]
    } == COMMANDS
    assert looked["tasks"].keys() == in_kubernetes["tasks"].keys()


@pytest.mark.parametrize("name", ["produce", "warehouse"])
def test_a_pod_is_the_template_with_the_command_the_run_and_a_deadline(in_kubernetes: dict[str, Any], name: str):
    pod = in_kubernetes["pods"][name]
    made = pod["metadata"].pop("name")
    assert made.startswith(f"{name}-")
    assert pod == json.loads((HERE / "golden" / f"{name}.json").read_text())


def test_no_pod_has_a_side_car_or_more_rights_than_its_template(in_kubernetes: dict[str, Any]):
    templates = json.loads((HERE / "pods.json").read_text())
    assert in_kubernetes["pods"].keys() == COMMANDS
    for name, pod in in_kubernetes["pods"].items():
        role = "producer" if name in {"produce", "check_tmdb"} else "consumer"
        template = templates[role]["spec"]
        (container,) = pod["spec"]["containers"]
        for key in ("serviceAccountName", "automountServiceAccountToken", "securityContext"):
            assert pod["spec"][key] == template[key], (name, key)
        for key in ("image", "resources", "securityContext", "volumeMounts"):
            assert container[key] == template["containers"][0][key], (name, key)


def test_the_program_takes_every_command_that_a_pod_is_given(in_kubernetes: dict[str, Any]):
    commands = [pod["spec"]["containers"][0]["args"] for pod in in_kubernetes["pods"].values()]
    check = (
        "import json, sys; from movie_pipeline.cli import build_parser\n"
        "for words in json.load(sys.stdin): build_parser().parse_args(words)"
    )
    done = subprocess.run(
        [ROOT / ".venv" / "bin" / "python", "-c", check],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
