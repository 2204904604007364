"""Run the DAG in this process, once for each line of standard input; print a JSON line for each run.

A line is a JSON object: a list of exit codes for each command, one an attempt, the last one staying.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

STAND_IN = """#!{python}
import json, os, pathlib, sys
folder = pathlib.Path({folder!r})
plan = json.loads((folder / "plan.json").read_text())
words = [word for word in sys.argv[1:]]
command = next((name for name in sorted(plan, key=len, reverse=True) if " ".join(words).startswith(name)), None)
calls = folder / "calls.jsonl"
earlier = [json.loads(line)["words"] for line in calls.read_text().splitlines()] if calls.exists() else []
with calls.open("a") as file:
    file.write(json.dumps({{"words": words, "run_id": os.environ.get("RUN_ID")}}) + "\\n")
codes = plan.get(command, [0])
sys.exit(codes[min(earlier.count(words), len(codes) - 1)])
"""


def main() -> None:
    folder = Path(tempfile.mkdtemp(dir=os.environ["AIRFLOW_HOME"]))
    program = folder / "movie-pipeline"
    program.write_text(STAND_IN.format(python=sys.executable, folder=str(folder)))
    program.chmod(0o755)
    os.environ["PIPELINE_PROGRAM"] = str(program)
    answers = sys.stdout
    sys.stdout = sys.stderr

    from airflow.dag_processing.dagbag import DagBag

    dag = DagBag(Path(__file__).parents[2] / "dags").dags["tmdb_pipeline"]
    # dag.test() of Airflow 3.3 does not know how to store deadline alerts.
    dag.deadline = None
    for line in sys.stdin:
        (folder / "plan.json").write_text(line)
        (folder / "calls.jsonl").unlink(missing_ok=True)
        print(json.dumps(_run(dag, folder)), file=answers, flush=True)


def _run(dag: Any, folder: Path) -> dict[str, Any]:
    run = dag.test()
    instances = run.get_task_instances()
    calls = folder / "calls.jsonl"
    return {
        "state": str(run.state),
        "run_id": run.run_id,
        "tasks": {ti.task_id: str(ti.state) for ti in instances},
        "tries": {ti.task_id: ti.try_number for ti in instances},
        "path": next(ti for ti in instances if ti.task_id == "process_kafka_data").xcom_pull(
            task_ids="process_kafka_data", key="processed_data_path"
        ),
        "calls": [json.loads(line) for line in calls.read_text().splitlines()],
    }


main()
