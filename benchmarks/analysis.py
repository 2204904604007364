"""Time the analysis of a batch: aggregates, model, charts and report of a database of so many films.

    python -m benchmarks.analysis [--films 1000000] [--dsn postgresql://…]

Without --films the packaged sample is loaded; with it the database is filled by SQL with made-up films that have the
shape of real ones (2.5 genres, 1.25 directors, 3 companies, 5 cast members). Prints `name value unit` lines: wall and
CPU seconds, the peak memory of the two analysing processes and of the database's processes at work for it.
"""

# ruff: noqa: E501 - lines of SQL

import argparse
import multiprocessing
import resource
import tempfile
import threading
import time
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

import psutil
import psycopg2

FILL = """
SET session_replication_role = replica;
SET synchronous_commit = off;
SELECT setseed(0.5);
INSERT INTO genres (id, name, named_at) SELECT n, 'Genre ' || n, now() FROM generate_series(1, 19) n;
INSERT INTO production_companies (id, name, named_at) SELECT n, 'Company ' || n, now() FROM generate_series(1, 60000) n;
INSERT INTO people (id, name, named_at) SELECT n, 'Person ' || n % 480000, now() FROM generate_series(1, 500000) n;
INSERT INTO movies (id, title, original_language, release_date, runtime, budget, revenue, popularity, vote_average,
                    vote_count, fetched_at, message_offset)
SELECT n, 'Film ' || n, (ARRAY['en', 'es', 'fr', 'ja'])[1 + n % 4], date '1930-01-01' + (random() * 35000)::int,
       80 + (random() * 60)::int, CASE WHEN random() < 0.2 THEN (random() * 1e8)::bigint + 1 END,
       CASE WHEN random() < 0.15 THEN (random() * 3e8)::bigint + 1 END, exp(random() * 6 - 2),
       CASE WHEN random() < 0.6 THEN round((3 + random() * 6)::numeric, 1)::float8 END, (exp(random() * 8))::int, now(), n
FROM generate_series(1, %(films)s) n;
INSERT INTO movie_genres SELECT n, 1 + (n * 7 + k * 5) % 19, k FROM generate_series(1, %(films)s) n,
    LATERAL generate_series(0, n % 4) k WHERE n % 25 > 0;
INSERT INTO movie_directors SELECT n, 1 + (n * 31 + k * 977) % 90000, k FROM generate_series(1, %(films)s) n,
    LATERAL generate_series(0, CASE WHEN n % 4 = 0 THEN 1 ELSE 0 END) k WHERE n % 40 > 0;
INSERT INTO movie_production_companies SELECT n, 1 + (n * 13 + k * 4001) % 60000, k FROM generate_series(1, %(films)s) n,
    LATERAL generate_series(0, 2) k WHERE n % 10 > 0;
INSERT INTO movie_cast SELECT n, 1 + (n::bigint * 37 + k * 70001) % 500000, k FROM generate_series(1, %(films)s) n,
    LATERAL generate_series(0, 4) k WHERE n % 20 > 0;
INSERT INTO movie_history (movie_id, popularity, vote_average, vote_count, revenue, data_date)
SELECT id, popularity * (1 + k * 0.01 * (id % 3)), vote_average, vote_count, revenue, timestamp '2026-11-01' + k * interval '1 day'
FROM movies, generate_series(0, 1) k;
INSERT INTO movie_data_warehouse (tmdb_id, title, release_date, release_year, genre, budget, revenue, runtime, director,
    popularity, vote_average, vote_count, roi, popularity_level, rating_level, is_profitable)
SELECT m.id, title, release_date::text, extract(year FROM release_date)::int, g.name, budget, revenue, runtime, p.name,
    popularity, vote_average, vote_count, (revenue - budget)::float8 / budget,
    CASE WHEN popularity > 20 THEN 'Alta' WHEN popularity > 10 THEN 'Media' WHEN popularity > 5 THEN 'Baja' ELSE 'Muy Baja' END,
    CASE WHEN vote_average >= 8 THEN 'Excelente' WHEN vote_average >= 6 THEN 'Buena' WHEN vote_average >= 4 THEN 'Regular'
         WHEN vote_average IS NOT NULL THEN 'Mala' END, revenue > budget
FROM movies m LEFT JOIN movie_genres mg ON mg.movie_id = m.id LEFT JOIN genres g ON g.id = mg.genre_id
LEFT JOIN movie_directors md ON md.movie_id = m.id LEFT JOIN people p ON p.id = md.person_id;
"""


