"""docker-compose.yml on a real engine: everything healthy, the DAG from Airflow's page, and what faults leave behind.

One stack for all tests of this file, in order. SCREENSHOTS names a folder that keeps what the browser saw.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from stack import PROJECT, ROOT, Stack, free_port, wait_for

from webdriver import browser

pytestmark = pytest.mark.timeout(1800)

ONE_SHOT = {"migrate", "kafka-topics", "airflow-migrate"}
RUN = "/dags/tmdb_pipeline"
ONCE = """SELECT count(*) FROM (SELECT tmdb_id, genre, director FROM movie_data_warehouse
GROUP BY 1, 2, 3 HAVING count(*) > 1) AS twice"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything up and healthy; afterwards nothing of it is left."""
    subprocess.run([ROOT / "images" / "build"], check=True, capture_output=True, timeout=1500)
    stack = Stack(tmp_path_factory.mktemp("compose"))
    try:
        began = time.monotonic()
        stack.compose("up", "-d", "--wait", timeout=1500)
        sys.stdout.write(f"\nup to healthy: {time.monotonic() - began:.0f} s\n")
        yield stack
    finally:
        stack.compose("down", "-v", "--remove-orphans", timeout=300)


def test_every_service_is_healthy(stack: Stack):
    states = {service["Service"]: service for service in stack.services()}
    assert len(states) == 16
    for name, service in states.items():
        if name in ONE_SHOT:
            assert (service["State"], service["ExitCode"]) == ("exited", 0), name
        else:
            assert service["Health"] == "healthy", name


def test_only_this_machine_reaches_the_ports(stack: Stack):
    published = [port for service in stack.services() for port in service["Publishers"] if port["PublishedPort"]]
    assert len(published) == 4
    assert {port["URL"] for port in published} == {"127.0.0.1"}


def test_a_program_of_the_host_reads_the_topic_through_outside(stack: Stack):
    from kafka import KafkaConsumer

    consumer = KafkaConsumer(bootstrap_servers=f"localhost:{stack.values['KAFKA_PORT']}", auto_offset_reset="earliest")
    try:
        assert len(consumer.partitions_for_topic("tmdb_data")) == 6
    finally:
        consumer.close()


def test_a_run_from_airflows_page_loads_the_films_on_a_celery_worker(stack: Stack, tmp_path: Path):
    wait_for(lambda: set(stack.runs().values()) <= {"success"}, 900, "the scheduled run")
    before = set(stack.runs())
    seen = Path(os.environ.get("SCREENSHOTS", tmp_path))
    with browser(free_port()) as page:
        page.open(f"{stack.airflow}{RUN}")
        page.write("//input[@name='username']", "admin")
        page.write("//input[@name='password']", stack.values["AIRFLOW_ADMIN_PASSWORD"])
        page.screenshot(seen / "login.png")
        page.click("//input[@type='submit'] | //button[@type='submit']")
        page.click("//button[contains(., 'Trigger') or contains(@aria-label, 'Trigger')]")
        dialog = "//*[@role='dialog']"
        page.find(f"{dialog}//*[contains(., 'pages')]")
        page.screenshot(seen / "trigger.png")
        page.click(f"({dialog}//button[normalize-space(.)='Trigger'])[last()]")
        wait_for(lambda: bool(set(stack.runs()) - before), 120, "the run that the page started")
        (run_id,) = set(stack.runs()) - before
        assert stack.finish(run_id) == "success"
        page.open(f"{stack.airflow}{RUN}/runs/{run_id}")
        page.find("//*[contains(., 'warehouse')]")
        time.sleep(5)
        page.screenshot(seen / "run.png")
    tasks = stack.tasks(run_id)
    worker = stack.compose("exec", "-T", "airflow-worker", "hostname").strip()
    assert tasks["warehouse"]["state"] == "success"
    assert {task["hostname"] for task in tasks.values() if task["hostname"]} == {worker}
    assert stack.number("SELECT count(*) FROM movies") >= 100
    assert stack.number(ONCE) == 0
    names = {Path(path).name for path in stack.paths()}
    assert {
        "movies_data.json",
        "processed_movies_v2.csv",
        "report.txt",
        "report.html",
        "model.pkl",
        "metrics.json",
    } <= names
    assert {"top_películas_popularidad.png", "generos_populares.png", "analisis_warehouse.png"} <= names


