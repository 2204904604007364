"""Where offset ranges are computed: in this process, on a local cluster, a given scheduler, or a KubeCluster."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from math import ceil, inf
from pathlib import Path
from typing import Any, NamedTuple

import dask
import yaml
from distributed import Client, LocalCluster, as_completed
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from movie_pipeline import logs, metrics
from movie_pipeline.errors import RetryLaterError
from movie_pipeline.messages import OffsetRange
from movie_pipeline.ports import Engine

log = logs.get(__name__)

RangeTask = Callable[[OffsetRange], Any]
WORKER_WAIT_SECONDS = 90.0
AGAIN_SECONDS = 600.0
"""When a better engine that was not to be had is asked again: an operator may have been installed meanwhile."""
LOCAL_WORKERS_MOST = 4
CLUSTER_LOST = (KilledWorker, CommClosedError, TimeoutError, OSError)


class ClusterLostError(RetryLaterError):
    """The workers or their scheduler went away; what they were loading is planned again."""


class InlineEngine:
    """Compute ranges here, one after the other."""

    description = "this process"

    def __init__(self, task: RangeTask, let_go: Callable[[], None] = lambda: None) -> None:
        self._task, self._let_go = task, let_go

    def run(self, ranges: Sequence[OffsetRange]) -> Iterator[Any]:
        """Run the task on each range."""
        return map(self._task, ranges)

    def scale(self, _backlog: int) -> int:
        """Stay as it is."""
        return 1

    def close(self) -> None:
        """Let go of what the task holds open."""
        self._let_go()


class DaskEngine:
    """Compute ranges on a Dask cluster; the task is sent by name, the films never are."""

    def __init__(self, task: RangeTask, cluster: Any, description: str) -> None:
        self._task, self._cluster, self.description = task, cluster, description
        self._client = Client(cluster, set_as_default=False, timeout="30s")

    def run(self, ranges: Sequence[OffsetRange]) -> Iterator[Any]:
        """Run the task on each range and yield results as they come.

        A range whose worker died is computed again by Dask; ClusterLostError when the cluster itself is gone.
        """
        futures = []
        try:
            self._client.wait_for_workers(1, timeout=WORKER_WAIT_SECONDS)
            metrics.WORKERS.set(len(self._client.scheduler_info()["workers"]))
            futures = self._client.map(self._task, ranges, pure=False)
            for future in as_completed(futures, loop=self._client.loop):
                yield _result(future)
        except CLUSTER_LOST as error:
            raise ClusterLostError(f"{self.description}: {type(error).__name__}: {error}") from error
        finally:
            self._client.cancel(futures)

    def scale(self, _backlog: int) -> int:
        """Stay as it is: the size of this cluster is not ours to change."""
        return 1

    def close(self) -> None:
        """Let go of the cluster."""
        self._client.close(timeout=5)
        if not isinstance(self._cluster, str):
            self._cluster.close(timeout=10)


def _result(future: Any) -> Any:
    if future.cancelled():
        raise ClusterLostError("a range was cancelled: the scheduler lost it")
    return future.result()


class LocalSettings(NamedTuple):
    """A local cluster: worker processes, and what their environment adds."""

    workers: int
    environment: Mapping[str, str]


def local_engine(task: RangeTask, options: LocalSettings) -> DaskEngine:
    """Start worker processes on this machine, a thread each: loading holds the interpreter's lock."""
    workers = options.workers or min(LOCAL_WORKERS_MOST, os.cpu_count() or 1)
    with dask.config.set({"distributed.worker.daemon": True}):
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            env=dict(options.environment),
            silence_logs="ERROR",
            memory_limit=0,
        )
    return DaskEngine(task, cluster, f"{workers} local Dask workers")


def address_engine(task: RangeTask, address: str) -> DaskEngine:
    """Use a running scheduler; its workers need this package and their own settings in the environment."""
    try:
        return DaskEngine(task, address, f"the Dask scheduler at {address}")
    except OSError as error:
        raise ClusterLostError(
            f"no Dask scheduler answers at {address}: {error}; check DASK_SCHEDULER_ADDRESS"
        ) from error


class KubernetesSettings(NamedTuple):
    """A KubeCluster and how it follows the backlog."""

    name: str
    spec: Path
    minimum: int
    maximum: int
    messages_per_worker: int
    idle_seconds: float
    owner_name: str | None = None
    owner_uid: str | None = None


