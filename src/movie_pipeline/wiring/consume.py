"""The consumer: driver, workers, and the analysis of batches beside them."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from movie_pipeline import logs
from movie_pipeline import settings as settings_module
from movie_pipeline.errors import ConfigurationError
from movie_pipeline.settings import EngineKind, Settings
from movie_pipeline.wiring import parts
from movie_pipeline.wiring.ranges import RangeWorker, run_range

if TYPE_CHECKING:
    from movie_pipeline.adapters.dask import FallbackEngine
    from movie_pipeline.jobs.consumer import Consumer
    from movie_pipeline.ports import Engine

TRANSACTIONS_A_RANGE = 10
OUTAGE_SECONDS = 300.0
"""How long a bounded run waits for Kafka or PostgreSQL to come back."""


def consume(settings: Settings, *, follow: bool = False, reset: bool = False, bulk: bool = False) -> int:
    """Load the topic into the database: what it holds now, or with `follow` for as long as the process lives."""
    from movie_pipeline.adapters.schema import require_current

    if not follow:
        require_current(settings.database_dsn())
    with parts.recorded(settings, "consume", optional=follow) as record, ExitStack() as stack:
        if bulk:
            from movie_pipeline.wiring.bulk import load_empty_database

            record.counts.update(load_empty_database(settings, record.run_id))
        consumer = stack.enter_context(driver(settings, record.run_id, follow=follow))
        if reset:
            consumer.reset()
        if follow:
            stack.enter_context(_health(settings, consumer))
            with _stop_signals() as stopping:
                counts = consumer.follow(stopping.is_set)
        else:
            counts = consumer.run_until_end()
        for name, count in counts.items():
            record.counts[name] = record.counts.get(name, 0) + count
    return 0


@contextmanager
def driver(settings: Settings, run_id: str, *, follow: bool = False) -> Iterator["Consumer"]:
    """Give a consumer with its parts, and let go of them afterwards."""
    from movie_pipeline.adapters.membership import GroupMember
    from movie_pipeline.adapters.offsets import PostgresOffsets
    from movie_pipeline.adapters.progress import progress
    from movie_pipeline.adapters.schema import require_current
    from movie_pipeline.jobs.consumer import Consumer, Plan

    with ExitStack() as stack:
        reader = parts.reader(settings, group=None if follow else settings.kafka_consumer_group)
        stack.callback(reader.close)
        if follow:
            member: Any = GroupMember(
                parts.kafka_address(settings), group=settings.kafka_consumer_group, topic=settings.kafka_topic
            )
            stack.callback(member.close)
        else:
            member = _WholeTopic(reader, settings.kafka_topic)
        engine = engine_of(settings, run_id)
        stack.callback(engine.close)
        plan = Plan(
            settings.kafka_topic,
            settings.batch_size,
            settings.batch_seconds,
            settings.load_size * TRANSACTIONS_A_RANGE,
            None if follow else OUTAGE_SECONDS,
        )
        yield Consumer(
            plan,
            reader=reader,
            offsets=PostgresOffsets(settings.database_dsn()),
            engine=engine,
            batches=_batches(settings, run_id, follow=follow),
            membership=member,
            progress=None if follow else progress,
            check=partial(require_current, settings.database_dsn()),
        )


def engine_of(settings: Settings, run_id: str) -> "FallbackEngine":
    """Return the engine that the settings ask for, with what takes its place when it is not to be had."""
    from movie_pipeline.adapters import dask

    task = partial(run_range, run_id)
    local = dask.LocalSettings(settings.dask_workers, settings.environment())
    choices: dict[EngineKind, list[Callable[[], Engine]]] = {
        EngineKind.INLINE: [],
        EngineKind.LOCAL: [lambda: dask.local_engine(task, local)],
        EngineKind.ADDRESS: [lambda: dask.address_engine(task, settings.dask_scheduler_address or "")],
        EngineKind.KUBERNETES: [
            lambda: dask.KubernetesEngine(task, _kubernetes(settings)),
            lambda: dask.local_engine(task, local),
        ],
    }
    if settings.dask_engine is EngineKind.ADDRESS and not settings.dask_scheduler_address:
        raise ConfigurationError("DASK_ENGINE=address needs DASK_SCHEDULER_ADDRESS, e.g. tcp://scheduler:8786")
    worker = RangeWorker(settings, run_id)
    inline = dask.InlineEngine(worker.run, worker.close)
    return dask.FallbackEngine(choices[settings.dask_engine], inline, inline_below=settings.inline_below)


class _WholeTopic:
    """A bounded run plans all partitions."""

    def __init__(self, reader: Any, topic: str) -> None:
        self._reader, self._topic = reader, topic

    def assigned(self) -> list[int]:
        return list(self._reader.partitions(self._topic))

    def commit_advice(self, positions: Any) -> None:
        self._reader.commit_advice(self._topic, positions)


def _batches(settings: Settings, run_id: str, *, follow: bool) -> Any:
    from movie_pipeline.adapters.background import NICENESS, BackgroundAnalysis
    from movie_pipeline.adapters.offsets import PostgresBatchNumbers

    analyse = partial(_analyse_batch, {**settings.environment(), "RUN_ID": run_id}) if settings.analysis else None
    numbers = PostgresBatchNumbers(settings.database_dsn())
    return BackgroundAnalysis(numbers, run_id=run_id, analyse=analyse, niceness=NICENESS if follow else 0)


def _analyse_batch(environment: dict[str, str], number: int, counts: dict[str, int]) -> None:
    """Analyse a batch in a process of its own, with the consumer's settings."""
    import os

    from movie_pipeline.wiring.analyse import analyse_batch

    os.environ.update(environment)
    settings = settings_module.load()
    logs.configure(settings)
    analyse_batch(settings, number, counts)


def _kubernetes(settings: Settings) -> Any:
    from movie_pipeline.adapters.dask import KubernetesSettings

    if settings.dask_cluster_spec is None:
        raise ConfigurationError("DASK_ENGINE=kubernetes needs DASK_CLUSTER_SPEC, the file of a DaskCluster resource")
    return KubernetesSettings(
        settings.dask_cluster_name,
        settings.dask_cluster_spec,
        settings.dask_min_workers,
        settings.dask_max_workers,
        settings.dask_messages_per_worker,
        settings.dask_idle_seconds,
        settings.pod_name,
        settings.pod_uid,
    )


@contextmanager
def _health(settings: Settings, consumer: "Consumer") -> Iterator[None]:
    if settings.metrics_port is None:
        yield
        return
    from movie_pipeline.adapters.health import HealthServer

    with HealthServer(settings.metrics_host, settings.metrics_port, ready=lambda: consumer.ready):
        yield


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Turn SIGTERM and SIGINT into an event, so that the open range is finished first."""
    stopping = threading.Event()
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
