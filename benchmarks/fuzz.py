"""Real messages, mutated: each is loaded or becomes a dead letter, and nothing else happens.

python -m benchmarks.fuzz [MESSAGES [SEED]]        100000 messages, seed 7 by default

fuzz.messages                     what went in
fuzz.loaded fuzz.dead             what became of them; together they are all
fuzz.unaccounted                  messages that neither load nor dead letter tells of
fuzz.memory_growth                resident memory at the end less that after the first fifth
fuzz.seconds                      wall time
"""

import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from benchmarks.chaos import sample_messages
from movie_pipeline.adapters.loader import Loader
from movie_pipeline.adapters.offsets import PostgresOffsets
from movie_pipeline.adapters.schema import migrate
from movie_pipeline.embedded import EmbeddedPostgres
from movie_pipeline.messages import OffsetRange, Record, encode, key_of
from movie_pipeline.transform.batch import DeadLetter, prepare

TOPIC = "fuzz"
NOW_MS = 1_780_000_000_000
BATCH = 1000
GROWTH_MOST_MIB = 200
HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 1.5, -0.0, 2**31, 2**63, 2**64, -(2**63), 10**30, 1e308, 5e-324, "", " ", "0", "-1",
    "8.4", "1e5", "1e999", "9" * 5000, "NaN", "a lot", "\0", "a\0b", "\\.", "\\N", '"', "\r\n", "\ufeff", "𝔘" * 500,
    "2001-02-30", "0000-00-00", "9999-12-31", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-01:00",
    [], [None], [1], [-1], [2**31], [""], ["x", "x"], ["x"] * 300, [[]], {}, {"id": 1}, [{"id": 1, "name": "x"}],
)  # fmt: skip


class Result(NamedTuple):
    """What became of the messages."""

    counts: Counter[str]
    dead: int
    growth_mib: float


def main(messages: int = 100_000, seed: int = 7) -> int:
    """Print one `name value unit` line for each figure; 1 when a message is unaccounted for or memory grew."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        with EmbeddedPostgres(Path(name) / "postgres") as server:
            migrate(server.dsn)
            result = fuzz(server.dsn, messages, seed)
    unaccounted = messages - result.counts.total()
    print(f"fuzz.messages {messages} messages")
    print(f"fuzz.loaded {result.counts.total() - result.counts['dead']} messages")
    print(f"fuzz.dead {result.dead} messages")
    print(f"fuzz.unaccounted {unaccounted} messages")
    print(f"fuzz.memory_growth {result.growth_mib:.0f} MiB")
    print(f"fuzz.seconds {time.monotonic() - began:.0f} s")
    return int(unaccounted != 0 or result.dead != result.counts["dead"] or result.growth_mib > GROWTH_MOST_MIB)


def fuzz(dsn: str, messages: int, seed: int) -> Result:
    """Load so many mutated messages, a transaction for each thousand."""
    dead: list[tuple[int, int]] = []

    def keep(letters: Sequence[DeadLetter]) -> None:
        dead.extend((letter.record.partition, letter.record.offset) for letter in letters)

    loader = Loader(dsn, run_id="fuzz", send_dead_letters=keep)
    PostgresOffsets(dsn).begin(TOPIC, 0, 0, None)
    counts: Counter[str] = Counter()
    resident, first = psutil.Process().memory_info, 0
    mutants = mutated(seed)
    for start in range(0, messages, BATCH):
        records = [next(mutants)._replace(offset=offset) for offset in range(start, min(start + BATCH, messages))]
        offsets = OffsetRange(TOPIC, 0, start, start + len(records))
        counts += loader.load(loader.stage(prepare(offsets, records))).counts
        if start < messages // 5:
            first = resident().rss
    growth = (resident().rss - first) / 2**20
    loader.close()
    return Result(counts, len(set(dead)), growth)


def mutated(seed: int) -> Iterator[Record]:
    """Yield records without end: the sample's, each changed in one to three places."""
    chance = random.Random(seed)
    originals = sample_messages()
    while True:
        message = dict(chance.choice(originals))
        record = Record(TOPIC, 0, 0, NOW_MS, key_of(message["id"]), b"")
        for _ in range(chance.randint(0, 2)):
            chance.choice((_hostile_value, _hostile_value, _gone_field, _cut_list, _hostile_item))(chance, message)
        value: bytes | None = _encoded(message)
        assert value is not None
        if chance.random() < 0.3:
            value = chance.choice(BYTES)(chance, value)
        if chance.random() < 0.02:
            value = None
        if chance.random() < 0.03:
            record = record._replace(key=chance.choice((None, b"", b"0", b"x", b"9" * 5000, b"\xff", b"12 ")))
        if chance.random() < 0.03:
            record = record._replace(timestamp_ms=chance.choice((-1, 0, 2**62)))
        yield record._replace(value=value)


def _encoded(message: dict[str, Any]) -> bytes:
    try:
        return encode(message)
    except TypeError:
        return json.dumps(message, ensure_ascii=False).encode()


def _hostile_value(chance: random.Random, message: dict[str, Any]) -> None:
    message[chance.choice(sorted(message) or ["id"])] = chance.choice(HOSTILE)


def _gone_field(chance: random.Random, message: dict[str, Any]) -> None:
    if message:
        del message[chance.choice(sorted(message))]


def _cut_list(chance: random.Random, message: dict[str, Any]) -> None:
    lists = [name for name in sorted(message) if isinstance(message[name], list) and message[name]]
    if lists:
        name = chance.choice(lists)
        message[name] = message[name][: chance.randrange(len(message[name]))]


def _hostile_item(chance: random.Random, message: dict[str, Any]) -> None:
    lists = [name for name in sorted(message) if isinstance(message[name], list) and message[name]]
    if lists:
        name = chance.choice(lists)
        message[name] = [*message[name]]
        message[name][chance.randrange(len(message[name]))] = chance.choice(HOSTILE)


def _flip(chance: random.Random, value: bytes) -> bytes:
    place = chance.randrange(len(value))
    return value[:place] + bytes([value[place] ^ (1 << chance.randrange(8))]) + value[place + 1 :]


def _cut(chance: random.Random, value: bytes) -> bytes:
    return value[: chance.randrange(len(value))]


def _insert(chance: random.Random, value: bytes) -> bytes:
    place = chance.randrange(len(value))
    return value[:place] + chance.randbytes(chance.randint(1, 4)) + value[place:]


def _token(chance: random.Random, value: bytes) -> bytes:
    """Put what Python writes and JSON does not know in the place of a number."""
    tokens = (b": NaN", b": Infinity", b": -Infinity", b": 1e400", b':"\\ud800"', b':"\\u0000"')
    head, _, tail = value.partition(b":0")
    return head + chance.choice(tokens) + tail


def _doubled(chance: random.Random, value: bytes) -> bytes:
    place, length = chance.randrange(len(value)), chance.randint(1, 60)
    return value[:place] + value[place : place + length] + value[place:]


BYTES: tuple[Callable[[random.Random, bytes], bytes], ...] = (_flip, _flip, _cut, _insert, _token, _doubled)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
