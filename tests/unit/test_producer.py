"""The producer on fakes: what is fetched, published, owed and remembered."""

from datetime import UTC, date, datetime, timedelta

import orjson
import pytest

from fakes import FakeBackups, FakeBroker, FakeProgress, FakeSource, FakeState, film
from movie_pipeline.errors import ConfigurationError, InvalidKeyError, OutputError, SourceUnavailableError
from movie_pipeline.jobs.delivery import CHECKPOINT_FILMS, FAILURES_IN_A_ROW
from movie_pipeline.jobs.producer import Mode, ProducePlan, produce, read_ids
from movie_pipeline.jobs.workers import WAITING_RESULTS
from movie_pipeline.ports import Retry

NOW = datetime(2026, 11, 23, 8, 0, 0, tzinfo=UTC)
TOPIC = "films"
ACKNOWLEDGED_TOGETHER = 25


class World:
    """A source, a broker, backups and state, and runs over them."""

    def __init__(self, ids=range(1, 51), **source):
        self.source = FakeSource(list(ids), **source)
        self.broker, self.backups, self.state = FakeBroker(), FakeBackups(), FakeState()
        self.now = NOW
        self.publisher = None
        self.prepare = lambda publisher: publisher

    def run(self, plan=None, **options):
        return produce(
            plan or ProducePlan(),
            source=self.source,
            connect=self.connect,
            topic=TOPIC,
            backups=self.backups,
            state=self.state,
            progress_for=FakeProgress,
            run_id="run-1",
            threads=options.pop("threads", 4),
            now=lambda: self.now,
            **options,
        )

    def connect(self):
        self.publisher = self.prepare(self.broker.publisher(TOPIC))
        return self.publisher

    def published(self):
        return {int(key): value for key, value in self.broker.values(TOPIC).items()}


def test_every_film_of_the_popular_pages_is_published_backed_up_and_counted():
    world = World()
    summary = world.run()
    assert set(world.published()) == set(range(1, 51)) == {movie_id for movie_id, _ in world.backups.saved}
    assert (summary.listed, summary.fetched, summary.published, summary.degraded) == (50, 50, 50, False)
    record = world.broker.topics[TOPIC][0]
    assert dict(record.headers) == {"source": b"tmdb", "run_id": b"run-1", "schema_version": b"1"}
    assert orjson.loads(record.value)["fetched_at"] == "2026-11-23T08:00:00Z"
    assert world.state.saved == {}, "a finished crawl is forgotten"


def test_films_of_the_sample_carry_the_snapshots_date_and_source():
    world = World(origin="sample")
    world.run(ProducePlan(pages=1))
    record = world.broker.topics[TOPIC][0]
    assert orjson.loads(record.value)["fetched_at"] == "2017-09-01T00:00:00Z"
    assert dict(record.headers)["source"] == b"sample"


def test_a_film_on_two_pages_is_fetched_once():
    world = World()
    world.source.pages[1][:3] = world.source.pages[0][-3:]
    world.run()
    assert set(world.source.fetched.values()) == {1}


def test_pages_limits_the_popular_list():
    world = World()
    assert world.run(ProducePlan(pages=2)).listed == 40


def test_ids_are_fetched_as_given_each_once():
    world = World()
    summary = world.run(ProducePlan(Mode.IDS, ids=(3, 5, 3)))
    assert (summary.listed, set(world.published())) == (2, {3, 5})


def test_the_whole_catalogue_comes_from_the_export():
    assert World().run(ProducePlan(Mode.ALL)).published == 50


def test_changes_go_on_from_the_day_of_the_last_finished_run():
    world = World()
    world.source.changed = {date(2026, 11, 22): [1, 2], date(2026, 11, 23): [2, 3]}
    assert world.run(ProducePlan(Mode.CHANGES)).published == 3
    world.now = NOW + timedelta(days=3)
    world.run(ProducePlan(Mode.CHANGES))
    world.run(ProducePlan(Mode.CHANGES, since=date(2026, 11, 1)))
    assert world.source.asked_since == [date(2026, 11, 22), date(2026, 11, 23), date(2026, 11, 1)]


@pytest.mark.parametrize(("mode", "origin", "expected"), [
    (Mode.REFRESH, "tmdb", {7, 8}), (Mode.CHANGES, "tmdb", {7, 8}), (Mode.POPULAR, "tmdb", set(range(1, 51))),
    (Mode.REFRESH, "sample", set()),
])  # fmt: skip
def test_old_films_are_fetched_again_oldest_first_within_the_budget(mode, origin, expected):
    world = World(origin=origin)
    world.state.stale = [8, 7, 6]
    world.run(ProducePlan(mode, refresh_films=2))
    assert set(world.published()) == expected


