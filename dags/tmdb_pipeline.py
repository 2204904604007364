"""The DAG `tmdb_pipeline`: TMDB -> Kafka -> warehouse -> charts and model -> report, every 12 hours.

Every task runs one command of `movie-pipeline`. `PIPELINE_RUNNER` says how: `command` (default; the program at
`PIPELINE_PROGRAM`, in an environment of its own) or `kubernetes` (a pod, from `PIPELINE_PODS`). Nothing of the
pipeline is imported here, and reading this file touches no network.
"""

import json
import logging
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, DeadlineAlert, DeadlineReference, Param, SyncCallback, TaskGroup, TriggerRule
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

RUNNER = os.environ.get("PIPELINE_RUNNER", "command")
PROGRAM = os.environ.get("PIPELINE_PROGRAM", "/opt/movie-pipeline/bin/movie-pipeline")
OUTPUT_DIR = os.environ.get("OUTPUT_DIR", "data/movie_analytics")

if RUNNER == "kubernetes":
    from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator as Runner
    from kubernetes.client import V1EnvVar
elif RUNNER == "command":
    from airflow.providers.standard.operators.bash import BashOperator as Runner
else:
    raise ValueError(f"PIPELINE_RUNNER={RUNNER!r}: it must be 'command' or 'kubernetes'")

FAILED, REFUSED, DEGRADED = 1, 2, 3
WAREHOUSE = Asset("movie_data_warehouse", uri="movie-pipeline://tables/warehouse")
REPORT = Asset("movie_report", uri="movie-pipeline://files/report")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Command:
    """One command of the program: its arguments, the pod it runs in, its time-out, and exit codes with a meaning.

    `away` codes skip the task and so open the alternative path; `done` codes count as success.
    """

    arguments: str
    pod: str = "consumer"
    minutes: int = 30
    away: frozenset[int] = frozenset()
    done: frozenset[int] = frozenset({DEGRADED})


COMMANDS = {
    "check_kafka": Command("status --check kafka", minutes=5, away=frozenset({FAILED, DEGRADED}), done=frozenset()),
    "check_tmdb": Command("status --check tmdb", pod="producer", minutes=5),
    "check_postgres": Command("status --check postgres", minutes=5),
    "produce": Command(
        "produce --popular --pages {{params.pages}}",
        pod="producer",
        minutes=60,
        away=frozenset({DEGRADED}),
        done=frozenset(),
    ),
    "process_kafka_data": Command("process", away=frozenset({DEGRADED}), done=frozenset()),
    "warehouse": Command("consume --until-end", pod="warehouse", minutes=120),
    "process_alternative": Command("process --alternative"),
    "charts": Command("charts"),
    "train": Command("train", minutes=60),
    "report": Command("report"),
}


class ExitCodes:
    """Read an exit code as the program means it; both operators ask `code in skip_on_exit_code` after a run.

    2 (wrong usage, settings or key) fails the task at once, since no retry can help; `codes` skip it.
    """

    def __init__(self, codes: frozenset[int]) -> None:
        self.codes = codes

    def __contains__(self, code: object) -> bool:
        if code == REFUSED:
            raise AirflowFailException("exit code 2: a wrong setting or key, see the log above; no retry can help")
        return code in self.codes


