"""docker-compose.yml on a real engine: everything healthy, the DAG from Airflow's page, and what faults leave behind.

One stack for all tests of this file, in order. SCREENSHOTS names a folder that keeps what the browser saw.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from stack import PROJECT, ROOT, Stack, free_port, wait_for

from webdriver import Browser, browser

pytestmark = pytest.mark.timeout(1800)

ONE_SHOT = {"migrate", "kafka-topics", "airflow-migrate"}
UPSTREAM = {"kafka", "kafka-controller", "kafka-topics", "postgres", "airflow-postgres", "redis"}
RUN = "/dags/tmdb_pipeline"
SAMPLE_FILMS = 4803
ONCE = """SELECT count(*) FROM (SELECT tmdb_id, genre, director FROM movie_data_warehouse
GROUP BY 1, 2, 3 HAVING count(*) > 1) AS twice"""
HISTORY_TWICE = "SELECT count(*) FROM (SELECT movie_id FROM movie_history GROUP BY 1 HAVING count(*) > 1) AS twice"
CONTENT = """SELECT count(*), md5(string_agg(line, E'\\n' ORDER BY line COLLATE "C")) FROM (
    SELECT (to_jsonb(warehouse) - 'id' - 'data_date')::text AS line FROM movie_data_warehouse AS warehouse) AS lines"""
LAST_PARTITION = "SELECT next_offset FROM ingest_offsets WHERE topic = 'tmdb_data' AND partition = 5 FOR UPDATE"


@pytest.fixture(scope="module")
def stack(images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything up and healthy; afterwards nothing of it is left."""
    stack = Stack(tmp_path_factory.mktemp("compose"))
    try:
        began = time.monotonic()
        try:
            stack.compose("up", "-d", "--wait", timeout=1500)
        except AssertionError:
            sys.stdout.write(stack.compose("ps", "-a") + stack.compose("logs", "--no-color", "--tail", "15"))
            raise
        sys.stdout.write(f"\nup to healthy: {time.monotonic() - began:.0f} s\n")
        yield stack
    finally:
        stack.compose("down", "-v", "--remove-orphans", timeout=300)


def test_every_service_is_healthy(stack: Stack):
    states = {service["Service"]: service for service in stack.services()}
    assert len(states) == 15
    for name, service in states.items():
        if name in ONE_SHOT:
            assert (service["State"], service["ExitCode"]) == ("exited", 0), name
        else:
            assert service["Health"] == "healthy", name


def test_only_this_machine_reaches_the_ports(stack: Stack):
    published = [port for service in stack.services() for port in service["Publishers"] or () if port["PublishedPort"]]
    assert len(published) == 4
    assert {port["URL"] for port in published} == {"127.0.0.1"}


def test_our_containers_have_no_rights_to_lose(stack: Stack):
    ours = {service["Service"]: service["ID"] for service in stack.services() if service["Service"] not in UPSTREAM}
    found = json.loads(subprocess.run(["docker", "inspect", *ours.values()], check=True, capture_output=True).stdout)
    assert len(found) == 9
    for container in found:
        host = container["HostConfig"]
        assert container["Config"]["User"] == "50000:0"
        assert (host["ReadonlyRootfs"], host["Privileged"], host["CapDrop"]) == (True, False, ["ALL"])
        assert "no-new-privileges:true" in host["SecurityOpt"]
        assert not [mount for mount in container["Mounts"] if mount["Type"] == "bind"]


def test_the_program_on_the_host_uses_the_published_ports(stack: Stack, tmp_path: Path):
    on_the_host = {
        "PATH": os.environ["PATH"],
        "KAFKA_BOOTSTRAP_SERVERS": f"localhost:{stack.values['KAFKA_PORT']}",
        "PGHOST": "localhost",
        "PGPORT": stack.values["POSTGRES_PORT"],
        "PGUSER": "movies_app",
        "PGPASSWORD": stack.values["MOVIES_APP_PASSWORD"],
        "TMDB_API_URL": f"http://localhost:{stack.values['SAMPLE_API_PORT']}/3",
        "TMDB_API_TOKEN": "any",
        "OUTPUT_DIR": str(tmp_path),
        "RUN_ID": "host",
    }
    program = Path(sys.executable).parent / "movie-pipeline"
    produced = subprocess.run(
        [program, "produce", "--popular", "--pages", "1"], env=on_the_host, capture_output=True, text=True, check=False
    )
    assert produced.returncode == 0, produced.stderr
    assert len([*tmp_path.glob("movie_*.json")]) == 20
    assert stack.sql("SELECT state, counts->>'published' FROM pipeline_runs WHERE id = 'host'") == [["done", "20"]]


