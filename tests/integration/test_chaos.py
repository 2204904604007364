"""The short form of `make chaos`: processes are killed at random instants, and messages are mutated."""

import random

from benchmarks.chaos import Served, chaos, items
from benchmarks.fuzz import fuzz


def test_killed_drivers_and_workers_leave_the_tables_of_a_calm_run(kafka, postgres):
    tally = chaos(Served(kafka, postgres.dsn), items(11, films=150), kills=5, chance=random.Random(11))
    assert tally.examples == []
    assert tally.sound
    assert tally.kills == 5


def test_every_mutated_message_is_loaded_or_a_dead_letter(migrated_database):
    result = fuzz(migrated_database, 2000, seed=11)
    assert result.counts.total() == 2000
    assert result.dead == result.counts["dead"]
    assert 200 < result.dead < 1800
