"""A load of the sample, killed again and again: its tables must be those of a calm run.

python -m benchmarks.chaos [KILLS [SEED]]        200 kills, seed 7 by default

SIGKILL hits the driver or one of its Dask workers at a random instant, while duplicates, older and newer versions,
deletions and bad records are mixed into the films. When the topic is through, tables are compared and a new load
begins. Most instants lie just after some transaction, some anywhere from the start of the process on.

chaos.kills chaos.driver_kills    how many processes were killed, how many of them were drivers
chaos.loads                       loads that were brought to their end and compared, row for row
chaos.records                     records of each load, with bad ones
chaos.differences                 rows that a calm run does not have, or has and they are missing
chaos.lost                        bad records without a dead letter
chaos.offsets_back                times that an offset was seen to go back
chaos.dead_letters_twice          dead letters that came again, as their acknowledgement was lost with the process
chaos.seconds                     wall time
"""

import gzip
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from subprocess import Popen
from typing import Any, NamedTuple

import psutil
import psycopg2
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from benchmarks.tables import content, query
from movie_pipeline import messages
from movie_pipeline.adapters.kafka import COMPACTED, DELETED, KafkaAddress, KafkaTopics
from movie_pipeline.adapters.schema import migrate
from movie_pipeline.embedded import EmbeddedKafka, EmbeddedPostgres

TOPIC, DEAD = "chaos", "chaos.dlq"
PARTITIONS = 6
WATCH_SECONDS = 0.05
SETTINGS = {
    "DASK_ENGINE": "local",
    "DASK_WORKERS": "2",
    "INLINE_BELOW": "0",
    "LOAD_SIZE": "20",
    "ANALYSIS": "false",
    "KAFKA_TIMEOUT_SECONDS": "10",
    "LOG_LEVEL": "ERROR",
}
ANYWHERE_SHARE, ANYWHERE_SECONDS = 0.2, 8.0
AFTER_PROGRESS_SECONDS = 0.6
DRIVER_SHARE = 0.5
Item = tuple[bytes | None, bytes | None]


class Served(NamedTuple):
    """The two servers of a run."""

    bootstrap_servers: str
    dsn: str


@dataclass
class Tally:
    """What came of it."""

    kills: int = 0
    driver_kills: int = 0
    loads: int = 0
    records: int = 0
    differences: int = 0
    lost: int = 0
    offsets_back: int = 0
    dead_letters_twice: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Tell whether every promise was kept."""
        return self.loads > 0 and self.differences == self.lost == self.offsets_back == 0


def main(kills: int = 200, seed: int = 7) -> int:
    """Print one `name value unit` line for each figure; 1 when a promise was broken."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name, servers(Path(name)) as served:
        tally = chaos(served, items(seed), kills=kills, chance=random.Random(seed))
    for figure in ("kills", "driver_kills", "loads", "records", "differences", "lost", "offsets_back"):
        print(f"chaos.{figure} {getattr(tally, figure)} times")
    print(f"chaos.dead_letters_twice {tally.dead_letters_twice} times")
    print(f"chaos.seconds {time.monotonic() - began:.0f} s")
    for example in tally.examples[:5]:
        print(f"# {example}")
    return int(not tally.sound)


def items(seed: int, films: int | None = None) -> list[Item]:
    """Return (key, value) of the sample's films with duplicates, versions, deletions and bad records, shuffled."""
    chance = random.Random(seed)
    found: list[tuple[float, Item]] = []
    for message in sample_messages()[:films]:
        place, key = chance.random(), messages.key_of(message["id"])
        found.append((place, (key, messages.encode(message))))
        for share, version in (
            (0.2, message),
            (0.2, {**message, "title": "Older", "popularity": 1.5, "fetched_at": "2016-01-01T00:00:00Z"}),
            (0.2, {**message, "budget": 1 + message["id"], "popularity": 9.5, "fetched_at": "2018-01-01T00:00:00Z"}),
            (0.1, {**message, "cast": message["cast"][::-1], "cast_ids": message["cast_ids"][::-1]}),
            (0.02, None),
            (0.02, {**message, "budget": "a lot"}),
        ):
            if chance.random() < share:
                found.append((chance.random(), (key, None if version is None else messages.encode(version))))
    found += [(chance.random(), (str(10**9 + number).encode(), b"no JSON %d" % number)) for number in range(40)]
    return [item for _, item in sorted(found, key=lambda pair: pair[0])]