def test_a_run_from_airflows_page_loads_the_films_on_a_celery_worker(stack: Stack, tmp_path: Path):
    wait_for(lambda: "success" in stack.runs().values(), 900, "the scheduled run")
    seen = Path(os.environ.get("SCREENSHOTS", tmp_path))
    with browser(free_port()) as page:
        log_in(page, stack, seen)
        trigger(page, seen)
        wait_for(lambda: bool(by_hand(stack)), 300, "the run that the page started")
        (run_id,) = by_hand(stack)
        make_late(stack, run_id)
        assert stack.finish(run_id) == "success"
        page.open(f"{stack.airflow}{RUN}/runs/{run_id}")
        page.find("//a[contains(., 'process_alternative')]")
        page.screenshot(seen / "run.png")
    tasks = stack.tasks(run_id)
    worker = stack.compose("exec", "-T", "airflow-worker", "hostname").strip()
    assert {name for name, task in tasks.items() if task["state"] != "success"} == {"process_alternative"}
    assert {task["hostname"] for task in tasks.values() if task["hostname"]} == {worker}
    assert stack.number("SELECT count(*) FROM movies") == 100
    assert stack.number(ONCE) == 0
    names = {Path(path).name for path in stack.paths()}
    assert {
        "movies_data.json",
        "processed_movies_v2.csv",
        "report.txt",
        "report.html",
        "model.pkl",
        "metrics.json",
        "feature_importance.png",
    } <= names
    assert {"top_películas_popularidad.png", "generos_populares.png", "analisis_warehouse.png"} <= names


def test_our_logs_are_json_beside_the_results(stack: Stack):
    for name in ("migrate", "sample-api", "producer", "consumer"):
        (found,) = (service["ID"] for service in stack.services() if service["Service"] == name)
        logs = subprocess.run(["docker", "logs", found], capture_output=True, text=True, check=True)
        assert logs.stderr, name
        assert [line for line in logs.stderr.splitlines() if "event" not in json.loads(line)] == [], name


def test_a_late_run_was_told(stack: Stack):
    state = "SELECT d.missed, c.state FROM deadline d JOIN callback c ON c.id = d.callback_id WHERE d.missed"
    wait_for(lambda: stack.sql(state, "airflow-postgres") == [["t", "success"]], 300, "the deadline's callback")
    told = stack.compose("exec", "-T", "airflow-worker", "grep", "-rh", "has not ended", "/opt/airflow/logs")
    assert "tmdb_pipeline: a run has not ended 3 hours after it was queued" in told


def test_without_kafka_the_run_is_green_and_its_report_says_degraded(stack: Stack):
    before = stack.sql(CONTENT)
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
    assert stack.sql(CONTENT) == before


def test_new_images_keep_the_data(stack: Stack, images: dict[str, str]):
    films, before = stack.number("SELECT count(*) FROM movies"), stack.sql(CONTENT)
    runs, files = stack.runs(), set(stack.paths())
    newer = [f"{name.rpartition(':')[0]}:newer" for name in images.values()]
    for old, new in zip(images.values(), newer, strict=True):
        subprocess.run(["docker", "tag", old, new], check=True)
    stack.write(MOVIE_PIPELINE_VERSION="newer")
    stack.compose("up", "-d", "--wait", timeout=1500)
    assert {service["Image"] for service in stack.services() if service["Service"] not in UPSTREAM} == {*newer}
    assert (stack.number("SELECT count(*) FROM movies"), stack.sql(CONTENT)) == (films, before)
    assert runs.items() <= stack.runs().items()
    assert files <= set(stack.paths())


def test_a_worker_killed_in_the_middle_of_a_load_does_nothing_twice(stack: Stack):
    stack.compose("stop", "consumer")
    crawl = (
        "-e",
        "RUN_ID=all",
        "-e",
        "TMDB_REQUESTS_PER_SECOND=1000",
        "producer",
        "movie-pipeline",
        "produce",
        "--all",
    )
    stack.compose("exec", "-T", *crawl, timeout=900)
    before = stack.number("SELECT count(*) FROM movies")
    with stack.holding(LAST_PARTITION):
        stack.trigger()
        in_the_middle(stack, before, "the worker's load")
        # Twice a day it is not the run asked for, but a scheduled one before it.
        (run_id,) = (name for name, state in stack.runs().items() if state == "running")
        assert stack.tasks(run_id)["warehouse"]["state"] == "running"
        stack.compose("kill", "--signal", "KILL", "airflow-worker")
    stack.compose("start", "airflow-worker")
    assert stack.finish(run_id) == "success"
    assert stack.tasks(run_id)["warehouse"]["try_number"] == 2
    everything_once(stack)