def test_a_film_that_fails_goes_on_the_retry_list_and_the_next_run_takes_it_up():
    world = World()
    world.source.broken = {7}
    summary = world.run(ProducePlan(pages=1))
    assert (summary.failed, summary.published, summary.degraded) == (1, 19, False)
    assert world.state.owed[7].attempts == 1
    assert "film 7 does not answer" in world.state.owed[7].reason
    world.source.broken = set()
    world.run(ProducePlan(Mode.IDS, ids=(30,)))
    assert {7, 30} <= set(world.published())
    assert world.state.owed == {}


def test_an_answer_of_another_shape_is_owed_and_not_published():
    world = World()
    world.source.films[3] = film(3, genres=[{"name": "a genre without id"}])
    summary = world.run(ProducePlan(pages=1))
    assert (summary.failed, set(world.state.owed), 3 in world.published()) == (1, {3}, False)


def test_a_film_is_marked_deleted_by_a_tombstone_only_after_a_second_look_by_a_later_run():
    world = World()
    world.source.missing = {7}
    first = world.run(ProducePlan(pages=1))
    assert (first.gone, first.tombstones, 7 in world.published()) == (1, 0, False)
    world.now += timedelta(hours=12)
    second = world.run(ProducePlan(pages=1))
    assert (second.gone, second.tombstones) == (0, 1)
    assert world.published()[7] is None
    assert world.state.owed == {}


def test_a_film_that_is_back_at_the_second_look_is_published():
    world = World()
    world.source.missing = {7}
    world.run(ProducePlan(pages=1))
    world.source.missing = set()
    world.now += timedelta(hours=12)
    world.run(ProducePlan(pages=1))
    assert world.published()[7] is not None
    assert world.state.owed == {}


def test_without_kafka_all_films_are_backed_up_and_the_last_lines_say_what_to_do():
    world = World()
    world.broker.away = True
    summary = world.run()
    assert (summary.degraded, summary.undelivered, len(world.backups.saved)) == (True, 50, 50)
    assert summary.lines()[-2:] == [
        "DEGRADED: 50 films lie in the backups only; Kafka does not answer",
        "publish them with: movie-pipeline replay",
    ]


def test_kafka_going_away_in_the_middle_leaves_the_rest_to_the_next_run():
    world = World()
    world.prepare = lambda publisher: _with(publisher, dies_after=30)
    summary = world.run()
    assert (summary.published, summary.undelivered, len(world.backups.saved)) == (30, 20, 50)
    world.prepare = lambda publisher: publisher
    again = world.run()
    assert again.resumed
    assert set(world.published()) == set(range(1, 51))


def test_a_record_that_kafka_refuses_for_good_does_not_stop_the_others():
    world = World()
    refusal = ValueError("too large")
    refusal.retriable = False
    world.prepare = lambda publisher: _with(publisher, refuses={b"9": refusal})
    summary = world.run()
    assert (summary.published, summary.failed, summary.degraded) == (49, 1, False)
    assert "too large" in world.state.owed[9].reason


@pytest.mark.parametrize("films_before_the_kill", [0, 1, 39, 40, 41, 120, 199])
def test_a_killed_run_is_taken_up_and_skips_nothing(films_before_the_kill):
    world = World(range(1, 201))
    world.prepare = lambda publisher: _with(publisher, held=True)
    kill = _Kill(world, films_before_the_kill)
    with pytest.raises(_Killed):
        world.run(threads=1)
    kill.over()
    summary = world.run()
    assert summary.resumed or films_before_the_kill == 0
    assert set(world.published()) == set(range(1, 201))
    twice = sum(count - 1 for count in world.source.fetched.values())
    in_the_air = ACKNOWLEDGED_TOGETHER + CHECKPOINT_FILMS + WAITING_RESULTS + 1
    assert twice <= in_the_air, "only what was not acknowledged and saved is fetched again"


def test_what_is_not_acknowledged_is_not_settled():
    world = World(range(1, 101))
    world.prepare = lambda publisher: _with(publisher, held=True)
    marks = []
    world.state.on_save = lambda name: marks.append((name, len(world.broker.topics[TOPIC])))
    world.run(threads=1)
    assert [delivered for name, delivered in marks if name.endswith("/mark")][:2] == [0, 0]
    assert world.state.saved == {}


