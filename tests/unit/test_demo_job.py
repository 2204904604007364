"""The demo's order and last words, without any server."""

from pathlib import Path

import pytest

from movie_pipeline.errors import OutputError, PipelineError
from movie_pipeline.jobs.demo import (
    NEEDED_BYTES,
    QUERIES,
    Addresses,
    Ending,
    Stage,
    Timed,
    farewell,
    require_report,
    require_space,
    run_stages,
)

ENDING = Ending({"movies": 4803, "people": 21301}, [Path("/out/report.html")], 4803)
TIMES = [Timed("Start", 2.04), Timed("Load", 30.0)]


def test_stages_run_in_order_and_are_announced_and_timed():
    done, said = [], []
    stages = [Stage(name, lambda name=name: done.append(name) or 0) for name in ("start", "load")]
    code, times = run_stages(stages, said.append)
    assert (code, done, said) == (0, ["start", "load"], ["[1/2] start", "[2/2] load"])
    assert [item.name for item in times] == ["start", "load"]


def test_a_stage_that_does_not_succeed_ends_the_demo_with_its_code():
    after = []
    code, times = run_stages([Stage("produce", lambda: 3), Stage("load", lambda: after.append(1) or 0)], print)
    assert (code, after, len(times)) == (3, [], 1)


def test_the_last_words_name_rows_files_times_and_queries():
    said = farewell(ENDING, TIMES, None).splitlines()
    assert "  movies   4,803" in said
    assert "  people  21,301" in said
    assert "  /out/report.html" in said
    assert "  total  32.0" in said
    assert "4,803 backups" in "\n".join(said)
    assert all(query in "\n".join(said) for _, query in QUERIES)
    assert len(QUERIES) == 3


def test_addresses_are_shown_only_when_the_servers_stay_up():
    kept = farewell(ENDING, TIMES, Addresses("127.0.0.1:9092", "postgresql://movies:x@127.0.0.1:5432/movies"))
    assert "Kafka       127.0.0.1:9092" in kept
    assert "PostgreSQL  postgresql://movies:x@127.0.0.1:5432/movies" in kept
    assert "postgresql://" not in farewell(ENDING, TIMES, None)


def test_a_disk_without_room_is_refused_before_anything_starts():
    require_space(Path("/out"), NEEDED_BYTES)
    with pytest.raises(OutputError, match=r"only 12 MB are free in /out, the demo needs 400 MB: make room"):
        require_space(Path("/out"), 12_000_000)


@pytest.mark.parametrize(("before", "after"), [(None, None), (5, 5)])
def test_a_report_that_this_run_did_not_write_is_a_failure(before, after):
    with pytest.raises(PipelineError, match=r"/out/report\.html was not written"):
        require_report(before, after, Path("/out/report.html"))


@pytest.mark.parametrize(("before", "after"), [(None, 5), (4, 5)])
def test_a_report_of_this_run_is_enough(before, after):
    require_report(before, after, Path("/out/report.html"))
