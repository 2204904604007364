"""What people see of a release: films, report, rights, and what an upgrade and an uninstall leave."""

import json
from pathlib import Path

import pytest

from movie_pipeline import __version__
from webdriver import browser

from .cluster import CommandError, Figures, Release, ask, contents, empty, free_port, program, run_both, until
from .conftest import SAMPLE

pytestmark = pytest.mark.timeout(1800)

ALL_FILMS_SECONDS = 300


def test_every_film_of_the_sample_is_in_the_warehouse_and_helm_test_is_green(release: Release) -> None:
    assert release.films() == SAMPLE
    with Figures.timed("helm test"):
        release.helm("test", release.name, "--timeout", "10m")


def test_the_front_page_of_the_web_server_is_the_report(release: Release, screenshots: Path) -> None:
    with release.forwarded(f"{release.full}-web", 80) as address:
        until("the report", lambda: len(ask(f"{address}/")) > 10_000, seconds=300, pause=3)
        assert ask(f"{address}/healthz") == "ok\n"
        assert "batch_" in ask(f"{address}/files/")
        with browser(free_port()) as page:
            page.open(address)
            page.find("//img[starts-with(@src, 'data:image/')]")
            page.screenshot(screenshots / "report.png")


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


ASK_THE_API_SERVER = """
import json, ssl, urllib.error, urllib.request
from pathlib import Path

account = Path("/var/run/secrets/kubernetes.io/serviceaccount")
context = ssl.create_default_context(cafile=account / "ca.crt")
for method, kind in ("GET", "secrets"), ("POST", "pods"), ("GET", "pods"):
    request = urllib.request.Request(
        f"https://kubernetes.default/api/v1/namespaces/{(account / 'namespace').read_text()}/{kind}",
        data=b"{}" if method == "POST" else None,
        headers={"Authorization": "Bearer " + (account / "token").read_text(), "Content-Type": "application/json"},
        method=method,
    )
    try:
        status = urllib.request.urlopen(request, context=context).status
    except urllib.error.HTTPError as error:
        status = error.code
    print(method, kind, status)
"""


def test_the_consumers_token_opens_no_secret_and_makes_no_pod(release: Release) -> None:
    assert release.python("consumer", ASK_THE_API_SERVER).splitlines() == [
        "GET secrets 403",
        "POST pods 403",
        "GET pods 200",
    ]


CONNECT = """
import socket

for host, port in {targets}:
    try:
        socket.create_connection((host, port), timeout=3).close()
        print(host, "open")
    except OSError as error:
        print(host, "closed")
"""


def test_a_pod_reaches_what_its_role_needs_and_nothing_else(release: Release) -> None:
    database, kafka = f"{release.name}-postgresql", f"{release.full}-kafka-bootstrap"
    metadata, films = f"{release.name}-airflow-postgresql", f"{release.full}-sample-api"
    targets = [(database, 5432), (kafka, 9093), (metadata, 5432), (films, 8080), ("kubernetes.default", 443)]

    def reached(component: str) -> set[str]:
        said = release.python(component, CONNECT.format(targets=targets)).splitlines()
        return {line.split()[0] for line in said if line.endswith(" open")}

    assert reached("web") == set()
    assert reached("sample-api") == set()
    assert reached("consumer") == {database, kafka, "kubernetes.default"}


WRITE_FILMS = """
from kafka import KafkaProducer
from kafka.errors import TopicAuthorizationFailedError
from movie_pipeline import settings

current = settings.load()
producer = KafkaProducer(
    bootstrap_servers=current.kafka_bootstrap_servers,
    security_protocol=current.kafka_security_protocol,
    sasl_mechanism=current.kafka_sasl_mechanism,
    sasl_plain_username=current.kafka_sasl_username,
    sasl_plain_password=current.kafka_sasl_password.get_secret_value(),
    ssl_cafile=str(current.kafka_ssl_cafile),
    enable_idempotence=False,
)
try:
    producer.send(current.kafka_topic, b"{}", b"1").get(timeout=30)
except TopicAuthorizationFailedError:
    print("refused")
"""


