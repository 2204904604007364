"""Whole runs in Airflow's own test mode, with a stand-in program that ends as each plan says."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

AWAY = {"status --check kafka": [1], "process --alternative": [3], "charts": [3], "train": [3], "report": [3]}
PLANS = {
    "all well": {},
    "kafka away": AWAY,
    "kafka and postgres away": AWAY | {"status --check postgres": [1]},
    "postgres away": {"status --check postgres": [1]},
    "kafka lost while producing": AWAY | {"status --check kafka": [0], "produce": [3]},
    "bad key": {"produce": [2]},
    "second try": {"consume": [1, 0]},
    "charts never": {"charts": [1]},
}

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def runs(play: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    return dict(zip(PLANS, play(list(PLANS.values())), strict=True))


def attempts(run: dict[str, Any]) -> Counter[str]:
    return Counter(call["words"][0] for call in run["calls"])


def test_a_run_goes_the_main_path_and_leaves_the_other_alone(runs: dict[str, dict[str, Any]]):
    run = runs["all well"]
    assert run["state"] == "success"
    assert {name for name, state in run["tasks"].items() if state == "skipped"} == {"process_alternative"}
    assert attempts(run) == Counter(status=3, produce=1, process=1, consume=1, charts=1, train=1, report=1)


def test_every_command_is_told_the_run_it_belongs_to(runs: dict[str, dict[str, Any]]):
    run = runs["all well"]
    assert {call["run_id"] for call in run["calls"]} == {run["run_id"]}


def test_the_path_of_the_processed_films_is_pushed_after_success_only(runs: dict[str, dict[str, Any]]):
    assert runs["all well"]["path"].endswith("processed_movies_v2.csv")
    assert runs["kafka away"]["path"] is None


@pytest.mark.parametrize("name", ["kafka away", "kafka and postgres away", "kafka lost while producing"])
def test_without_kafka_a_run_is_green_by_the_alternative_path(runs: dict[str, dict[str, Any]], name: str):
    run = runs[name]
    assert run["state"] == "success"
    assert {run["tasks"][task] for task in ("process_alternative", "charts", "train", "report", "gate")} == {"success"}
    left_out = {run["tasks"][task] for task in ("produce", "process_kafka_data", "warehouse")}
    assert left_out <= {"skipped", "upstream_failed"}
    assert attempts(run)["consume"] == 0


def test_without_the_database_alone_a_run_is_red_after_its_attempts(runs: dict[str, dict[str, Any]]):
    run = runs["postgres away"]
    assert run["state"] == "failed"
    assert [call["words"] for call in run["calls"]].count(["status", "--check", "postgres"]) == 4
    assert attempts(run).keys() == {"status", "produce", "process"}


def test_degraded_is_never_retried(runs: dict[str, dict[str, Any]]):
    run = runs["kafka lost while producing"]
    assert [attempts(run)[verb] for verb in ("produce", "process", "charts", "train", "report")] == [1] * 5


def test_a_bad_key_fails_at_once_and_opens_no_other_path(runs: dict[str, dict[str, Any]]):
    run = runs["bad key"]
    assert run["state"] == "failed"
    assert attempts(run)["produce"] == 1
    assert run["tasks"]["process_alternative"] != "success"


def test_a_failure_is_tried_again(runs: dict[str, dict[str, Any]]):
    run = runs["second try"]
    assert run["state"] == "success"
    assert attempts(run)["consume"] == 2


def test_a_chart_that_fails_four_times_makes_the_run_red_though_the_report_is_written(runs: dict[str, dict[str, Any]]):
    run = runs["charts never"]
    assert run["state"] == "failed"
    assert attempts(run)["charts"] == 4
    assert run["tasks"]["report"] == "success"