def sample_messages() -> list[dict[str, Any]]:
    """Return the sample as the producer would publish it."""
    packed = resources.files("movie_pipeline.sample_api") / "data" / "movies.jsonl.gz"
    films = map(json.loads, gzip.decompress(packed.read_bytes()).splitlines())
    return [messages.build(film, fetched_at=messages.SAMPLE_FETCHED_AT) for film in films]


def chaos(served: Served, sent: Sequence[Item], *, kills: int, chance: random.Random) -> Tally:
    """Load a topic again and again under fire until so many processes were killed and the last load is through."""
    fill(served.bootstrap_servers, sent)
    tally = Tally(records=len(sent))
    calm = _database(served, "calm")
    bad = _run_calmly(served, calm)
    expected = content(calm)
    while tally.kills < kills:
        dsn = _database(served, f"chaos_{tally.loads}")
        with _watched(dsn, tally):
            _load_under_fire(served, dsn, tally, kills, chance)
        _compare(expected, content(dsn), tally)
        tally.loads += 1
    letters = _dead_letters(served.bootstrap_servers)
    tally.lost += len(bad - set(letters))
    tally.dead_letters_twice = len(letters) - (tally.loads + 1) * len(bad)
    return tally


def fill(bootstrap_servers: str, sent: Sequence[Item]) -> None:
    """Create the topics and publish everything."""
    KafkaTopics(KafkaAddress(bootstrap_servers)).ensure(
        {TOPIC: COMPACTED, DEAD: DELETED}, partitions=PARTITIONS, replication_factor=1
    )
    with closing(KafkaProducer(bootstrap_servers=bootstrap_servers, acks="all", linger_ms=20)) as producer:
        for key, value in sent:
            producer.send(TOPIC, key=key, value=value)
        producer.flush()


@contextmanager
def servers(folder: Path) -> Iterator[Served]:
    """Start both servers and stop them."""
    folder.chmod(0o755)
    with EmbeddedPostgres(folder / "postgres") as postgres, EmbeddedKafka(folder / "kafka") as kafka:
        yield Served(kafka.bootstrap_servers, postgres.dsn)


