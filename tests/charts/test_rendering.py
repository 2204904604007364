"""The chart's objects in every shape: default, everything on, everything elsewhere, laptop, production."""

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY

from movie_pipeline import metrics  # noqa: F401 - registers what the program measures
from movie_pipeline.settings import Settings

from .cases import CASES, CHART, NAMESPACE, RELEASE, ROOT, Render, RenderError, own
from .rendered import Object, containers, named, of_kind, pods, variables

HELPERS_ONLY = {"HOME", "USER"}  # what the container needs, not the program
CHART_ONLY = {
    "RELEASE",
    "CONSUMER",
    "KAFKA_CLUSTER",
    "TIMEOUT_SECONDS",
    "WEB_URL",
    "CONSUMER_URL",
    "MINIMUM_FILMS",
    "ADMIN_USER",
    "AIRFLOW_HOME",
}


def test_every_pod_meets_the_restricted_standard(objects: list[Object]) -> None:
    for where, _, spec in pods(objects):
        pod = spec.get("securityContext", {})
        for container in containers(spec):
            context = {**pod, **container.get("securityContext", {})}
            assert context.get("runAsNonRoot") is True, where
            assert context.get("seccompProfile", {}).get("type") == "RuntimeDefault", where
            assert context.get("allowPrivilegeEscalation") is False, where
            assert context.get("capabilities", {}).get("drop") == ["ALL"], where
        for volume in spec.get("volumes", []):
            assert set(volume) & {
                "configMap",
                "secret",
                "emptyDir",
                "persistentVolumeClaim",
                "projected",
                "downwardAPI",
            }, where


def test_our_pods_have_a_read_only_root_a_numeric_user_and_resources(ours: list[Object]) -> None:
    for where, _, spec in pods(ours):
        for container in containers(spec):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, where
            assert spec["securityContext"]["runAsUser"] > 0, where
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}, where
            assert "memory" in container["resources"]["limits"], where


def test_only_pods_that_ask_the_api_server_get_a_token(ours: list[Object]) -> None:
    with_token = {where for where, _, spec in pods(ours) if spec["automountServiceAccountToken"]}
    assert all(re.search("consumer|pods/warehouse|uninstall", where) for where in with_token), with_token


def test_no_image_is_without_tag_or_latest(objects: list[Object]) -> None:
    for where, _, spec in pods(objects):
        for container in containers(spec):
            name, _, tag = container["image"].rpartition(":")
            assert name, where
            assert tag not in {"", "latest"}, where
            assert "/" not in tag, where