def test_the_consumers_kafka_user_writes_no_films(release: Release) -> None:
    assert release.python("consumer", WRITE_FILMS).strip() == "refused"


@pytest.mark.parametrize("statement", ["DROP TABLE movies", "CREATE TABLE intruder (id int)", "TRUNCATE movies"])
def test_the_programs_role_changes_rows_only(release: Release, statement: str) -> None:
    with pytest.raises(CommandError, match=r"must be owner|permission denied"):
        _as_app(release, statement)


def test_the_api_server_takes_every_object_and_warns_of_none(release: Release) -> None:
    _, said = run_both(
        program("kubectl"),
        "--namespace",
        release.namespace,
        "apply",
        "--server-side",
        "--force-conflicts",
        "--dry-run=server",
        "--filename",
        "-",
        text=release.helm("get", "manifest", release.name),
    )
    assert "Warning" not in said, said


def test_upgrade_rollback_uninstall_and_a_new_install_keep_films_and_identity(
    release: Release, options: list[str]
) -> None:
    kept, identity, fernet = contents(release), _cluster_id(release), _fernet(release)
    change = json.dumps({"stringData": {"password": "changed-by-a-person"}})
    release.kubectl("patch", "secret", f"{release.full}-database-app", "--patch", change)
    with Figures.timed("helm upgrade with a schema migration and a changed password"):
        release.upgrade(*options, "--set", f"image.consumer.tag={__version__}-later")
        until("the migration", lambda: _revision(release) == "later", seconds=120)
    assert until("the new password", lambda: _as_app(release, "SELECT current_user"), seconds=120) == "movies_app"
    assert _loaded_anew(release) == kept
    with Figures.timed("helm rollback"):
        release.helm("rollback", release.name, "1", "--wait", "--timeout", "10m")
    until("the migration Job of the rollback", lambda: _migrated(release), seconds=180)
    assert _revision(release) == "later"
    assert _loaded_anew(release) == kept
    with Figures.timed("helm uninstall"):
        release.uninstall()
    until("no pods", lambda: not release.pods(""), seconds=120)
    with Figures.timed("helm install on the kept volumes"):
        release.install(*options)
    assert (_cluster_id(release), _fernet(release)) == (identity, fernet)
    assert _as_app(release, "SELECT current_user") == "movies_app"
    assert _loaded_anew(release) == kept


def _loaded_anew(release: Release) -> dict[str, str]:
    until("an empty database", lambda: empty(release) is None, seconds=60)
    until("all films", lambda: release.films() == SAMPLE, seconds=ALL_FILMS_SECONDS)
    return contents(release)


def _migrated(release: Release) -> bool:
    selector = "app.kubernetes.io/component=migrate"
    jobs = json.loads(release.kubectl("get", "jobs", "--selector", selector, "--output", "json"))["items"]
    return bool(jobs) and all(job["status"].get("succeeded") for job in jobs)


def _revision(release: Release) -> str:
    return release.sql("SELECT version_num FROM alembic_version")


def _cluster_id(release: Release) -> str:
    return release.kubectl("get", "kafka", release.full, "--output", "jsonpath={.status.clusterId}")


def _fernet(release: Release) -> str:
    return release.secret("movie-pipeline-airflow-fernet", "fernet-key")


def _as_app(release: Release, statement: str) -> str:
    password = release.secret(f"{release.full}-database-app", "password")
    shell = 'read -r PGPASSWORD; export PGPASSWORD; exec psql -X -At -h 127.0.0.1 -U movies_app -d movies -c "$0"'
    pod = f"{release.name}-postgresql-0"
    return release.kubectl("exec", "--stdin", pod, "--", "bash", "-c", shell, statement, text=f"{password}\n").strip()
