"""Shell blocks marked `sh tested` do what the document says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .places import ROOT, blocks, documents


def marked():
    for path in documents():
        found = blocks(path.read_text(encoding="utf-8"))
        for block, following in zip(found, [*found[1:], None], strict=False):
            if block.info[:2] == ("sh", "tested"):
                told = following.text if following and following.info == ("text", "output") else None
                yield pytest.param(block.text, told, id=f"{path.relative_to(ROOT)}:{block.line}")


@pytest.mark.parametrize(("script", "told"), list(marked()))
def test_block_runs_and_prints_what_the_document_shows(script, told):
    mine = {
        name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "PG", "TMDB_", "DATABASE"))
    }
    mine["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{mine['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env={**mine, "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    if told is not None:
        assert done.stdout == told


def test_there_are_marked_blocks():
    assert len(list(marked())) >= 3
