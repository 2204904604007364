"""Two programs do the work in processes of their own: `look.py` reads the DAG file, `play.py` runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


@pytest.fixture(scope="session")
def airflow_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An Airflow of the tests' own: a new home, no examples, no pauses between attempts."""
    ours = {
        "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow")),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        # A busy machine needs longer than 30 seconds to import the Kubernetes client from a cold disk.
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "240",
        "PIPELINE_RETRY_SECONDS": "0",
    }
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return inherited | ours


def run(program: str, environment: dict[str, str], lines: str = "") -> str:
    """Run a program of this folder with Airflow's Python and return its standard output."""
    command = [sys.executable, str(HERE / program)]
    done = subprocess.run(command, env=environment, input=lines, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="session")
def looked(airflow_environment: dict[str, str]) -> dict[str, Any]:
    """The DAG as the compose profile reads it."""
    return json.loads(run("look.py", airflow_environment).splitlines()[-1])


@pytest.fixture(scope="session")
def in_kubernetes(airflow_environment: dict[str, str]) -> dict[str, Any]:
    """The DAG as Kubernetes reads it, with the pods of its tasks."""
    pods = {"PIPELINE_RUNNER": "kubernetes", "PIPELINE_PODS": (HERE / "pods.json").read_text()}
    return json.loads(run("look.py", airflow_environment | pods).splitlines()[-1])


@pytest.fixture(scope="session")
def play(airflow_environment: dict[str, str]) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    """Run the DAG once for each plan (exit codes by command) and return what became of it."""
    subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"], env=airflow_environment, check=True, capture_output=True
    )

    def runs(plans: list[dict[str, Any]]) -> list[dict[str, Any]]:
        output = run("play.py", airflow_environment, "".join(f"{json.dumps(plan)}\n" for plan in plans))
        return [json.loads(line) for line in output.splitlines()]

    return runs