class PipelineTask(Runner):
    """Run one command of the program; exit code 3 is success where the command says so.

    `xcom` holds what is pushed after success, on Airflow's side: the command itself knows nothing of XCom.
    """

    def __init__(self, *, command: Command, xcom: dict[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(skip_on_exit_code=ExitCodes(command.away | command.done), **kwargs)
        self.away_is_skipped = bool(command.away)
        self.xcom = xcom or {}

    def execute(self, context: Any) -> None:
        """Run the command and push the keys of `xcom`."""
        try:
            super().execute(context)
        except AirflowSkipException:
            if self.away_is_skipped:
                raise
            self.log.warning("exit code 3: done, but degraded; the report says what was missing")
        for key, value in self.xcom.items():
            context["ti"].xcom_push(key=key, value=value)


def pipeline_task(name: str, **kwargs: Any) -> PipelineTask:
    """Make the task of `COMMANDS[name]` for the chosen runner; this is the only place that makes one."""
    command = COMMANDS[name]
    timeout = timedelta(minutes=command.minutes)
    how = _pod(command) if RUNNER == "kubernetes" else _process(command)
    return PipelineTask(task_id=name, command=command, execution_timeout=timeout, **how, **kwargs)


def _process(command: Command) -> dict[str, Any]:
    # The run's id may be any text that a person typed: it goes through the environment, never through the shell.
    return {
        "bash_command": f"exec {PROGRAM} {command.arguments}",
        "env": {"RUN_ID": "{{ run_id }}"},
        "append_env": True,
        "do_xcom_push": False,
    }


def _pod(command: Command) -> dict[str, Any]:
    # PIPELINE_PODS: pod templates (JSON, as in Kubernetes) by the names in COMMANDS; `warehouse` falls to `consumer`.
    pods = json.loads(os.environ["PIPELINE_PODS"])
    template = pods[command.pod] if command.pod in pods else pods["consumer"]
    return {
        "pod_template_dict": template,
        "in_cluster": True,
        "arguments": command.arguments.split(" "),
        "env_vars": [V1EnvVar(name="RUN_ID", value="{{ run_id }}")],
        "active_deadline_seconds": command.minutes * 60,
        "startup_timeout_seconds": 300,
        "on_finish_action": "delete_succeeded_pod",
        "log_pod_spec_on_failure": False,
        "do_xcom_push": False,
    }


def tell_late(hours: float, **_: Any) -> None:
    """Log that a run has missed its deadline; put a notifier's call here to be woken by it."""
    log.error("tmdb_pipeline: a run has not ended %s hours after it was queued", hours)


DOC = """
### Films from TMDB to the warehouse, charts, a model and a report

| tasks | what they do |
|---|---|
| `check_services.*` | ask Kafka, TMDB and PostgreSQL whether they answer |
| `produce` | popular films from TMDB to the backups and to the topic `tmdb_data` (`pages` is a parameter of the run) |
| `process_kafka_data` | topic -> `movies_data.json`, `processed_movies_v2.csv`; XCom `processed_data_path` |
| `warehouse` | loads what the topic holds into PostgreSQL, each message once |
| `alternative_path.*` | Kafka is away: the films come from PostgreSQL, else the backups, else the sample; files only |
| `charts`, `train`, `report` | pictures, model, `report.html` and `report.txt` |
| `gate` | red when anything before it failed |

**Exit codes of the program**: 0 done; 1 failed, retried with growing pauses; 2 a wrong setting or key, never retried;
3 degraded: before the warehouse it opens the alternative path, after it the task is green and the report says so.

**A run by the alternative path is green and its report is marked `degraded`**, with the source that was used.
What tasks need from one another is in PostgreSQL (`pipeline_runs`), by `run_id`: a lost XCom loses no data.
"""

with DAG(
    dag_id="tmdb_pipeline",
    description="TMDB -> Kafka -> PostgreSQL -> charts, model, report",
    doc_md=DOC,
    schedule="0 */12 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=6),
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(hours=3),
        callback=SyncCallback(tell_late, kwargs={"hours": 3}),
    ),
    params={"pages": Param(5, type="integer", minimum=1, maximum=500, description="Pages of popular films, 20 each")},
    default_args={
        "owner": "movie-pipeline",
        "retries": 3,
        "retry_delay": timedelta(seconds=int(os.environ.get("PIPELINE_RETRY_SECONDS", "30"))),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=15),
    },
    tags=["movies"],
) as dag:
    with TaskGroup("check_services", prefix_group_id=False, tooltip="Which services answer?"):
        check_kafka = pipeline_task("check_kafka")
        check_tmdb = pipeline_task("check_tmdb")
        check_postgres = pipeline_task("check_postgres")

    produce = pipeline_task("produce")
    process = pipeline_task("process_kafka_data", xcom={"processed_data_path": f"{OUTPUT_DIR}/processed_movies_v2.csv"})
    warehouse = pipeline_task("warehouse", outlets=[WAREHOUSE])

    with TaskGroup("alternative_path", prefix_group_id=False, tooltip="Kafka is away: PostgreSQL, backups, sample"):
        alternative = pipeline_task("process_alternative", trigger_rule=TriggerRule.ALL_SKIPPED)

    # Either path is enough: with Kafka and PostgreSQL away `warehouse` counts as failed, and backups are still charted.
    charts = pipeline_task("charts", trigger_rule=TriggerRule.ONE_SUCCESS)
    train = pipeline_task("train", trigger_rule=TriggerRule.ONE_SUCCESS)
    report = pipeline_task("report", trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS, outlets=[REPORT])
    # Leaves alone decide a run's colour: without this one a report after a failed chart would make the run green.
    gate = EmptyOperator(task_id="gate", trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)

    # One after the other, so that an absent Kafka skips what follows whatever TMDB answers.
    check_kafka >> check_tmdb >> produce >> process >> warehouse
    check_postgres >> warehouse
    process >> alternative
    [warehouse, alternative] >> charts
    [warehouse, alternative] >> train
    [charts, train] >> report
    [charts, train, report] >> gate
