"""A crawl of a made-up catalogue, killed again and again: nothing may be lost, little fetched twice.

python -m benchmarks.crawl [FILMS [KILLS [SEED]]]        200000 films, 20 kills, seed 7 by default

crawl.films crawl.kills         what was asked for
crawl.lost                      films that are not in the topic at the end
crawl.lost_backups              films that are in no backup at the end
crawl.fetched_twice_share       fetches beyond the first of a film / films
crawl.peak_memory               largest resident set of any of the processes
crawl.seconds                   wall time of all processes
"""

import random
import signal
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from subprocess import Popen

import psutil

from benchmarks.producing import Parts, Served, parts, producer, served

SETTINGS = {"TMDB_REQUESTS_PER_SECOND": "1000"}


def main(films: int = 200_000, kills: int = 20, seed: int = 7) -> None:
    """Print one `name value unit` line for each figure; exit 1 when a film is lost or too much fetched twice."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with parts(folder) as found, served(films) as api:
            began = time.monotonic()
            peak = crawl(found, api, folder, films=films, kills=kills, chance=random.Random(seed))
            seconds = time.monotonic() - began
            counts = api.counts()["films"]
            lost = films - len(published(found))
            lost_backups = films - len(backed_up(folder))
    twice = (counts["fetched"] - counts["distinct"]) / films
    figures = {
        "films": (films, "films"), "kills": (kills, "kills"), "lost": (lost, "films"),
        "lost_backups": (lost_backups, "films"), "fetched_twice_share": (round(twice, 5), "ratio"),
        "peak_memory": (round(peak / 2**20, 1), "MiB"), "seconds": (round(seconds, 1), "s"),
    }  # fmt: skip
    for figure, (value, unit) in figures.items():
        print(f"crawl.{figure} {value} {unit}", flush=True)
    if lost or lost_backups or twice >= 0.01 or peak >= 300 * 2**20:
        raise SystemExit(1)


def crawl(found: Parts, api: Served, folder: Path, *, films: int, kills: int, chance: random.Random) -> int:
    """Run producers until one ends by itself, killing the first ones at random; return the peak memory in bytes."""
    peak = 0
    # Where the kills come, as shares of the films: random, and all before the end.
    marks = sorted(chance.randint(films // 1_000, films - films // 50) for _ in range(kills))
    for mark in [*marks, None]:
        process = producer(found, api, folder / "out", "--all", **SETTINGS)
        peak = max(peak, watch(process, api, mark))
        if mark is None and process.returncode:
            raise SystemExit(f"the last producer ended with {process.returncode}")
    return peak


def watch(process: Popen, api: Served, mark: int | None) -> int:
    """Wait for a process, or kill it when so many films were fetched; return its peak memory in bytes."""
    peak, seen = 0, psutil.Process(process.pid)
    while process.poll() is None:
        try:
            peak = max(peak, seen.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        if mark is not None and api.counts()["films"]["distinct"] >= mark:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.05)
    process.wait()
    return peak


def published(found: Parts) -> set[int]:
    """Return the films of the topic."""
    from movie_pipeline.adapters.kafka import KafkaAddress, KafkaReader
    from movie_pipeline.messages import OffsetRange

    with closing(KafkaReader(KafkaAddress(found.kafka))) as reader:
        ranges = [OffsetRange("tmdb_data", part, *span) for part, span in reader.bounds("tmdb_data").items()]
        return {int(record.key) for part in ranges for records, _ in reader.read(part, 2_000) for record in records}


def backed_up(folder: Path) -> set[int]:
    """Return the films of the segments."""
    from movie_pipeline.adapters.backups import FileBackups

    return {movie_id for movie_id, _ in FileBackups(folder / "out").read()}


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:4]))