def test_names_come_from_the_release_and_are_unique(objects: list[Object], ours: list[Object]) -> None:
    keys = [(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in objects]
    assert len(keys) == len(set(keys))
    chosen = {"Secret", "KafkaNodePool"}  # named by values, since subcharts must know them
    strange = {
        (item["kind"], item["metadata"]["name"])
        for item in ours
        if item["kind"] not in chosen
        and not item["metadata"]["name"].startswith(("mp-movie-pipeline", "movie-pipeline-dag-pods"))
    }
    assert not strange


def test_our_objects_lie_in_the_releases_namespace(ours: list[Object]) -> None:
    assert {item["metadata"]["namespace"] for item in ours} == {NAMESPACE}


def test_every_variable_is_a_setting_of_the_program(ours: list[Object]) -> None:
    settings = {name.upper() for name in Settings.model_fields}
    for item in of_kind(ours, "ConfigMap"):
        if item["metadata"]["name"].endswith("-settings"):
            assert set(item["data"]) <= settings
    for where, _, spec in pods(ours):
        unknown = variables(spec) - settings - HELPERS_ONLY - CHART_ONLY
        assert not {name for name in unknown if not name.startswith(("AIRFLOW__", "DASK_DISTRIBUTED__"))}, where


def test_the_programs_settings_are_accepted_by_the_program(ours: list[Object], monkeypatch: pytest.MonkeyPatch) -> None:
    for item in of_kind(ours, "ConfigMap"):
        if item["metadata"]["name"].endswith("-settings"):
            for name, value in item["data"].items():
                monkeypatch.setenv(name, value)
            Settings()


def test_passwords_stand_in_secrets_only(ours: list[Object]) -> None:
    for where, _, spec in pods(ours):
        for container in containers(spec):
            for item in container.get("env", []):
                if (
                    re.search("PASSWORD|TOKEN|SECRET|FERNET|SQL_ALCHEMY", item["name"])
                    and item.get("value") != "sample"
                ):
                    assert "secretKeyRef" in item["valueFrom"], (where, item["name"])


def test_volumes_claims_and_secrets_that_a_pod_names_exist_or_are_the_users(case: str, ours: list[Object]) -> None:
    maps = {item["metadata"]["name"] for item in of_kind(ours, "ConfigMap")}
    accounts = {item["metadata"]["name"] for item in of_kind(ours, "ServiceAccount")}
    claims = {item["metadata"]["name"] for item in of_kind(ours, "PersistentVolumeClaim")} | {"shared"}
    for where, _, spec in pods(ours):
        assert spec["serviceAccountName"] in accounts, (case, where)
        for volume in spec["volumes"]:
            if "configMap" in volume:
                assert volume["configMap"]["name"] in maps, where
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims, where


def test_selectors_find_the_pods_they_are_made_for(ours: list[Object]) -> None:
    labels = [found for _, found, _ in pods(ours)]
    for item in [*of_kind(ours, "Service"), *of_kind(ours, "PodDisruptionBudget")]:
        selector = item["spec"]["selector"]
        wanted = selector.get("matchLabels", selector)
        assert any(wanted.items() <= found.items() for found in labels), item["metadata"]["name"]


def test_unknown_values_are_refused(render: Render) -> None:
    for value in (
        "consumer.replica=2",
        "kafka.nodePool.size=3",
        "nonsense=1",
        "settings.BATCHSIZE=10",
        "dask.engine=spark",
    ):
        with pytest.raises(RenderError, match="schema"):
            render(f"--set={value}")


def test_secrets_are_no_settings(render: Render) -> None:
    with pytest.raises(RenderError, match="PGPASSWORD"):
        render("--set=settings.PGPASSWORD=x")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (("kafka.enabled=false",), "kafka.external.bootstrapServers"),
        (("postgresql.enabled=false",), "database.host"),
        (("postgresql.enabled=false", "database.host=db"), "database.owner.existingSecret"),
        (("database.owner.username=boss",), "postgresql.auth.username"),
        (("database.name=films",), "postgresql.auth.database"),
        (("database.owner.existingSecret=mine",), "postgresql.auth.existingSecret"),
        (("database.app.username=movies_owner",), "must not own the schema"),
        (("strimzi-kafka-operator.enabled=false",), "kafka.strimzi.io/v1"),
        (("image.registry=registry.example.org",), "airflow.images.airflow.repository"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_made(render: Render, values: tuple[str, ...], words: str) -> None:
    with pytest.raises(RenderError, match=re.escape(words)):
        render(*(f"--set={value}" for value in values))


def test_an_operator_that_runs_already_serves_our_kafka(render: Render) -> None:
    found = render("--set=strimzi-kafka-operator.enabled=false", "--api-versions=kafka.strimzi.io/v1/Kafka")
    assert of_kind(found, "Kafka")
    assert not [item for item in found if item["metadata"]["name"] == "strimzi-cluster-operator"]


def test_elsewhere_means_nothing_of_it_here(render: Render) -> None:
    found = render(*CASES["external"])
    kinds = {item["kind"] for item in found}
    assert not kinds & {"Kafka", "KafkaTopic", "KafkaUser", "StatefulSet", "ClusterRole", "PersistentVolumeClaim"}
    settings = named(found, "ConfigMap", "mp-movie-pipeline-settings")["data"]
    assert settings["PGHOST"] == "db.example.org"
    assert settings["KAFKA_BOOTSTRAP_SERVERS"] == "kafka.example.org:9093"
    assert "TMDB_API_URL" not in settings
    assert not of_kind(own(found), "Secret")


def test_the_sample_is_the_source_until_a_tmdb_secret_is_given(render: Render) -> None:
    sample = named(render(), "ConfigMap", "mp-movie-pipeline-settings")["data"]
    assert sample["TMDB_API_URL"] == "http://mp-movie-pipeline-sample-api:8080/3"
    live = render("--set=tmdb.existingSecret=tmdb")
    assert "TMDB_API_URL" not in named(live, "ConfigMap", "mp-movie-pipeline-settings")["data"]
    assert not [item for item in live if item["metadata"]["name"].endswith("sample-api")]


def test_data_survives_an_uninstall(render: Render) -> None:
    for kind in ("Kafka", "KafkaNodePool", "KafkaTopic", "PersistentVolumeClaim", "Secret"):
        for item in of_kind(own(render()), kind):
            assert item["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep", item["metadata"]["name"]
    pool = of_kind(render(), "KafkaNodePool")[0]
    assert all(volume["deleteClaim"] is False for volume in pool["spec"]["storage"]["volumes"])


def test_kafka_users_have_what_their_role_needs_and_no_more(render: Render) -> None:
    rights = {
        item["metadata"]["name"].removeprefix("mp-movie-pipeline-"): sorted(
            (acl["resource"]["type"], acl["resource"]["name"], operation)
            for acl in item["spec"]["authorization"]["acls"]
            for operation in acl["operations"]
        )
        for item in of_kind(render(), "KafkaUser")
    }
    assert rights == {
        "producer": [
            ("topic", "tmdb_data", "Describe"),
            ("topic", "tmdb_data", "Write"),
            ("topic", "tmdb_data.dlq", "Describe"),
        ],
        "consumer": [
            ("group", "movie-pipeline", "Read"),
            ("topic", "tmdb_data", "Describe"),
            ("topic", "tmdb_data", "Read"),
            ("topic", "tmdb_data.dlq", "Describe"),
            ("topic", "tmdb_data.dlq", "Write"),
        ],
        # It reads the films, too: of the backups it publishes only what the topic lacks.
        "replay": [
            ("topic", "tmdb_data", "Describe"),
            ("topic", "tmdb_data", "Read"),
            ("topic", "tmdb_data", "Write"),
            ("topic", "tmdb_data.dlq", "Describe"),
            ("topic", "tmdb_data.dlq", "Read"),
        ],
    }


def test_the_films_topic_is_compacted_as_the_contract_says(render: Render) -> None:
    topics = {item["spec"]["topicName"]: item["spec"] for item in of_kind(render(), "KafkaTopic")}
    assert topics.keys() == {"tmdb_data", "tmdb_data.dlq"}
    assert topics["tmdb_data"]["config"]["cleanup.policy"] == "compact"


def test_three_nodes_replicate_and_one_does_not(render: Render) -> None:
    for arguments, copies in ((CASES["defaults"], 1), (CASES["production"], 3)):
        found = render(*arguments)
        assert {item["spec"]["replicas"] for item in of_kind(found, "KafkaTopic")} == {copies}
        config = of_kind(found, "Kafka")[0]["spec"]["kafka"]["config"]
        assert config["offsets.topic.replication.factor"] == copies
        assert config["min.insync.replicas"] == max(1, copies - 1)


def test_the_consumers_role_creates_no_pods_and_reads_no_secret(render: Render) -> None:
    rules = named(own(render()), "Role", "mp-movie-pipeline-consumer")["rules"]
    assert {"pods", "pods/status", "services"} == {
        name for rule in rules if rule["apiGroups"] == [""] for name in rule["resources"]
    }
    assert all(set(rule["verbs"]) <= {"get", "list", "watch"} for rule in rules if rule["apiGroups"] == [""])


def test_no_account_but_the_consumers_and_the_hooks_has_a_role(render: Render) -> None:
    bound = {subject["name"] for item in of_kind(own(render()), "RoleBinding") for subject in item["subjects"]}
    assert bound == {
        "mp-movie-pipeline-consumer",
        "mp-movie-pipeline-uninstall-before",
        "mp-movie-pipeline-uninstall-after",
    }


def test_the_owners_password_reaches_the_migration_only(render: Render) -> None:
    for where, _, spec in pods(own(render())):
        users = {
            item.get("value") for box in containers(spec) for item in box.get("env", []) if item["name"] == "PGUSER"
        }
        assert users <= ({"movies_owner"} if "migrate" in where else {"movies_app"}), where


def test_the_migration_is_a_job_of_its_own_for_each_change(render: Render) -> None:
    def job(*arguments: str) -> Object:
        return next(item for item in of_kind(own(render(*arguments)), "Job") if "-migrate-" in item["metadata"]["name"])

    assert "helm.sh/hook" not in job()["metadata"].get("annotations", {})
    assert job()["metadata"]["name"] != job("--set=image.consumer.tag=0.2.0")["metadata"]["name"]


def test_default_deny_covers_every_pod(ours: list[Object]) -> None:
    everywhere = [item["spec"] for item in of_kind(ours, "NetworkPolicy") if item["spec"]["podSelector"] == {}]
    assert [sorted(spec["policyTypes"]) for spec in everywhere] == [["Egress", "Ingress"]]
    assert "ingress" not in everywhere[0]


def test_every_policy_finds_pods_by_the_labels_that_their_charts_give_them(objects: list[Object]) -> None:
    made_by_strimzi = ("-kafka", "-kafka-entity-operator")
    labels = [found for _, found, _ in pods(objects)]
    for item in of_kind(own(objects), "NetworkPolicy"):
        wanted = item["spec"]["podSelector"].get("matchLabels", {})
        if not item["metadata"]["name"].endswith(made_by_strimzi):
            assert any(wanted.items() <= found.items() for found in labels), item["metadata"]["name"]


def test_the_sample_api_is_reached_by_producers_only(render: Render) -> None:
    policy = named(render(), "NetworkPolicy", "mp-movie-pipeline-sample-api")["spec"]
    assert policy["ingress"][0]["from"] == [{"podSelector": {"matchLabels": {"movie-pipeline/tmdb-client": RELEASE}}}]


def test_network_policies_can_be_left_to_the_cluster(render: Render) -> None:
    assert not of_kind(own(render("--set=networkPolicy.enabled=false")), "NetworkPolicy")


def test_optional_parts_are_off_by_default_and_on_when_asked_for(render: Render) -> None:
    optional = {"ScaledObject", "TriggerAuthentication", "ServiceMonitor", "PrometheusRule", "Ingress"}
    assert not optional & {item["kind"] for item in render()}
    assert optional <= {item["kind"] for item in render(*CASES["everything"])}


def test_alerts_and_dashboard_ask_for_metrics_that_exist(render: Render) -> None:
    found = own(render(*CASES["everything"]))
    asked = json.dumps(of_kind(found, "PrometheusRule")) + json.dumps(
        named(found, "ConfigMap", "mp-movie-pipeline-dashboard")
    )
    known = {family.name for family in REGISTRY.collect()}
    names = set(re.findall(r"movie_pipeline_[a-z_]+", asked))
    assert len(names) > 4
    assert {re.sub("_(total|bucket)$", "", name) for name in names} <= known


def test_airflow_gets_its_secrets_from_this_chart(render: Render) -> None:
    secrets = {item["metadata"]["name"]: set(item["data"]) for item in of_kind(own(render()), "Secret")}
    assert secrets["movie-pipeline-airflow-metadata"] == {"connection"}
    assert secrets["movie-pipeline-airflow-fernet"] == {"fernet-key"}
    assert secrets["movie-pipeline-airflow-api"] == {"api-secret-key"}
    assert secrets["movie-pipeline-airflow-jwt"] == {"jwt-secret"}
    made = [item for item in of_kind(render(), "Secret") if item not in of_kind(own(render()), "Secret")]
    assert not [item["metadata"]["name"] for item in made if "redis" not in item["metadata"]["name"]]


def test_argo_cd_finds_nothing_random_and_deletes_no_data(render: Render, tmp_path: Path) -> None:
    application = yaml.safe_load((ROOT / "k8s" / "argocd.example.yaml").read_text())["spec"]["source"]
    assert (ROOT / application["path"]).samefile(CHART)
    helm = application["helm"]
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(helm["valuesObject"]))
    files = [f"--values={file}" for file in (*helm["valueFiles"], tmp_path / "values.yaml")]
    first = own(render(*files))
    again = own(render(*files, "--api-versions=a.cluster/v1/Differs"))
    assert first == again
    assert not of_kind(first, "Secret")
    for kind in ("Kafka", "KafkaNodePool", "KafkaTopic", "PersistentVolumeClaim"):
        for item in of_kind(first, kind):
            assert "Delete=false" in item["metadata"]["annotations"]["argocd.argoproj.io/sync-options"]


def test_an_airflow_elsewhere_may_start_the_dags_pods_here(render: Render) -> None:
    found = own(render(*CASES["external"], "--set=dag.airflowAccount=airflow:airflow-scheduler"))
    pods_here = json.loads(named(found, "ConfigMap", "movie-pipeline-dag-pods")["data"]["pods.json"])
    assert {pod["metadata"]["namespace"] for pod in pods_here.values()} == {NAMESPACE}
    binding = named(found, "RoleBinding", "mp-movie-pipeline-task-launcher")
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "airflow-scheduler", "namespace": "airflow"}]
    rules = named(found, "Role", "mp-movie-pipeline-task-launcher")["rules"]
    assert {name for rule in rules for name in rule["resources"]} == {"pods", "pods/log", "events"}


def test_the_dag_finds_its_pods(render: Render) -> None:
    scheduler = named(render(), "StatefulSet", "mp-scheduler")
    box = next(item for item in containers(scheduler["spec"]["template"]["spec"]) if item["name"] == "scheduler")
    source = next(item["valueFrom"]["configMapKeyRef"] for item in box["env"] if item["name"] == "PIPELINE_PODS")
    assert source["key"] in named(render(), "ConfigMap", source["name"])["data"]


def test_values_files_name_only_values_that_exist() -> None:
    known = yaml.safe_load((CHART / "values.yaml").read_text())
    for file in ("values-kind.yaml", "values-production.yaml"):
        given = yaml.safe_load((CHART / file).read_text())
        assert given.keys() <= known.keys(), file


def test_a_registry_of_ones_own_is_before_every_image_of_ours(render: Render) -> None:
    images = {box["image"] for _, _, spec in pods(own(render(*CASES["production"]))) for box in containers(spec)}
    assert all(image.startswith("registry.example.org/team/movie-pipeline/") for image in images), images
