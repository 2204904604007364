"""The crawl's bookkeeping: packed lists, and the ledger of open films."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeState
from movie_pipeline.jobs import crawl as crawls
from movie_pipeline.jobs.crawl import Crawl, Ledger, Mark, pack_ids, unique, unpack_ids

STARTED = datetime(2026, 11, 23, tzinfo=UTC)


@given(st.lists(st.integers(1, 2**31 - 1)))
def test_packing_keeps_every_id_and_the_order(ids):
    assert list(unpack_ids(pack_ids(ids))) == ids


def test_the_list_of_the_whole_catalogue_is_small():
    assert len(pack_ids(range(1, 1_100_001))) < 100_000


def test_a_crawl_is_found_again_with_its_mark():
    state = FakeState()
    crawl = Crawl("all", "run-1", STARTED, unique([5, 7, 5, 9]))
    assert crawls.unfinished(state, "all") is None
    crawls.save_plan(state, crawl)
    assert crawls.unfinished(state, "all") == crawl
    crawls.save_mark(state, crawl, Mark(2, (7,)))
    assert crawls.unfinished(state, "all") == crawl._replace(position=2, open_ids=(7,))
    crawls.forget(state, crawl)
    assert crawls.unfinished(state, "all") is None


def test_a_mark_of_another_list_is_not_taken_for_this_one():
    state = FakeState()
    crawls.save_mark(state, Crawl("all", "run-0", STARTED, unique([1])), Mark(1, ()))
    crawls.save_plan(state, Crawl("all", "run-1", STARTED, unique([5, 7])))
    found = crawls.unfinished(state, "all")
    assert (found.position, found.open_ids) == (0, ())


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 20))
def test_what_is_handed_out_and_not_settled_is_open(settled, count):
    ledger = Ledger(Crawl("all", "run-1", STARTED, unique(range(1, count + 1))))
    expected = []
    for number, is_settled in enumerate(settled[:count], 1):
        assert ledger.next_id() == number
        if is_settled:
            ledger.settle(number)
        else:
            expected.append(number)
    assert ledger.mark() == Mark(min(len(settled), count), tuple(expected))


def test_open_films_come_first_and_stay_open_until_they_are_settled():
    ledger = Ledger(Crawl("all", "run-1", STARTED, unique([1, 2, 3, 4]), position=3, open_ids=(2, 3)))
    assert ledger.mark() == Mark(3, (2, 3))
    assert [ledger.next_id() for _ in range(4)] == [2, 3, 4, None]
    ledger.settle(2)
    assert ledger.mark() == Mark(4, (3, 4))
    assert not ledger.wait_below(2, timeout_seconds=0.01)
    assert ledger.wait_below(3, timeout_seconds=0.01)