def test_an_old_interrupted_list_is_finished_and_then_the_current_one_is_taken():
    world = World()
    world.prepare = lambda publisher: _with(publisher, dies_after=10)
    world.run(ProducePlan(pages=1))
    world.prepare = lambda publisher: publisher
    world.source.pages[0] = list(range(31, 51))
    world.now += timedelta(hours=12)
    world.run(ProducePlan(pages=1))
    assert set(world.published()) == {*range(1, 21), *range(31, 51)}


def test_a_list_of_ids_that_was_interrupted_long_ago_is_worked_off_once():
    world = World()
    world.prepare = lambda publisher: _with(publisher, dies_after=10)
    plan = ProducePlan(Mode.IDS, ids=tuple(range(1, 41)))
    world.run(plan)
    fetched = world.source.fetched.copy()
    world.prepare = lambda publisher: publisher
    world.now += timedelta(hours=12)
    world.run(plan)
    assert set(world.published()) == set(range(1, 41))
    assert max((world.source.fetched - fetched).values()) == 1


def test_films_that_fail_in_every_run_do_not_stop_the_others():
    world = World(range(1, 201))
    world.source.broken = set(range(1, 2 * FAILURES_IN_A_ROW))
    world.state.owed = {movie_id: Retry(1, "HTTP 500", NOW) for movie_id in world.source.broken}
    summary = world.run()
    assert (summary.published, summary.failed) == (200 - len(world.source.broken), len(world.source.broken))
    assert {retry.attempts for retry in world.state.owed.values()} == {2}


def test_film_after_film_failing_stops_the_run_and_keeps_the_rest_for_later():
    world = World(range(1, 501))
    world.source.broken = set(range(1, 501))
    with pytest.raises(SourceUnavailableError, match="TMDB is away: 50 films failed in a row"):
        world.run()
    assert len(world.state.owed) == FAILURES_IN_A_ROW
    world.source.broken = set()
    world.now += timedelta(hours=12)
    world.run()
    assert set(world.published()) == set(range(1, 501))


@pytest.mark.parametrize("error", [InvalidKeyError("TMDB refuses the key"), OutputError("the disk is full")])
def test_what_no_other_film_can_cure_ends_the_run(error):
    world = World()

    def fail(_movie_id):
        raise error

    world.source.details = fail
    with pytest.raises(type(error)):
        world.run()


def test_a_bad_key_is_found_before_anything_else():
    world = World()
    world.source.error = InvalidKeyError("TMDB refuses TMDB_API_TOKEN")
    with pytest.raises(InvalidKeyError):
        world.run()
    assert world.publisher is None


def test_ids_of_a_file_are_read_with_comments_and_blanks(tmp_path):
    path = tmp_path / "ids"
    path.write_text("# favourites\n19995\n\n 550 # Fight Club\n")
    assert read_ids(path) == [19995, 550]


@pytest.mark.parametrize("line", ["tt0137523", "0", "-3", "1.5", "99999999999", "٣"])
def test_a_line_that_is_no_id_is_named(tmp_path, line):
    path = tmp_path / "ids"
    path.write_text(f"1\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"line 2: .* is not a TMDB id; give one id a line"):
        read_ids(path)


def test_a_missing_file_of_ids_is_one_line(tmp_path):
    with pytest.raises(ConfigurationError, match="one TMDB id a line"):
        read_ids(tmp_path / "nothing")


class _Killed(BaseException):
    """As a SIGKILL would, but inside one process."""


class _Kill:
    """Ends the run when so many films were taken; nothing of the closing work happens."""

    def __init__(self, world, after):
        self.world, self.after = world, after
        self.plain, self.dead = world.connect, False
        world.connect = self.connect
        world.state.on_save = self.save

    def connect(self):
        publisher = self.plain()
        plain, self.flush = publisher.publish, publisher.flush

        def publish(*arguments):
            if self.world.source.fetched.total() > self.after or self.dead:
                self.dead = True
                raise _Killed
            plain(*arguments)
            if publisher.sent % ACKNOWLEDGED_TOGETHER == 0:
                self.flush()

        publisher.publish = publish
        publisher.flush = publisher.close = lambda: None
        return publisher

    def save(self, _name):
        if self.dead:
            raise _Killed

    def over(self):
        self.world.connect, self.world.state.on_save = self.plain, lambda _name: None
        self.world.prepare = lambda publisher: publisher


def _with(publisher, **changed):
    for name, value in changed.items():
        setattr(publisher, name, value)
    return publisher