class Sizing:
    """How many workers a backlog deserves; `clock` gives seconds."""

    def __init__(self, options: KubernetesSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._options, self._clock = options, clock
        self._idle_since: float | None = None
        self.workers = options.minimum

    def fit(self, backlog: int) -> int:
        """Return the number of workers for so many waiting messages; without any, it falls after the idle time."""
        if backlog:
            self._idle_since = None
            # Never fewer while there is work: a worker that is let go would lose its range.
            wanted = max(ceil(backlog / self._options.messages_per_worker), self.workers)
        else:
            self._idle_since = self._idle_since or self._clock()
            idle = self._clock() - self._idle_since >= self._options.idle_seconds
            wanted = 0 if idle else self.workers
        self.workers = max(self._options.minimum, min(wanted, self._options.maximum))
        return self.workers


class KubernetesEngine(DaskEngine):
    """A KubeCluster that is scaled by explicit steps: Dask's own autoscaler retires workers at work."""

    _numbers = count(1)

    def __init__(self, task: RangeTask, options: KubernetesSettings) -> None:
        from movie_pipeline.adapters.kubecluster import ActedOnCluster  # noqa: PLC0415 - two seconds to import

        self._sizing = Sizing(options)
        spec = cluster_spec(options, next(self._numbers))
        try:
            cluster = ActedOnCluster(
                custom_cluster_spec=spec,
                namespace=spec["metadata"].get("namespace"),
                shutdown_on_close=True,
                create_mode="CREATE_OR_CONNECT",
                resource_timeout=60,
                quiet=True,
            )
        except Exception as error:
            raise ClusterLostError(
                f"no KubeCluster {spec['metadata']['name']}: {type(error).__name__}: {error}; is the Dask"
                " operator running, and may this service account create daskclusters?"
            ) from error
        super().__init__(task, cluster, f"KubeCluster {spec['metadata']['name']}")

    def scale(self, backlog: int) -> int:
        """Fit the workers to the backlog; without one, let them go after the idle time."""
        before, wanted = self._sizing.workers, self._sizing.fit(backlog)
        if wanted != before:
            log.info("scaling Dask workers", cluster=self.description, before=before, wanted=wanted, backlog=backlog)
            self._cluster.scale(wanted)
            metrics.WORKERS.set(wanted)
        return wanted


def cluster_spec(options: KubernetesSettings, number: int = 1) -> dict[str, Any]:
    """Return the DaskCluster resource: the given file, with our name, size and owner.

    The owner is the driver's pod, so that Kubernetes removes the cluster of a driver that died. The name ends as the
    pod's does, so that each of several drivers has its own, and with the number of a driver's later ones: the one
    before may still be ending.
    """
    spec: dict[str, Any] = yaml.safe_load(options.spec.read_text(encoding="utf-8"))
    name = options.name
    if options.owner_name:
        name += "-" + options.owner_name.rpartition("-")[2]
    if number > 1:
        name += f"-{number}"
    spec["metadata"]["name"] = name
    selector = spec["spec"]["scheduler"]["service"]["selector"]
    selector["dask.org/cluster-name"] = name
    spec["spec"]["worker"]["replicas"] = options.minimum
    if options.owner_name and options.owner_uid:
        owner = {"apiVersion": "v1", "kind": "Pod", "name": options.owner_name, "uid": options.owner_uid}
        spec["metadata"]["ownerReferences"] = [owner]
    return spec


class FallbackEngine:
    """Make the cluster when there is enough to do, replace it when it is lost, and say so.

    Backlogs below `inline_below` messages are computed here: starting workers would cost more than it brings. When
    the first choice is not to be had, the next one serves, and the first is asked again every `again_seconds`.
    """

    def __init__(
        self,
        choices: Sequence[Callable[[], Engine]],
        inline: Engine,
        *,
        inline_below: int,
        again_seconds: float = AGAIN_SECONDS,
    ) -> None:
        self._choices, self._inline, self._inline_below = choices, inline, inline_below
        self._again_seconds = again_seconds
        self._engine: Engine | None = None
        self._again_at = inf

    @property
    def description(self) -> str:
        """Say where ranges are computed now."""
        return self._engine.description if self._engine else self._inline.description

    def run(self, ranges: Sequence[OffsetRange]) -> Iterator[Any]:
        """Run the task on each range, on the cluster if the backlog is worth it."""
        if sum(item.end - item.start for item in ranges) < self._inline_below:
            yield from self._inline.run(ranges)
            return
        engine = self._started()
        try:
            yield from engine.run(ranges)
        except ClusterLostError:
            self._drop()
            raise

    def scale(self, backlog: int) -> int:
        """Fit the workers to the waiting messages; an engine that falls to none is let go, with its scheduler."""
        if backlog >= max(self._inline_below, 1):
            return self._started().scale(backlog)
        workers = self._engine.scale(0) if self._engine else 0
        if self._engine and not workers:
            log.info("cluster let go, nothing waits", engine=self._engine.description)
            self._let_go()
        return workers

    def close(self) -> None:
        """Let the workers go."""
        if self._engine:
            self._engine.close()
            self._engine = None
        self._inline.close()

    def _started(self) -> Engine:
        if self._engine is not None and time.monotonic() >= self._again_at:
            self.close()
        if self._engine is None:
            self._engine = self._first_to_be_had()
            log.info("ranges are computed by", engine=self._engine.description)
        return self._engine

    def _first_to_be_had(self) -> Engine:
        self._again_at = inf
        for choice in self._choices:
            try:
                return choice()
            except (ClusterLostError, OSError) as error:
                log.warning("engine not to be had, taking the next", reason=str(error), again=self._again_seconds)
                self._again_at = time.monotonic() + self._again_seconds
        return self._inline

    def _drop(self) -> None:
        log.warning("cluster lost, another is made", engine=self.description)
        self._let_go()

    def _let_go(self) -> None:
        try:
            self.close()
        except Exception as error:  # noqa: BLE001 - its owner or its operator removes it; the next one matters
            log.info("closing the cluster failed", reason=str(error))
            self._engine = None