def fill(dsn: str, films: int) -> None:
    with closing(psycopg2.connect(dsn)) as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute(FILL.replace("%(films)s", str(films)))
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


def load_sample(dsn: str) -> None:
    from benchmarks import films
    from benchmarks.load import ordinary

    ordinary(dsn, films.sample())


def analyse(dsn: str, folder: str, results: "multiprocessing.Queue[dict[str, float]]") -> None:
    """Run in a process of its own, as the consumer does, so that memory and imports are its own."""
    began = time.monotonic()
    from movie_pipeline.adapters.background import beside
    from movie_pipeline.wiring.analyse import LEARNING

    with beside(LEARNING) as other:
        from movie_pipeline.adapters.aggregates import PostgresCatalogue
        from movie_pipeline.adapters.artifacts import RunStore
        from movie_pipeline.jobs.analysis import Analyst, versions
        from movie_pipeline.report.page import RunFacts
        from movie_pipeline.settings import Language
        from movie_pipeline.texts import Texts

        at = datetime.now(UTC)
        facts = RunFacts("bench", "consume", "bench", degraded=False, at=at, seconds={}, versions=versions(), batch=1)
        analyst = Analyst(RunStore(Path(folder)), Texts(Language.SPANISH), 0, lambda: datetime.now(UTC), other)
        with PostgresCatalogue(dsn) as catalogue:
            outcome = analyst.analyse_batch(catalogue, facts)
    own, other = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    results.put(
        {
            "films count": outcome.counts["films"],
            "trained_on films": outcome.counts["rows"],
            "wall s": time.monotonic() - began,
            "cpu s": sum(usage.ru_utime + usage.ru_stime for usage in (own, other)),
            "peak_memory_drawing MiB": own.ru_maxrss / 1024,
            "peak_memory_training MiB": other.ru_maxrss / 1024,
        }
    )


class DatabaseMemory(threading.Thread):
    """Watches the private memory of the database's processes that work for the analysis."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_mib = 0.0
        self.stopping = threading.Event()

    def run(self) -> None:
        while not self.stopping.wait(0.5):
            total = 0.0
            for process in psutil.process_iter(["name", "cmdline"]):
                command = " ".join(process.info["cmdline"] or ())
                if process.info["name"] == "postgres" and ("bench" in command or "parallel worker" in command):
                    try:
                        info = process.memory_full_info()
                        total += info.uss / 2**20
                    except psutil.Error:
                        continue
            self.peak_mib = max(self.peak_mib, total)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int)
    parser.add_argument("--dsn", help="a database named bench… to fill and analyse; default: an embedded server")
    options = parser.parse_args()
    from movie_pipeline.adapters.schema import migrate

    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        Path(folder).chmod(0o755)
        dsn = options.dsn or embedded(stack, Path(folder))
        migrate(dsn)
        began = time.monotonic()
        fill(dsn, options.films) if options.films else load_sample(dsn)
        print(f"filling {time.monotonic() - began:.1f} s", flush=True)
        context = multiprocessing.get_context("spawn")
        results = context.Queue()
        memory = DatabaseMemory()
        memory.start()
        process = context.Process(target=analyse, args=(dsn, folder, results))
        process.start()
        process.join()
        memory.stopping.set()
        for name, value in results.get(timeout=10).items():
            label, unit = name.split()
            print(f"analysis_{label} {value:.1f} {unit}")
        print(f"database_private_memory {memory.peak_mib:.1f} MiB")


def embedded(stack: ExitStack, folder: Path) -> str:
    from movie_pipeline.embedded import EmbeddedPostgres

    server = stack.enter_context(EmbeddedPostgres(folder / "postgres"))
    with closing(psycopg2.connect(server.dsn)) as connection:
        connection.autocommit = True
        connection.cursor().execute("CREATE DATABASE bench")
    return f"{server.dsn.rpartition('/')[0]}/bench"


if __name__ == "__main__":
    main()
