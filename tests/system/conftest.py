"""The images, built once for all tests that need an engine."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ("producer", "consumer", "airflow", "compose-worker")


@pytest.fixture(scope="session")
def images() -> dict[str, str]:
    """Names of the images by target, built from this checkout."""
    from movie_pipeline import __version__

    done = subprocess.run([ROOT / "images" / "build"], capture_output=True, text=True, timeout=1500, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return {target: f"movie-pipeline/{target}:{__version__}" for target in TARGETS}