def test_without_kafka_the_run_is_green_and_its_report_says_degraded(stack: Stack):
    rows = stack.number("SELECT count(*) FROM movie_data_warehouse")
    stack.compose("stop", "kafka")
    try:
        run_id = stack.trigger()
        assert stack.finish(run_id) == "success"
    finally:
        stack.compose("start", "kafka")
    states = {name: task["state"] for name, task in stack.tasks(run_id).items()}
    assert (states["process_kafka_data"], states["process_alternative"]) == ("skipped", "success")
    record = stack.sql(f"SELECT source, degraded FROM pipeline_runs WHERE id = '{run_id}' AND verb = 'report'")
    assert record == [["postgresql", "t"]]
    newest = max(path for path in stack.paths() if path.endswith("/report.txt"))
    report = stack.file_text(newest).lower()
    assert "postgresql" in report
    assert "degrad" in report
    assert stack.number("SELECT count(*) FROM movie_data_warehouse") == rows


def test_a_database_that_goes_away_in_the_middle_of_a_load_gets_everything_once(stack: Stack):
    wait_for(lambda: _healthy(stack, "kafka"), 300, "Kafka")
    produce = ("exec", "-T", "-e", "RUN_ID=all", "producer", "movie-pipeline", "produce", "--all")
    before = stack.number("SELECT count(*) FROM movies")
    process = subprocess.Popen(
        ["docker", "compose", "-p", PROJECT, "--env-file", str(stack.file), *produce],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for(lambda: stack.number("SELECT count(*) FROM movies") > before, 300, "the first films")
    stack.compose("stop", "postgres")
    stack.compose("start", "postgres")
    assert process.wait(timeout=600) == 0
    wait_for(lambda: _healthy(stack, "postgres"), 120, "PostgreSQL")
    wait_for(lambda: stack.number("SELECT count(*) FROM movies") == 4803, 600, "all films")
    assert stack.number(ONCE) == 0
    assert (
        stack.number("SELECT count(*) FROM (SELECT movie_id FROM movie_history GROUP BY 1 HAVING count(*) > 1) AS t")
        == 0
    )


def test_a_worker_killed_in_the_middle_of_a_task_does_nothing_twice(stack: Stack):
    tables = ("movies", "movie_data_warehouse", "movie_history")
    counts = f"SELECT {', '.join(f'(SELECT count(*) FROM {table})' for table in tables)}"
    before = stack.sql(counts)
    run_id = stack.trigger()
    wait_for(lambda: stack.tasks(run_id)["warehouse"]["state"] == "running", 600, "the task warehouse")
    stack.compose("kill", "--signal", "KILL", "airflow-worker")
    stack.compose("start", "airflow-worker")
    assert stack.finish(run_id) == "success"
    assert stack.tasks(run_id)["warehouse"]["try_number"] == 2
    assert stack.sql(counts) == before


def test_nothing_is_left_after_down(stack: Stack):
    stack.compose("down", "-v", timeout=300)
    label = f"label=com.docker.compose.project={PROJECT}"
    for kind in (["ps", "-a"], ["volume", "ls"], ["network", "ls"]):
        left = subprocess.run(["docker", *kind, "-q", "--filter", label], check=True, capture_output=True, text=True)
        assert left.stdout == "", kind


def test_the_data_plane_starts_without_airflow(tmp_path: Path):
    stack = Stack(tmp_path)
    stack.file.write_text(stack.file.read_text().replace("COMPOSE_PROFILES=airflow", "COMPOSE_PROFILES="))
    services = set(stack.compose("config", "--services").split())
    assert {"kafka", "kafka-controller", "postgres", "producer", "consumer", "sample-api"} <= services
    assert not {name for name in services if "airflow" in name or name == "redis"}


def test_without_the_generated_file_nothing_starts(tmp_path: Path):
    (tmp_path / "empty").write_text("")
    command = ["docker", "compose", "-p", PROJECT, "--env-file", str(tmp_path / "empty"), "config", "-q"]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "images/make-env" in refused.stderr


def _healthy(stack: Stack, name: str) -> bool:
    return next(service for service in stack.services() if service["Service"] == name)["Health"] == "healthy"
