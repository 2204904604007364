"""Print what the DAG file is, as JSON: the time to parse it, its tasks, and the pods of its tasks.

A program of its own, because the file reads its variables when it is imported. Any connection is refused.
"""

import json
import socket
import sys
import time
from pathlib import Path
from typing import Any

DAGS = Path(__file__).parents[2] / "dags"
RUN_ID = "manual__2026-11-23T12:00:00+00:00"


def main() -> None:
    from airflow.dag_processing.dagbag import DagBag

    socket.socket.connect = _refused  # type: ignore[method-assign]
    loaded = set(sys.modules)
    began = time.perf_counter()
    bag = DagBag(DAGS)
    seconds = time.perf_counter() - began
    if bag.import_errors:
        sys.exit(str(bag.import_errors))
    dag = bag.dags["tmdb_pipeline"]
    found = {
        "seconds": seconds,
        "modules": sorted({name.partition(".")[0] for name in set(sys.modules) - loaded}),
        "dag": _dag(dag),
        "tasks": {task.task_id: _task(task) for task in dag.tasks},
        "pods": {task.task_id: _pod(task) for task in dag.tasks if hasattr(task, "build_pod_request_obj")},
    }
    json.dump(found, sys.stdout)


def _refused(*_: Any) -> None:
    raise ConnectionRefusedError("reading the DAG file must touch no network")


def _dag(dag: Any) -> dict[str, Any]:
    return {
        "schedule": str(dag.schedule),
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "doc": dag.doc_md,
        "timeout": dag.dagrun_timeout.total_seconds(),
        "deadlines": len(dag.deadline),
        "groups": {
            name: sorted(group.children) for name, group in dag.task_group.get_task_group_dict().items() if name
        },
    }


def _task(task: Any) -> dict[str, Any]:
    return {
        "kinds": [kind.__name__ for kind in type(task).__mro__],
        "upstream": sorted(task.upstream_task_ids),
        "downstream": sorted(task.downstream_task_ids),
        "rule": str(task.trigger_rule),
        "retries": task.retries,
        "backoff": float(task.retry_exponential_backoff),
        "timeout": task.execution_timeout.total_seconds() if task.execution_timeout else None,
        "outlets": [asset.uri for asset in task.outlets],
    }


def _pod(task: Any) -> dict[str, Any]:
    from kubernetes.client import ApiClient

    task.render_template_fields({"run_id": RUN_ID, "params": {"pages": 7}})
    pod: dict[str, Any] = ApiClient().sanitize_for_serialization(task.build_pod_request_obj(dry_run=True))
    return pod


main()
