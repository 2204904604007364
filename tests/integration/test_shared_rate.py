"""One request budget for several producers: exact through PostgreSQL, a share without it."""

import itertools
import threading
import time
from contextlib import ExitStack, closing

import psycopg2
import pytest

from movie_pipeline.adapters.rate import DATABASE_RETRY_SECONDS, HEADROOM, SharedLimiter

RATE = 200.0


def slots(limiter, count):
    """The slots that a producer gets, not waited for."""
    with limiter._lock:
        return [limiter._take() for _ in range(count)]


@pytest.fixture
def limiter(migrated_database):
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(
            closing(SharedLimiter(options.pop("dsn", migrated_database), RATE, max_producers=3, **options))
        )


def test_no_slot_is_given_twice_and_none_lies_too_close_to_another(limiter):
    producers = [limiter() for _ in range(3)]
    taken = [[] for _ in producers]
    threads = [
        threading.Thread(target=lambda number=number: taken[number].extend(slots(producers[number], 120)))
        for number in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    every = sorted(itertools.chain(*taken))
    interval = 1 / (RATE * HEADROOM)
    # A producer takes the database's answer for its own now; what that costs is the time of one statement.
    assert every[-1] - every[0] >= 359 * interval - 0.1
    in_a_second = max(sum(start <= other < start + 1 for other in every) for start in every)
    assert in_a_second <= RATE


def test_a_producer_alone_gets_the_whole_budget(limiter):
    found = slots(limiter(), 200)
    assert 199 / (found[-1] - found[0]) == pytest.approx(RATE * HEADROOM, rel=0.1)


def test_a_pause_holds_the_others_too(limiter):
    first, second = limiter(), limiter()
    slots(first, 1)
    first.pause(5)
    assert slots(second, 1)[0] - time.monotonic() > 4
    assert slots(first, 1)[0] - time.monotonic() > 4


def test_time_that_nobody_used_is_not_saved_up(limiter, migrated_database):
    producer = limiter()
    slots(producer, 3)
    time.sleep(0.5)
    found = slots(producer, 40)
    assert found[-1] - found[0] >= 39 / (RATE * HEADROOM) * 0.9


def test_budgets_have_names(limiter, migrated_database):
    slots(limiter(), 1)
    slots(limiter(name="other"), 1)
    with closing(psycopg2.connect(migrated_database)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT name FROM rate_budget ORDER BY name")
        assert cursor.fetchall() == [("other",), ("tmdb",)]


@pytest.mark.parametrize("place", ["no server", "no schema"])
def test_without_the_database_a_producer_takes_its_share(limiter, database, place):
    dsn = {"no server": "postgresql://movies@127.0.0.1:9/movies", "no schema": database}[place]
    found = slots(limiter(dsn=dsn), 31)
    assert 30 / (found[-1] - found[0]) == pytest.approx(RATE / 3 * HEADROOM, rel=0.01)


def test_the_shared_budget_is_taken_up_again_when_the_database_is_back(limiter, migrated_database):
    producer = limiter(dsn="postgresql://movies@127.0.0.1:9/movies")
    slots(producer, 1)
    producer._dsn = migrated_database
    plain = producer._clock
    producer._clock = lambda: plain() + DATABASE_RETRY_SECONDS
    assert len(slots(producer, 5)) == 5
    with closing(psycopg2.connect(migrated_database)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM rate_budget")
        assert cursor.fetchone() == (1,)
