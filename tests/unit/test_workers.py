"""Work in threads: bounded, ordered where asked, errors raised where they are seen."""

import threading

import pytest

from movie_pipeline.jobs.workers import WAITING_RESULTS, in_parallel, results


def test_results_come_in_the_order_of_the_items():
    assert list(in_parallel(4, range(100), lambda number: number * 2)) == [number * 2 for number in range(100)]


def test_every_item_is_worked_on_once():
    items = iter(range(1, 201))
    lock = threading.Lock()

    def take():
        with lock:
            return next(items, None)

    assert sorted(results(8, take, lambda item: item)) == list(range(1, 201))


def test_an_error_is_raised_where_the_results_are_read():
    def work(number):
        if number == 7:
            raise ValueError("seven")
        return number

    with pytest.raises(ValueError, match="seven"):
        list(in_parallel(4, range(100), work))


def test_a_slow_reader_holds_the_threads_back_and_closing_stops_them():
    taken = []
    read = results(2, lambda: taken.append(1) or len(taken), lambda item: item)
    next(read)
    read.close()
    assert len(taken) <= 2 * WAITING_RESULTS + 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("worker-")]
