"""Airflow's page in a browser: a run that is triggered there runs its pods to success, and their logs can be read."""

import json
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import pytest

from webdriver import Browser, browser

from .cluster import Figures, Release, ask, free_port, until

pytestmark = pytest.mark.timeout(1800)

ALWAYS = ("produce", "process_kafka_data", "warehouse", "charts", "train", "report")


def test_the_dag_that_is_triggered_in_airflows_page_runs_its_pods_to_success(
    release: Release, screenshots: Path
) -> None:
    password = release.secret(f"{release.full}-airflow-admin", "password")
    with release.forwarded(f"{release.name}-api-server", 8080) as address, browser(free_port()) as page:
        token = ask(f"{address}/auth/token", {"username": "admin", "password": password})["access_token"]
        dag = f"{address}/api/v2/dags/tmdb_pipeline"
        until("the DAG", lambda: ask(dag, token=token)["dag_id"], seconds=120, pause=3)
        _trigger(page, f"{address}/dags/tmdb_pipeline", password, screenshots)
        run_id = until("the page's run", lambda: _manual(ask(f"{dag}/dagRuns", token=token)), seconds=60)
        run = f"{dag}/dagRuns/{quote(run_id)}"
        page.open("about:blank")  # the page draws all the time, and the run needs the processor
        # The schedule's own run, which begins as soon as Airflow is up, may have to end first.
        until("the DAG run", lambda: _ended(ask(run, token=token)), seconds=900, pause=3)
        tasks = {task["task_id"]: task["state"] for task in ask(f"{run}/taskInstances", token=token)["task_instances"]}
        assert {name: tasks[name] for name in ALWAYS} == dict.fromkeys(ALWAYS, "success"), tasks
        assert ask(run, token=token)["state"] == "success"
        Figures.add(f"DAG run of {len(tasks)} tasks in pods: {_seconds(ask(run, token=token)):.0f} s")
        said = json.dumps(ask(f"{run}/taskInstances/warehouse/logs/1", token=token))
        assert "movie_pipeline" in said, "the pod's log cannot be read in Airflow"
        page.open(f"{address}/dags/tmdb_pipeline/runs/{quote(run_id)}")
        page.find("//*[contains(., 'warehouse')]")
        page.screenshot(screenshots / "airflow-run.png")


def _trigger(page: Browser, address: str, password: str, screenshots: Path) -> None:
    page.open(address)
    page.write("//input[@name='username']", "admin")
    page.write("//input[@name='password']", password)
    page.click("//input[@type='submit'] | //button[@type='submit']")
    page.click("//button[contains(., 'Trigger') or contains(@aria-label, 'Trigger')]")
    dialog = "//*[@role='dialog']"
    page.find(f"{dialog}//*[contains(., 'pages')]")
    page.screenshot(screenshots / "airflow-trigger.png")
    page.click(f"({dialog}//button[normalize-space(.)='Trigger'])[last()]")


def _manual(runs: dict[str, list[dict[str, str]]]) -> str:
    return next((run["dag_run_id"] for run in runs["dag_runs"] if run["run_type"] == "manual"), "")


def _ended(run: dict[str, str]) -> bool:
    return run["state"] in {"success", "failed"}


def _seconds(run: dict[str, str]) -> float:
    began, ended = (datetime.fromisoformat(run[key]) for key in ("start_date", "end_date"))
    return (ended - began).total_seconds()