def test_a_database_that_goes_away_in_the_middle_of_a_load_gets_everything_once(stack: Stack):
    loaded = stack.sql(CONTENT)
    # As if nothing had been loaded: the topic is the catalogue's changelog.
    stack.sql("TRUNCATE movies, movie_history, movie_data_warehouse CASCADE; UPDATE ingest_offsets SET next_offset = 0")
    with stack.holding(LAST_PARTITION):
        stack.compose("start", "consumer")
        in_the_middle(stack, 0, "the consumer's load")
        stack.compose("stop", "postgres")
    stack.compose("start", "postgres")
    wait_for(lambda: stack.healthy("postgres"), 300, "PostgreSQL")
    wait_for(lambda: stack.number("SELECT count(*) FROM movies") == SAMPLE_FILMS, 600, "all films")
    everything_once(stack)
    assert stack.sql(CONTENT) == loaded
    wait_for(lambda: stack.healthy("consumer"), 300, "the consumer")


def test_no_log_holds_a_secret(stack: Stack):
    everything = stack.compose("logs", "--no-color")
    everything += stack.compose(
        "exec", "-T", "airflow-worker", "sh", "-c", "find /opt/airflow/logs -type f | xargs cat"
    )
    assert len(everything) > 100_000
    secrets = {name: value for name, value in stack.values.items() if re.search(r"PASSWORD|SECRET|_KEY$", name)}
    assert len(secrets) == 8
    assert [name for name, value in secrets.items() if value in everything] == []


def test_memory_of_each_service(stack: Stack):
    names = {service["Name"]: service["Service"] for service in stack.services()}
    shown = subprocess.run(
        ["docker", "stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}"],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.split() for line in shown.stdout.splitlines() if line.split()[0] in names]
    sys.stdout.write("".join(f"\nmemory of {names[line[0]]}: {line[1]}" for line in lines) + "\n")
    assert len(lines) == 12


def test_nothing_is_left_after_down(stack: Stack):
    stack.compose("down", "-v", timeout=300)
    label = f"label=com.docker.compose.project={PROJECT}"
    for kind in (["ps", "-a"], ["volume", "ls"], ["network", "ls"]):
        left = subprocess.run(["docker", *kind, "-q", "--filter", label], check=True, capture_output=True, text=True)
        assert left.stdout == "", kind


def test_the_data_plane_starts_without_airflow(tmp_path: Path):
    stack = Stack(tmp_path)
    stack.write(COMPOSE_PROFILES="")
    services = set(stack.compose("config", "--services").split())
    assert {"kafka", "kafka-controller", "postgres", "producer", "consumer", "sample-api"} <= services
    assert not {name for name in services if "airflow" in name or name == "redis"}


def test_without_the_generated_file_nothing_starts(tmp_path: Path):
    (tmp_path / "empty").write_text("")
    command = ["docker", "compose", "-p", PROJECT, "--env-file", str(tmp_path / "empty"), "config", "-q"]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "images/make-env" in refused.stderr


def test_the_compose_file_is_read_without_a_warning(tmp_path: Path):
    stack = Stack(tmp_path)
    checked = subprocess.run(
        stack.command("config", "-q"), env=stack.environment(), capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def log_in(page: Browser, stack: Stack, seen: Path) -> None:
    page.open(f"{stack.airflow}{RUN}")
    page.write("//input[@name='username']", "admin")
    page.write("//input[@name='password']", stack.values["AIRFLOW_ADMIN_PASSWORD"])
    page.screenshot(seen / "login.png")
    page.click("//input[@type='submit'] | //button[@type='submit']")


def trigger(page: Browser, seen: Path) -> None:
    page.click("//button[contains(., 'Trigger') or contains(@aria-label, 'Trigger')]")
    dialog = "//*[@role='dialog']"
    page.find(f"{dialog}//*[contains(., 'pages')]")
    page.screenshot(seen / "trigger.png")
    page.click(f"({dialog}//button[normalize-space(.)='Trigger'])[last()]")


def by_hand(stack: Stack) -> list[str]:
    return [run_id for run_id in stack.runs() if run_id.startswith("manual__")]


def make_late(stack: Stack, run_id: str) -> None:
    """Move the run's deadline of three hours into the past."""
    late = (
        "UPDATE deadline SET deadline_time = now() FROM dag_run"
        f" WHERE dag_run.id = deadline.dagrun_id AND dag_run.run_id = '{run_id}' RETURNING 1"
    )
    assert stack.sql(late, "airflow-postgres") == [["1"]]


def in_the_middle(stack: Stack, before: int, what: str) -> None:
    """Wait until some of a load's transactions are done, and one waits for the lock that the test holds."""
    loaded = "SELECT count(*) FROM movies"
    wait_for(lambda: stack.waiting() == 1 and before < stack.number(loaded) < SAMPLE_FILMS, 600, what)


def everything_once(stack: Stack) -> None:
    assert stack.number("SELECT count(*) FROM movies") == SAMPLE_FILMS
    assert (stack.number(ONCE), stack.number(HISTORY_TWICE)) == (0, 0)
    assert stack.number("SELECT count(*) FROM movie_history") == SAMPLE_FILMS
