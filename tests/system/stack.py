"""A stack of docker-compose.yml of the tests' own: its project, ports, network, volumes and secrets."""

import json
import os
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "movie-pipeline-test"
PORTS = ("KAFKA_PORT", "POSTGRES_PORT", "SAMPLE_API_PORT", "AIRFLOW_PORT")
PATIENCE = {"AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": 45, "PIPELINE_RETRY_SECONDS": 5}
"""The only thing that differs from what a person starts: a lost task is missed, and tried again, sooner."""
AIRFLOW = ("api-server", "scheduler", "dag-processor", "worker")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Stack:
    """What a person does with `docker compose`, and what the DAG's runs became."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / ".env"
        subprocess.run([ROOT / "images" / "make-env", self.file], check=True, capture_output=True)
        text = self.file.read_text()
        for name in PORTS:
            text = re.sub(rf"^{name}=.*$", f"{name}={free_port()}", text, flags=re.MULTILINE)
        self.file.write_text(f"{text}\nPIPELINE_NETWORK={PROJECT}\nPRODUCE_PAGES=3\n")
        self.patience = folder / "patience.json"
        services = {f"airflow-{name}": {"environment": PATIENCE} for name in AIRFLOW}
        self.patience.write_text(json.dumps({"services": services}))
        self.values = dict(line.split("=", 1) for line in self.file.read_text().splitlines() if re.match("[A-Z]", line))
        self.airflow = f"http://127.0.0.1:{self.values['AIRFLOW_PORT']}"
        self._token: str | None = None

    def command(self, *words: str) -> list[str]:
        files = ("-f", str(ROOT / "docker-compose.yml"), "-f", str(self.patience))
        return ["docker", "compose", "-p", PROJECT, "--env-file", str(self.file), *files, *words]

    def environment(self) -> dict[str, str]:
        """This process's variables, without those that would win over the file's."""
        return {name: value for name, value in os.environ.items() if name not in {*self.values, "COMPOSE_PROFILES"}}

    def compose(self, *words: str, timeout: float = 300) -> str:
        """Run `docker compose` on this stack and return its output."""
        done = subprocess.run(
            self.command(*words), env=self.environment(), capture_output=True, text=True, timeout=timeout, check=False
        )
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr[-4000:]}"
        return done.stdout

    def write(self, **values: str) -> None:
        """Change lines of the stack's `.env`, or add them."""
        self.values |= values
        self.file.write_text("".join(f"{name}={value}\n" for name, value in self.values.items()))

    def services(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.compose("ps", "-a", "--format", "json").splitlines()]

    def sql(self, statement: str, service: str = "postgres") -> list[list[str]]:
        """Ask a database and return its rows as texts."""
        user, name = ("movies_owner", "movies") if service == "postgres" else ("airflow", "airflow")
        client = ("psql", "-h", "127.0.0.1", "-U", user, "-d", name, "-v", "ON_ERROR_STOP=1", "-qAtF", "\t")
        answer = self.compose("exec", "-T", service, *client, "-c", statement)
        return [line.split("\t") for line in answer.splitlines()]

    def number(self, statement: str) -> int:
        return int(self.sql(statement)[0][0])

    @contextmanager
    def holding(self, statement: str) -> Iterator[None]:
        """Keep the locks of a statement (which gives one row) until the block ends or the database does."""
        words = self.command("exec", "-T", "postgres", "psql", "-qAt", "-U", "movies_owner", "movies")
        with subprocess.Popen(
            words, env=self.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as client:
            assert client.stdin
            assert client.stdout
            client.stdin.write(f"BEGIN;\n{statement};\n")
            client.stdin.flush()
            assert client.stdout.readline(), statement
            try:
                yield
            finally:
                with suppress(BrokenPipeError):
                    client.stdin.close()
                client.wait(timeout=60)

    def waiting(self) -> int:
        """How many loads of the pipeline wait for somebody else's lock."""
        return self.number(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE 'movie%'"
        )

    def healthy(self, name: str) -> bool:
        return any(found["Service"] == name and found["Health"] == "healthy" for found in self.services())

    def file_text(self, path: str) -> str:
        """A file below the output directory."""
        return self.compose("exec", "-T", "producer", "cat", f"/data/movie_analytics/{path}")

    def paths(self) -> list[str]:
        found = self.compose("exec", "-T", "producer", "find", "/data/movie_analytics", "-type", "f")
        return [line.removeprefix("/data/movie_analytics/") for line in found.splitlines()]

    # --- Airflow

    def _api(self, path: str, body: Any = None, token: str | None = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        with urllib.request.urlopen(urllib.request.Request(self.airflow + path, data, headers), timeout=300) as answer:
            return json.load(answer)

    def token(self) -> str:
        """A token for the REST API; it outlives the tests, and making one costs the server a password's hash."""
        if self._token is None:
            who = {"username": "admin", "password": self.values["AIRFLOW_ADMIN_PASSWORD"]}
            self._token = str(self._api("/auth/token", who)["access_token"])
        return self._token

    def trigger(self) -> str:
        """Start a run by the REST API and return its id."""
        run = self._api("/api/v2/dags/tmdb_pipeline/dagRuns", {"logical_date": None}, self.token())
        return str(run["dag_run_id"])

    def runs(self) -> dict[str, str]:
        """States of the DAG's runs by id."""
        runs = self._api("/api/v2/dags/tmdb_pipeline/dagRuns?limit=100", token=self.token())["dag_runs"]
        return {run["dag_run_id"]: run["state"] for run in runs}

    def tasks(self, run_id: str) -> dict[str, dict[str, Any]]:
        """The tasks of a run by name."""
        path = f"/api/v2/dags/tmdb_pipeline/dagRuns/{urllib.request.quote(run_id)}/taskInstances"
        return {task["task_id"]: task for task in self._api(path, token=self.token())["task_instances"]}

    def finish(self, run_id: str, seconds: float = 900) -> str:
        """Wait for a run's end and return its state."""
        wait_for(lambda: self.runs().get(run_id) in {"success", "failed"}, seconds, f"the end of {run_id}")
        return self.runs()[run_id]


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Ask again and again until it is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(1)
