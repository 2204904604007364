"""Which engine computes ranges, what a KubeCluster is called, and how long a stop waits for an analysis."""

import inspect
import time
from functools import partial

import pytest

from movie_pipeline.adapters.background import BackgroundAnalysis
from movie_pipeline.adapters.dask import (
    ClusterLostError,
    FallbackEngine,
    InlineEngine,
    KubernetesSettings,
    Sizing,
    cluster_spec,
)
from movie_pipeline.messages import OffsetRange

SPEC = """
metadata: {name: any, namespace: films}
spec:
  worker: {replicas: 9}
  scheduler: {service: {selector: {dask.org/cluster-name: any, dask.org/component: scheduler}}}
"""


class Engine(InlineEngine):
    """Names who computed a range."""

    def __init__(self, name):
        super().__init__(lambda offsets: (name, offsets.start))
        self.description = name


class Choice:
    """An engine that is to be had, or not."""

    def __init__(self, name, error=None):
        self.name, self.error, self.asked = name, error, 0

    def __call__(self):
        self.asked += 1
        if self.error:
            raise self.error
        return Engine(self.name)


def ranges(messages):
    return [OffsetRange("films", 0, 0, messages)]


def test_small_backlogs_are_computed_here_and_start_nothing():
    cluster = Choice("cluster")
    engine = FallbackEngine([cluster], Engine("here"), inline_below=100)
    assert list(engine.run(ranges(99))) == [("here", 0)]
    assert cluster.asked == 0
    assert list(engine.run(ranges(100))) == [("cluster", 0)]


@pytest.mark.parametrize("error", [ClusterLostError("no operator"), OSError("refused")])
def test_what_is_not_to_be_had_is_replaced_and_asked_again_later(error):
    best, second = Choice("best", error), Choice("second")
    engine = FallbackEngine([best, second], Engine("here"), inline_below=0, again_seconds=3600)
    for _ in range(3):
        assert list(engine.run(ranges(5))) == [("second", 0)]
    assert (best.asked, second.asked) == (1, 1)
    engine = FallbackEngine([best, second], Engine("here"), inline_below=0, again_seconds=0)
    assert list(engine.run(ranges(5))) == [("second", 0)]
    best.error = None
    assert list(engine.run(ranges(5))) == [("best", 0)]
    assert engine.description == "best"


def test_without_any_cluster_the_driver_computes_itself():
    engine = FallbackEngine([Choice("best", OSError("refused"))], Engine("here"), inline_below=0)
    assert list(engine.run(ranges(5))) == [("here", 0)]


def test_workers_follow_the_backlog_up_and_go_only_after_the_idle_time(tmp_path):
    now = [100.0]
    sizing = Sizing(KubernetesSettings("dask", tmp_path, 0, 4, 1000, 30.0), clock=lambda: now[0])
    assert [sizing.fit(backlog) for backlog in (1, 2500, 900, 9_999)] == [1, 3, 3, 4]
    now[0] += 600
    assert sizing.fit(0) == 4, "a long load is no idle time"
    now[0] += 29
    assert sizing.fit(0) == 4
    assert sizing.fit(1) == 4
    now[0] += 2
    assert sizing.fit(0) == 4, "work in between starts the idle time anew"
    now[0] += 30
    assert sizing.fit(0) == 0


def test_a_minimum_of_workers_stays(tmp_path):
    sizing = Sizing(KubernetesSettings("dask", tmp_path, 2, 4, 1000, 0.0), clock=lambda: 0.0)
    assert [sizing.fit(backlog) for backlog in (0, 1, 3500, 0)] == [2, 2, 4, 2]


class Sleepy(Engine):
    """An engine that falls to no workers, and says that it was closed."""

    def __init__(self):
        super().__init__("sleepy")
        self.workers, self.closed = 1, 0

    def scale(self, backlog):
        return self.workers

    def close(self):
        self.closed += 1


def test_a_cluster_without_workers_is_let_go_and_made_again_when_it_is_needed():
    made = []

    def choice():
        made.append(Sleepy())
        return made[-1]

    engine = FallbackEngine([choice], Engine("here"), inline_below=0)
    assert list(engine.run(ranges(5))) == [("sleepy", 0)]
    assert engine.scale(0) == 1
    made[0].workers = 0
    assert engine.scale(0) == 0
    assert (made[0].closed, engine.description) == (1, "here")
    assert list(engine.run(ranges(5))) == [("sleepy", 0)]
    assert len(made) == 2


def test_each_driver_has_a_cluster_of_its_own_that_ends_with_its_pod(tmp_path):
    file = tmp_path / "cluster.yaml"
    file.write_text(SPEC, encoding="utf-8")
    options = KubernetesSettings("dask", file, 0, 4, 1000, 60.0, "mp-consumer-6c8f-x7k2p", "uid-1")
    spec = cluster_spec(options)
    assert spec["metadata"]["name"] == "dask-x7k2p"
    assert spec["metadata"]["ownerReferences"][0]["name"] == "mp-consumer-6c8f-x7k2p"
    assert spec["spec"]["scheduler"]["service"]["selector"] == {
        "dask.org/cluster-name": "dask-x7k2p",
        "dask.org/component": "scheduler",
    }
    assert spec["spec"]["worker"]["replicas"] == 0
    assert cluster_spec(options._replace(owner_name=None))["metadata"]["name"] == "dask"
    assert cluster_spec(options, 2)["metadata"]["name"] == "dask-x7k2p-2", "the first may still be ending"


class Numbers:
    """Batch numbers, and which of them were analysed."""

    def __init__(self):
        self.given, self.done = 0, []

    def next(self, _run_id, _counts):
        self.given += 1
        return self.given

    def analysed(self, numbers):
        self.done += numbers


def sleep(seconds, _number, _counts):
    time.sleep(seconds)


@pytest.mark.parametrize(("seconds", "limit", "done"), [(0, None, [1]), (0, 250, [1]), (600, 0.2, [])])
def test_a_stop_waits_for_an_analysis_only_so_long(seconds, limit, done):
    numbers = Numbers()
    background = BackgroundAnalysis(numbers, run_id="r", analyse=partial(sleep, seconds))
    background.close_batch({"new": 1})
    background.finish(limit)
    assert numbers.done == done


def test_what_closed_during_an_analysis_is_analysed_after_it_though_no_other_batch_closes():
    numbers = Numbers()
    background = BackgroundAnalysis(numbers, run_id="r", analyse=partial(sleep, 0.2))
    for count in (1, 2, 3):
        background.close_batch({"new": count})
    deadline = time.monotonic() + 250
    while numbers.done != [1, 2, 3]:
        assert time.monotonic() < deadline
        background.tend()
        time.sleep(0.02)


def test_the_library_still_waits_where_its_wait_is_replaced():
    from dask_kubernetes.operator import KubeCluster

    from movie_pipeline.adapters.kubecluster import ActedOnCluster

    assert inspect.iscoroutinefunction(KubeCluster._wait_for_controller)
    assert "_wait_for_controller" in inspect.getsource(KubeCluster._create_cluster)
    assert ActedOnCluster._wait_for_controller is not KubeCluster._wait_for_controller
