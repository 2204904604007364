"""The report in a real browser: nothing breaks, nothing scrolls sideways, tables sort, everybody can read it."""

import json
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from analysed import frame_catalogue, sample
from movie_pipeline.adapters.artifacts import RunStore
from movie_pipeline.jobs.analysis import Analyst, versions
from movie_pipeline.report.page import RunFacts
from movie_pipeline.settings import Language
from movie_pipeline.texts import Texts

SOURCES = Path(__file__).parent / "browser"
DESKTOP, PHONE = (1280, 900), (360, 740)
PHONE_PICTURE = 500
"""Width in pixels that only pictures drawn for a phone stay below: their letters are not shrunk."""


@pytest.fixture(scope="module")
def browser_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the pinned driver and checker by their lock file, away from the checkout."""
    folder = tmp_path_factory.mktemp("browser")
    for name in ("package.json", "package-lock.json", ".npmrc", "look.mjs"):
        shutil.copy(SOURCES / name, folder)
    subprocess.run(["npm", "ci", "--no-progress"], cwd=folder, check=True, capture_output=True, timeout=280)
    return folder


@pytest.fixture(scope="module", params=list(Language))
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with everything in it: charts, model card, and the banner of a degraded run."""
    root = tmp_path_factory.mktemp("report")
    now = datetime(2026, 11, 23, tzinfo=UTC)
    facts = RunFacts("run-1", "report", "sample", degraded=True, at=now, seconds={}, versions=versions())
    analyst = Analyst(RunStore(root), Texts(request.param), 0, lambda: now, ThreadPoolExecutor(1))
    catalogue = frame_catalogue(sample()[::8])
    model = Path(analyst.train(catalogue).files["model"]).name
    return Path(analyst.report(catalogue, facts, charts_folder=None, model_folder=model).files["report"])


def looked_at(folder: Path, report: Path, size: tuple[int, int], scheme: str) -> dict[str, Any]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "Chromium is required: apt-get install chromium"
    command = ["node", "look.mjs", chromium, str(report), *map(str, size), scheme]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_opens_reads_and_sorts(browser_folder: Path, report: Path, size: Any, scheme: str) -> None:
    found = looked_at(browser_folder, report, size, scheme)
    assert found["problems"] == []
    assert found["overflow"] <= 0
    assert found["pictures"]
    assert all(complete and drawn for complete, drawn, _ in found["pictures"])
    assert {width < PHONE_PICTURE for *_, width in found["pictures"]} == {size == PHONE}
    assert [one for one in found["violations"] if one["impact"] in {"serious", "critical"}] == []
    assert_sorted(found)


def assert_sorted(found: dict[str, Any]) -> None:
    votes = [float(value) for value in found["byVotes"]["order"]]
    assert (votes, found["byVotes"]["told"]) == (sorted(votes, reverse=True), "descending")
    again = [float(value) for value in found["byVotesAgain"]["order"]]
    assert (again, found["byVotesAgain"]["told"]) == (sorted(votes), "ascending")
    assert found["byTitle"]["told"] == "ascending"
    assert len(set(found["byTitle"]["order"])) == len(votes)
    roi = found["byRoi"]["order"]
    known = [float(value) for value in roi if value is not None]
    assert roi[len(known) :] == [None] * (len(roi) - len(known))
    assert known == sorted(known, reverse=True)
