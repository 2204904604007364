"""The limiter of one process: even slots, pauses, several threads."""

import itertools
import threading

import pytest

from movie_pipeline.adapters.rate import HEADROOM, ThreadLimiter


class Clock:
    """Time that passes by sleeping only."""

    def __init__(self):
        self.seconds = 100.0

    def now(self):
        return self.seconds

    def sleep(self, seconds):
        self.seconds += seconds


@pytest.fixture
def clock():
    return Clock()


def starts(limiter, clock, count):
    found = []
    for _ in range(count):
        limiter.acquire()
        found.append(clock.seconds)
    return found


def test_slots_lie_evenly_and_just_below_the_limit(clock):
    found = starts(ThreadLimiter(40, clock=clock.now, sleep=clock.sleep), clock, 400)
    gaps = [later - earlier for earlier, later in itertools.pairwise(found)]
    assert min(gaps) == pytest.approx(max(gaps)) == pytest.approx(1 / (40 * HEADROOM))
    assert 0.97 <= 399 / (found[-1] - found[0]) / 40 < 1


def test_time_without_requests_saves_up_nothing(clock):
    limiter = ThreadLimiter(10, clock=clock.now, sleep=clock.sleep)
    limiter.acquire()
    clock.sleep(60)
    found = starts(limiter, clock, 11)
    assert found[-1] - found[0] > 1


def test_a_pause_holds_everybody(clock):
    limiter = ThreadLimiter(10, clock=clock.now, sleep=clock.sleep)
    limiter.acquire()
    limiter.pause(30)
    limiter.pause(5)
    assert starts(limiter, clock, 1) == [130.0]


def test_who_waits_for_a_slot_when_a_pause_begins_waits_for_its_end(clock):
    limiter = ThreadLimiter(1, clock=clock.now, sleep=clock.sleep)
    limiter.acquire()
    limiter._sleep = lambda seconds: (clock.sleep(seconds), setattr(limiter, "_sleep", clock.sleep), limiter.pause(9))
    limiter.acquire()
    assert clock.seconds >= 110


def test_threads_that_wake_late_do_not_start_more_than_the_limit_in_a_second(clock):
    limiter = ThreadLimiter(40, clock=clock.now, sleep=clock.sleep)
    found = starts(limiter, clock, 40)
    late = [limiter._take() for _ in range(20)]
    clock.seconds = late[-1]
    for _ in late:
        limiter._take = lambda: clock.seconds
        found.extend(starts(limiter, clock, 1))
    del limiter._take
    found.extend(starts(limiter, clock, 60))
    assert max(sum(start <= other < start + 1 for other in found) for start in found) == 40


def test_threads_share_the_slots():
    taken, lock = [], threading.Lock()
    clock = Clock()
    limiter = ThreadLimiter(1_000, clock=clock.now, sleep=lambda _seconds: None)

    def work():
        for _ in range(50):
            with limiter._lock:
                slot = limiter._take()
            with lock:
                taken.append(slot)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(taken)) == 400
    assert max(taken) - min(taken) == pytest.approx(399 / (1_000 * HEADROOM))
