"""A TMDB client from npm that nobody here wrote reads the sample API."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from movie_pipeline.sample_api import SampleApi

SOURCES = Path(__file__).parent / "node"


@pytest.fixture(scope="module")
def node_folder(tmp_path_factory):
    """Install the pinned client by its lock file, away from the checkout."""
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json", ".npmrc", "client.mjs"):
        shutil.copy(SOURCES / name, folder)
    subprocess.run(["npm", "ci", "--no-progress"], cwd=folder, check=True, capture_output=True, timeout=300)
    return folder


def test_moviedb_promise_reads_films_credits_changes_and_errors(node_folder):
    with SampleApi() as api:
        found = subprocess.run(
            ["node", "client.mjs", api.base], cwd=node_folder, check=True, capture_output=True, text=True, timeout=60
        )
    assert json.loads(found.stdout) == {
        "popular": [2, 20, 241],
        "film": ["Avatar", 2_787_965_087, "James Cameron"],
        "cast": "Sam Worthington",
        "changes": [1, 100, "number"],
        "genres": 19,
        "images": 7,
        "unknown": [404, 34],
        "page": [400, 22],
        "range": [422, 20],
        "key": [401, 7],
    }
