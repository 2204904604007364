"""What people see of a release: films, report, DAG, rights, and that nothing that dies loses or doubles anything."""

import json

import pytest

from .cluster import CommandError, Release, ask, contents, empty, program, run, until
from .conftest import SAMPLE

ALL_FILMS_SECONDS = 300
DASK = "app.kubernetes.io/instance=e2e,app.kubernetes.io/component=dask"


def test_every_film_of_the_sample_is_in_the_warehouse_and_helm_test_is_green(release: Release) -> None:
    assert release.films() == SAMPLE
    release.helm("test", release.name, "--timeout", "10m")


def test_the_front_page_of_the_web_server_is_the_report(release: Release) -> None:
    with release.forwarded(f"{release.full}-web", 80) as address:
        page = until("the report", lambda: _report(ask(f"{address}/")), seconds=300, pause=3)
        assert "data:image/" in page
        assert ask(f"{address}/healthz") == "ok\n"


def _report(page: str) -> str:
    return page if len(page) > 10_000 else ""


def test_accounts_have_the_rights_of_their_role_only(release: Release) -> None:
    def may(account: str, verb: str, resource: str) -> bool:
        user = f"system:serviceaccount:{release.namespace}:{release.full}-{account}"
        try:
            return release.kubectl("auth", "can-i", verb, resource, f"--as={user}").strip() == "yes"
        except CommandError:
            return False

    assert may("consumer", "create", "daskclusters.kubernetes.dask.org")
    for account in ("producer", "consumer", "web", "sample-api", "migrate", "dask"):
        assert not may(account, "get", "secrets"), account
        assert not may(account, "create", "pods"), account
        assert not may(account, "delete", "persistentvolumeclaims"), account
    assert not may("producer", "list", "pods")


def test_the_dag_runs_its_pods_to_success(release: Release) -> None:
    password = release.secret(f"{release.full}-airflow-admin", "password")
    with release.forwarded(f"{release.name}-api-server", 8080) as address:
        token = ask(f"{address}/auth/token", {"username": "admin", "password": password})["access_token"]
        dag = f"{address}/api/v2/dags/tmdb_pipeline"
        until("the DAG", lambda: ask(dag, token=token)["dag_id"], seconds=120, pause=3)
        made = ask(f"{dag}/dagRuns", {"logical_date": None}, token=token)["dag_run_id"]

        def ended() -> str:
            state = ask(f"{dag}/dagRuns/{made}", token=token)["state"]
            return state if state in {"success", "failed"} else ""

        state = until("the DAG run", ended, seconds=600, pause=5)
        tasks = {
            t["task_id"]: t["state"] for t in ask(f"{dag}/dagRuns/{made}/taskInstances", token=token)["task_instances"]
        }
    assert state == "success", tasks
    assert {tasks[name] for name in ("produce", "process_kafka_data", "warehouse", "charts", "train", "report")} == {
        "success"
    }


@pytest.fixture
def calm(release: Release) -> dict[str, str]:
    """What the tables hold after a load that nothing disturbs."""
    return _load(release, lambda: None)


def _load(release: Release, disturb) -> dict[str, str]:
    """Empty the database, disturb the load when it is under way, and return what the tables hold at its end."""
    until("an empty database", lambda: empty(release) is None, seconds=60)
    until("the first films", lambda: release.films() > 0, seconds=ALL_FILMS_SECONDS, pause=0.3)
    disturb()
    until("all films", lambda: release.films() == SAMPLE, seconds=ALL_FILMS_SECONDS)
    return contents(release)


def test_whatever_dies_in_the_middle_of_a_load_changes_nothing(release: Release, calm: dict[str, str]) -> None:
    victims = {
        "consumer": "app.kubernetes.io/component=consumer",
        "broker": "strimzi.io/kind=Kafka,strimzi.io/pool-name=broker",
        "database": f"app.kubernetes.io/name=postgresql,app.kubernetes.io/instance={release.name}",
        "worker": f"{DASK},dask.org/component=worker",
        "scheduler": f"{DASK},dask.org/component=scheduler",
    }
    for victim, selector in victims.items():
        killed: list[str] = []
        assert _load(release, lambda s=selector, k=killed: k.extend(release.kill(s))) == calm, victim
        assert killed, f"{victim}: nothing of it was there to die"


def test_workers_come_with_a_backlog_and_go_after_it(release: Release) -> None:
    selector = f"{DASK},dask.org/component=worker"
    until("no workers while idle", lambda: not release.pods(selector), seconds=180)
    empty(release)
    until("workers", lambda: release.pods(selector), seconds=120, pause=0.5)
    until("all films", lambda: release.films() == SAMPLE, seconds=ALL_FILMS_SECONDS)
    until("no workers after the backlog", lambda: not release.pods(selector), seconds=180)


def test_upgrade_rollback_uninstall_and_a_new_install_keep_films_and_identity(
    release: Release, options: list[str]
) -> None:
    kept, identity = contents(release), _cluster_id(release)
    release.kubectl(
        "patch",
        "secret",
        f"{release.full}-database-app",
        "--patch",
        json.dumps({"stringData": {"password": "changed-by-a-person"}}),
    )
    release.upgrade(*options, "--set", "settings.BATCH_SECONDS=20")
    assert "movies_app" in _as_app(release, "SELECT current_user")
    release.helm("rollback", release.name, "1", "--wait", "--timeout", "10m")
    assert "movies_app" in _as_app(release, "SELECT current_user")
    release.helm("uninstall", release.name, "--wait", "--timeout", "5m")
    until("no pods", lambda: not release.pods(""), seconds=120)
    release.install(*options)
    assert _cluster_id(release) == identity
    assert contents(release) == kept
    assert "movies_app" in _as_app(release, "SELECT current_user")


def _cluster_id(release: Release) -> str:
    return release.kubectl("get", "kafka", release.full, "--output", "jsonpath={.status.clusterId}")


def _as_app(release: Release, statement: str) -> str:
    password = release.secret(f"{release.full}-database-app", "password")
    shell = 'read -r PGPASSWORD; export PGPASSWORD; exec psql -X -At -h 127.0.0.1 -U movies_app -d movies -c "$0"'

    def asked() -> str:
        return release.kubectl(
            "exec",
            "--stdin",
            f"{release.name}-postgresql-0",
            "--",
            "bash",
            "-c",
            shell,
            statement,
            text=f"{password}\n",
        )

    return until("the programs' role", asked, seconds=120)


def test_the_api_server_takes_every_object_and_warns_of_none(release: Release) -> None:
    manifest = release.helm("get", "manifest", release.name)
    run(
        program("kubectl"),
        "--namespace",
        release.namespace,
        "apply",
        "--dry-run=server",
        "--filename",
        "-",
        text=manifest,
    )