def _database(served: Served, name: str) -> str:
    with closing(psycopg2.connect(served.dsn)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(f"CREATE DATABASE {name}")
    dsn = f"{served.dsn.rpartition('/')[0]}/{name}"
    migrate(dsn)
    return dsn


def _consumer(served: Served, dsn: str, **settings: str) -> Popen[bytes]:
    addresses = {"KAFKA_BOOTSTRAP_SERVERS": served.bootstrap_servers, "DATABASE_URL": dsn, "RUN_ID": "chaos"}
    environment = {**os.environ, **SETTINGS, **addresses, "KAFKA_TOPIC": TOPIC, "KAFKA_DLQ_TOPIC": DEAD, **settings}
    with _log(dsn).open("wb") as log:
        return Popen([sys.executable, "-m", "movie_pipeline.cli", "consume"], env=environment, stderr=log)


def _log(dsn: str) -> Path:
    """Return where the consumers of a database write what they have to say, one after the other."""
    return Path(tempfile.gettempdir()) / f"movie-pipeline-{os.getpid()}-{dsn.rpartition('/')[2]}.log"


def _run_calmly(served: Served, dsn: str) -> set[tuple[int, int]]:
    """Load without any disturbance; return the records that became dead letters."""
    if _consumer(served, dsn, DASK_ENGINE="inline", LOAD_SIZE="1000").wait():
        raise RuntimeError(f"the calm run failed: {_log(dsn).read_text(encoding='utf-8')[-4000:]}")
    _log(dsn).unlink()
    return set(_dead_letters(served.bootstrap_servers))


def _load_under_fire(served: Served, dsn: str, tally: Tally, kills: int, chance: random.Random) -> None:
    """Start consumers until one reaches the end; after the last kill nobody is disturbed any more."""
    orphans: list[psutil.Process] = []
    while True:
        driver = _consumer(served, dsn)
        while tally.kills < kills and not _ended_before(driver, dsn, chance):
            tally.kills += 1
            workers = _below(driver)
            if workers and chance.random() >= DRIVER_SHARE:
                _kill(chance.choice(workers))
                continue
            tally.driver_kills += 1
            driver.kill()
            orphans += workers
            break
        code = driver.wait()
        if code == 0:
            break
        if code > 0 and tally.kills >= kills:
            said = _log(dsn).read_text(encoding="utf-8")[-4000:]
            raise RuntimeError(f"nobody disturbed the consumer, and it ended with {code}; it said: {said}")
    for orphan in orphans:
        _kill(orphan)
    _log(dsn).unlink()


def _ended_before(driver: Popen[bytes], dsn: str, chance: random.Random) -> bool:
    """Wait for the instant of the next kill; tell whether the driver ended before it."""
    if chance.random() < ANYWHERE_SHARE:
        return _ended(driver, chance.uniform(0, ANYWHERE_SECONDS))
    before = _progress(dsn)
    while driver.poll() is None and _progress(dsn) == before:
        time.sleep(WATCH_SECONDS)
    return _ended(driver, chance.uniform(0, AFTER_PROGRESS_SECONDS))


def _ended(driver: Popen[bytes], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and driver.poll() is None:
        time.sleep(0.01)
    return driver.poll() is not None


def _progress(dsn: str) -> Any:
    return query(dsn, "SELECT sum(next_offset) FROM ingest_offsets")


def _below(driver: Popen[bytes]) -> list[psutil.Process]:
    try:
        return psutil.Process(driver.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _kill(process: psutil.Process) -> None:
    try:
        process.send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        return


@contextmanager
def _watched(dsn: str, tally: Tally) -> Iterator[None]:
    """Look at the offsets all the time: they only ever go forward."""
    done = threading.Event()

    def watch() -> None:
        seen: dict[int, int] = {}
        while not done.wait(WATCH_SECONDS):
            found = dict(query(dsn, "SELECT partition, next_offset FROM ingest_offsets"))
            tally.offsets_back += sum(found.get(part, -1) < offset for part, offset in seen.items())
            seen = found

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _compare(expected: dict[str, Any], found: dict[str, Any], tally: Tally) -> None:
    for table, rows in expected.items():
        for what, rest in (("missing", rows - found[table]), ("too many", found[table] - rows)):
            tally.differences += rest.total()
            tally.examples += [f"{table}, {what}: {row}" for row in list(rest)[:3]]


def _dead_letters(bootstrap_servers: str) -> list[tuple[int, int]]:
    """Return the origin (partition, offset) of every dead letter."""
    with closing(KafkaConsumer(bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest")) as consumer:
        parts = [TopicPartition(DEAD, number) for number in consumer.partitions_for_topic(DEAD) or ()]
        consumer.assign(parts)
        ends = consumer.end_offsets(parts)
        found: list[tuple[int, int]] = []
        position: Callable[[TopicPartition], int] = consumer.position
        while any(position(part) < ends[part] for part in parts):
            for records in consumer.poll(500).values():
                headers = [dict(record.headers) for record in records]
                found += [(int(item["dlq.partition"]), int(item["dlq.offset"])) for item in headers]
    return found


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
