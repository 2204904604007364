"""The producer's rate against a rate-limiting API, and its CPU time for a film.

producer.rate_ratio             films a second / the limit, one producer; 429 answers beside it
producer.rate_ratio_3           the same with three producers that share the budget
producer.cpu_ms_per_film        user and system time, start-up left out, real films, no latency
"""

import os
import tempfile
from pathlib import Path

from benchmarks.producing import Parts, ids_file, parts, producer, served

LIMIT = 40
FILMS = 900
LATENCY_SECONDS = 0.1
FEW, MANY = 300, 2_300


def main() -> None:
    """Print one `name value unit` line for each figure."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with parts(folder) as found:
            for producers, suffix in ((1, ""), (3, "_3")):
                ratio, refused = rate_ratio(found, folder, producers)
                print(f"producer.rate_ratio{suffix} {ratio:.4f} ratio", flush=True)
                print(f"producer.refused{suffix} {refused} answers", flush=True)
            print(f"producer.cpu_ms_per_film {cpu_ms_per_film(found, folder):.3f} ms", flush=True)


def rate_ratio(found: Parts, folder: Path, producers: int) -> tuple[float, int]:
    """Return good requests a second over the limit, and how many requests were refused by 429."""
    with served(FILMS, rate_limit=LIMIT, rate_window_seconds=1.0, latency_seconds=LATENCY_SECONDS) as api:
        share = FILMS // producers
        running = []
        for number in range(producers):
            ids = ids_file(folder, f"ids{producers}-{number}", range(number * share + 1, (number + 1) * share + 1))
            settings = {"TMDB_REQUESTS_PER_SECOND": str(LIMIT), "MAX_PRODUCERS": str(producers)}
            running.append(producer(found, api, folder / f"out{producers}-{number}", "--ids", ids, **settings))
        codes = [process.wait() for process in running]
        counts = api.counts()
    if any(codes) or counts["films"]["distinct"] != FILMS:
        raise SystemExit(f"the producers ended with {codes}, films: {counts['films']}")
    rate = (counts["films"]["fetched"] - 1) / (counts["films"]["milliseconds"] / 1_000)
    return rate / LIMIT, counts["statuses"].get("429", 0)


def cpu_ms_per_film(found: Parts, folder: Path) -> float:
    """Return CPU time for each further film, by the difference of a long and a short run."""
    with served() as api:
        # The first run fills the server's cache, so that both cores are not busy with it.
        seconds = [_cpu_seconds(found, api, folder, pages) for pages in (MANY // 20, FEW // 20, MANY // 20)]
    return (seconds[2] - seconds[1]) / (MANY - FEW) * 1_000


def _cpu_seconds(found: Parts, api: object, folder: Path, pages: int) -> float:
    settings = {"TMDB_REQUESTS_PER_SECOND": "1000"}
    process = producer(found, api, folder / "cpu", "--popular", "--pages", str(pages), **settings)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the producer ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
