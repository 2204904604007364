"""What a load does to the database, batch by batch, on a real PostgreSQL."""

import threading
import time
from datetime import UTC, datetime

import psycopg2
import pytest

from films import FIGHT_CLUB, NOW_MS, TOPIC, message, record
from ingesting import Desk, content, query
from movie_pipeline.adapters.loader import Loader
from movie_pipeline.adapters.offsets import PostgresOffsets
from movie_pipeline.adapters.schema import migrate
from movie_pipeline.errors import DatabaseUnavailableError, StateConflictError
from movie_pipeline.messages import OffsetRange
from movie_pipeline.transform.batch import prepare
from movie_pipeline.transform.clean import entity_id

HOSTILE = [
    '"; DROP TABLE movies; --',
    "\\.",
    "a\n\\.\nb",
    "\\N",
    "NULL",
    "comma, \"quote\" 'single'",
    "tab\there",
    "line\r\nbreak\rand\nmore",
    '""',
    "back\\slash\\",
    "𝔘nicode \u2028 \ufeff 🎬 \u0301",
    "{}",
    "  spaces  ",
    "0",
    "%s %(a)s",
]


@pytest.fixture
def desk(migrated_database):
    desk = Desk(migrated_database)
    yield desk
    desk.loader.close()


def at(second):
    return f"2026-01-02T03:04:{second:02}Z"


def test_the_seeds_message_is_loaded_into_every_table(desk):
    assert desk.load(FIGHT_CLUB).counts == {"new": 1}
    assert desk.query("SELECT id, tmdb_id, title, budget, revenue, release_date::text FROM movies") == [
        (550, 550, "Fight Club", 63000000, 100853753, "1999-10-15")
    ]
    assert desk.query(
        "SELECT genre, director, release_date, release_year, round(roi::numeric, 4)::float, popularity_level,"
        " rating_level, is_profitable FROM movie_data_warehouse ORDER BY id"
    ) == [
        ("Drama", "David Fincher", "1999-10-15", 1999, 0.6009, "Alta", "Excelente", True),
        ("Thriller", "David Fincher", "1999-10-15", 1999, 0.6009, "Alta", "Excelente", True),
    ]
    assert desk.query("SELECT name, tmdb_id, id < 0 FROM people ORDER BY name") == [
        (name, None, True) for name in ("Brad Pitt", "David Fincher", "Edward Norton", "Helena Bonham Carter")
    ]
    assert desk.query(
        "SELECT name FROM movie_cast JOIN people ON people.id = person_id WHERE movie_id = 550 ORDER BY billing_order"
    ) == [("Edward Norton",), ("Brad Pitt",), ("Helena Bonham Carter",)]


@pytest.mark.parametrize("text", HOSTILE)
def test_every_text_comes_back_as_it_was(desk, text):
    desk.load(message(title=text, overview=text, genres=[text, "b"], directors=[text], cast=[text], cast_ids=None))
    assert not desk.dead
    assert desk.query("SELECT title, overview FROM movies") == [(text, text)]
    assert desk.query("SELECT name FROM genres WHERE id = 18") == [(text,)]
    assert desk.query("SELECT id FROM people WHERE id < 0") == [(entity_id(text),)]
    assert desk.query("SELECT DISTINCT title, director FROM movie_data_warehouse") == [(text, text)]


def test_numbers_arrive_to_the_last_digit(desk):
    desk.load(message(popularity=0.1 + 0.2, vote_average=1e-17, revenue=2**63 - 1, budget=1, runtime=60_000))
    assert desk.query("SELECT popularity, vote_average, revenue, budget, runtime FROM movies") == [
        (0.1 + 0.2, 1e-17, 2**63 - 1, 1, 60_000)
    ]


@pytest.mark.parametrize("fetched_at", ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z"])
def test_any_moment_of_the_calendar_is_stored(desk, fetched_at):
    desk.load(message(fetched_at=fetched_at))
    assert desk.query("SELECT fetched_at FROM movies") == [(datetime.fromisoformat(fetched_at),)]


def test_loading_again_what_is_there_writes_nothing(desk):
    films = [message(number) for number in range(1, 40)] + [FIGHT_CLUB]
    desk.load(*films)
    places = "SELECT '{0}', ctid::text, xmin::text FROM {0}"
    before = [desk.query(places.format(table)) for table in content(desk.dsn)]
    assert desk.load(*[film for film in films if film["id"] != 550]).counts == {"unchanged": 39}
    assert [desk.query(places.format(table)) for table in content(desk.dsn)] == before


def test_the_same_content_fetched_later_only_moves_the_time(desk):
    desk.load(message(fetched_at=at(1)))
    before = desk.query("SELECT ctid, xmin FROM movie_data_warehouse"), desk.query("SELECT ctid FROM movie_cast")
    assert desk.load(message(fetched_at=at(9))).counts == {"refreshed": 1}
    assert desk.query("SELECT fetched_at, message_offset FROM movies") == [
        (datetime(2026, 1, 2, 3, 4, 9, tzinfo=UTC), 1)
    ]
    assert (
        desk.query("SELECT ctid, xmin FROM movie_data_warehouse"),
        desk.query("SELECT ctid FROM movie_cast"),
    ) == before
    assert len(desk.query("SELECT 1 FROM movie_history")) == 1


def test_older_never_overwrites_newer(desk):
    desk.load(message(title="New", fetched_at=at(9)))
    before = content(desk.dsn)
    assert desk.load(message(title="Old", fetched_at=at(1))).counts == {"older": 1}
    assert content(desk.dsn) == before


def test_between_equal_times_the_later_offset_counts(desk):
    desk.load(message(title="First"), message(title="Second"))
    desk.load(message(title="Third"))
    assert desk.query("SELECT DISTINCT title FROM movie_data_warehouse") == [("Third",)]


def test_history_has_a_row_whenever_a_moving_number_differs(desk):
    desk.load(message(popularity=1, fetched_at=at(1)))
    desk.load(message(popularity=1, title="Renamed", fetched_at=at(2)))
    desk.load(message(popularity=2, title="Renamed", fetched_at=at(3)))
    desk.load(message(popularity=2, title="Renamed", fetched_at=at(4), vote_count=None))
    desk.load(message(popularity=2, title="Renamed", fetched_at=at(5), vote_count=None))
    desk.load(message(popularity=2, title="Renamed", fetched_at=at(6), vote_count=None, revenue=0, budget=5))
    desk.load(message(popularity=9, fetched_at=at(1)))
    assert desk.query("SELECT popularity, vote_count, revenue FROM movie_history ORDER BY id") == [
        (1, 40, 3_000_000), (2, 40, 3_000_000), (2, None, 3_000_000), (2, None, None),
    ]  # fmt: skip


def test_versions_in_one_batch_each_take_effect(desk):
    outcome = desk.load(*(message(popularity=n, fetched_at=at(n)) for n in (1, 2, 2, 1, 3)))
    assert outcome.counts == {"new": 1, "changed": 2, "unchanged": 1, "older": 1}
    assert desk.query("SELECT popularity FROM movie_history ORDER BY id") == [(1,), (2,), (3,)]


def test_a_tombstone_marks_the_film_and_takes_its_warehouse_rows(desk):
    desk.load(message(1), message(2))
    assert desk.load(record(None, key=b"1")).counts == {"deleted": 1}
    assert desk.query("SELECT deleted_at FROM movies WHERE id = 1") == [(datetime.fromtimestamp(NOW_MS / 1000, UTC),)]
    assert desk.query("SELECT DISTINCT tmdb_id FROM movie_data_warehouse") == [(2,)]
    assert desk.query("SELECT count(*) FROM movie_cast WHERE movie_id = 1") == [(2,)]


def test_a_film_that_comes_back_lives_again(desk):
    desk.load(message(), record(None, key=b"7", timestamp_ms=NOW_MS))
    later = datetime.fromtimestamp(NOW_MS / 1000 + 60, UTC).isoformat()
    back = record(message(fetched_at=later), timestamp_ms=NOW_MS + 120_000)
    assert desk.load(back).counts == {"changed": 1}
    assert desk.query("SELECT deleted_at FROM movies") == [(None,)]
    assert desk.query("SELECT count(*) FROM movie_data_warehouse") == [(2,)]
    assert desk.query("SELECT count(*) FROM movie_history") == [(1,)]


def test_an_older_message_does_not_bring_a_film_back(desk):
    desk.load(message(), record(None, key=b"7"))
    assert desk.load(message(title="Old")).counts == {"older": 1}
    assert desk.query("SELECT count(deleted_at) FROM movies") == [(1,)]


def test_a_tombstone_older_than_the_film_changes_nothing(desk):
    desk.load(record(message(fetched_at="2026-05-01T00:00:00Z")))
    assert desk.load(record(None, key=b"7", timestamp_ms=1_000)).counts == {"older": 1}
    assert desk.query("SELECT deleted_at FROM movies") == [(None,)]


def test_a_tombstone_of_a_film_never_seen_is_taken_note_of_and_nothing_else(desk):
    assert desk.load(record(None, key=b"9")).counts == {"older": 1}
    assert desk.query("SELECT count(*) FROM movies") == [(0,)]


def test_a_later_message_with_ids_replaces_the_links_by_name(desk):
    desk.load(message(cast_ids=None, fetched_at=at(1)))
    desk.load(message(cast_ids=[12, 11], fetched_at=at(2)))
    assert desk.query("SELECT person_id, billing_order FROM movie_cast ORDER BY 2") == [(12, 0), (11, 1)]


def test_a_name_without_id_never_matches_one_with_an_id(desk):
    desk.load(message(1, directors=["Same"], director_ids=[9]), message(2, directors=["Same"], director_ids=None))
    rows = desk.query("SELECT movie_id, person_id FROM movie_directors ORDER BY 1")
    assert rows == [(1, 9), (2, entity_id("Same"))]


def test_links_that_did_not_change_are_not_touched(desk):
    desk.load(message(fetched_at=at(1)))
    before = desk.query("SELECT ctid, xmin FROM movie_cast")
    desk.load(message(fetched_at=at(2), title="Other"))
    assert desk.query("SELECT ctid, xmin FROM movie_cast") == before


def test_the_newest_name_of_an_entity_counts_in_whatever_order_it_comes(desk):
    for genre, second in (("Old", 1), ("Newest", 9), ("Newer", 5)):
        desk.load(message(second, genres=[genre, "Crime"], fetched_at=at(second)))
    assert desk.query("SELECT name FROM genres WHERE id = 18") == [("Newest",)]


def test_the_view_counts_each_film_once(desk):
    desk.load(message(1, directors=["A", "B"], director_ids=[1, 2]), message(2))
    assert desk.query("SELECT tmdb_id, revenue FROM movies_in_warehouse ORDER BY 1") == [(1, 3_000_000), (2, 3_000_000)]


def test_findings_are_counted_for_the_run(desk):
    desk.load(message(1, runtime=-1), message(2, runtime=-1, title="N\0UL"))
    desk.load(message(3, runtime=-1))
    assert desk.query("SELECT run_id, verb, finding, count FROM quality_findings ORDER BY 3") == [
        ("run", "consume", "NUL removed from a text", 1),
        ("run", "consume", "impossible runtime", 3),
    ]


def test_a_stale_writer_loads_nothing(desk):
    desk.load(message(1))
    late = prepare(OffsetRange(TOPIC, 0, 0, 1), [record(message(1, title="Late", fetched_at=at(59)))])
    other = Loader(desk.dsn, run_id="other", send_dead_letters=desk.dead.extend)
    outcome = other.load(other.stage(late))
    other.close()
    assert outcome.stale
    assert not outcome.counts
    assert desk.query("SELECT title FROM movies") == [("Film 1",)]
    assert desk.query("SELECT next_offset FROM ingest_offsets") == [(1,)]


def test_of_two_writers_at_once_exactly_one_loads(desk):
    films = [record(message(number), number) for number in range(300)[1:]]
    work = prepare(OffsetRange(TOPIC, 0, 0, 300), films)
    loaders = [Loader(desk.dsn, run_id="run", send_dead_letters=desk.dead.extend) for _ in range(4)]
    outcomes = []
    threads = [threading.Thread(target=lambda it=it: outcomes.append(it.load(it.stage(work)))) for it in loaders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for loader in loaders:
        loader.close()
    assert sorted(outcome.stale for outcome in outcomes) == [False, True, True, True]
    assert desk.query("SELECT count(*) FROM movies") == [(299,)]
    assert desk.query("SELECT count(*) FROM movie_history") == [(299,)]


def test_poison_that_only_the_database_sees_is_found_by_halving(desk):
    desk.query("ALTER TABLE movies ADD CHECK (runtime <> 66)")
    films = [message(number, runtime=66 if number in {17, 18} else 90) for number in range(1, 60)]
    films[16]["directors"], films[16]["director_ids"] = ["Only here"], [4242]
    outcome = desk.load(*films, record(b"?", key=b"70"))
    assert outcome.counts == {"new": 57, "dead": 3}
    assert sorted(item.record.key for item in desk.dead) == [b"17", b"18", b"70"]
    assert {item.error_class for item in desk.dead} == {"CheckViolation", "InvalidMessageError"}
    assert desk.query("SELECT count(*), count(*) FILTER (WHERE id IN (17, 18)) FROM movies") == [(57, 0)]
    # The director stood in the dead film alone: he was not stored, and nobody takes him for stored.
    assert desk.query("SELECT name FROM people WHERE id = 4242") == []
    assert desk.query("SELECT count(*) > 0 FROM people") == [(True,)]
    assert desk.load(message(99, directors=["Only here"], director_ids=[4242])).counts == {"new": 1}
    assert desk.query("SELECT name FROM people WHERE id = 4242") == [("Only here",)]


def test_poison_among_changed_films_leaves_the_others_changed(desk):
    desk.load(*(message(number, fetched_at=at(1)) for number in range(1, 9)))
    desk.query("ALTER TABLE movies ADD CHECK (runtime <> 66)")
    outcome = desk.load(*(message(n, runtime=66 if n == 3 else 70, fetched_at=at(2)) for n in range(1, 12)))
    assert outcome.counts == {"changed": 7, "new": 3, "dead": 1}
    assert desk.query("SELECT id FROM movies WHERE runtime = 100") == [(3,)]
    assert desk.query("SELECT DISTINCT runtime FROM movie_data_warehouse WHERE tmdb_id = 3") == [(100,)]


def test_a_name_too_long_for_an_index_is_a_dead_letter_not_an_outage(desk):
    long = "".join(chr(0x4E00 + (number * 7919) % 20_000) for number in range(6000))
    outcome = desk.load(message(1), message(2, cast=[long], cast_ids=None))
    assert outcome.counts == {"new": 1, "dead": 1}
    assert desk.dead[0].error_class == "ProgramLimitExceeded"


def test_a_list_longer_than_its_order_can_count_is_a_dead_letter(desk):
    ids = list(range(1, 40_000))
    outcome = desk.load(message(1), message(2, cast=["A"] * len(ids), cast_ids=ids))
    assert outcome.counts == {"new": 1, "dead": 1}


def test_an_entity_that_vanished_is_written_again(desk):
    desk.load(message(1))
    desk.query("TRUNCATE people, movie_cast, movie_directors")
    assert desk.load(message(2)).counts == {"new": 1}
    assert not desk.dead


def test_a_missing_table_or_right_is_a_clear_error_and_no_dead_letter(desk):
    desk.query("ALTER TABLE movie_cast RENAME TO elsewhere")
    with pytest.raises(StateConflictError, match="movie-pipeline migrate"):
        desk.load(message(1))
    assert not desk.dead
    assert desk.query("SELECT next_offset FROM ingest_offsets") == [(0,)]


def test_the_applications_role_loads_and_can_drop_nothing(postgres, database):
    migrate(database, app_role="loader_role", app_role_password="p'w")
    dsn = f"postgresql://loader_role:p%27w@{database.rpartition('@')[2]}"
    desk = Desk(dsn)
    assert desk.load(message(1), record(None, key=b"1"), message(2)).counts["new"] == 2
    desk.loader.close()
    for statement in (
        "DROP TABLE movies",
        "CREATE TABLE mine ()",
        "ALTER TABLE movies DROP title",
        "TRUNCATE movies",
        "DELETE FROM alembic_version",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            query(dsn, statement)


def test_a_crash_between_the_dead_letters_and_the_commit_loads_everything_the_next_time(desk):
    def crash(letters):
        desk.dead.extend(letters)
        raise DatabaseUnavailableError("the process is gone")

    broken = Loader(desk.dsn, run_id="run", send_dead_letters=crash)
    work = prepare(OffsetRange(TOPIC, 0, 0, 2), [record(message(1)), record(b"?", 1, key=b"2")])
    with pytest.raises(DatabaseUnavailableError):
        broken.load(broken.stage(work))
    broken.close()
    assert desk.query("SELECT count(*) FROM movies") == [(0,)]
    assert desk.query("SELECT next_offset FROM ingest_offsets") == [(0,)]
    assert desk.load(message(1), record(b"?", key=b"2")).counts == {"new": 1, "dead": 1}
    assert len(desk.dead) == 2


def test_a_session_that_the_server_ends_is_an_outage_and_the_next_load_goes_through(desk):
    desk.load(message(1))
    desk.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '%consume'")
    with pytest.raises(DatabaseUnavailableError):
        desk.load(message(2))
    desk.end = 1
    assert desk.load(message(2)).counts == {"new": 1}


def refuse(desk, table, sqlstate, times):
    """Have the database end that many transactions that insert into a table, as it ends one of two in a deadlock."""
    # What a sequence has given is not taken back with the transaction.
    desk.query("CREATE SEQUENCE tries")
    desk.query(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF nextval('tries') <= {times} THEN RAISE EXCEPTION USING ERRCODE = '{sqlstate}'; END IF;"
        " RETURN NULL; END $$"
    )
    desk.query(f"CREATE TRIGGER refuse AFTER INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION refuse()")


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "55P03"])
def test_a_conflict_with_another_writer_is_tried_again_and_no_dead_letter_is_sent_twice(desk, sqlstate):
    refuse(desk, "quality_findings", sqlstate, times=2)
    assert desk.load(message(1, runtime=-1), record(b"?", key=b"2")).counts == {"new": 1, "dead": 1}
    assert desk.query("SELECT last_value FROM tries") == [(3,)]
    assert desk.query("SELECT id FROM movies") == [(1,)]
    assert desk.query("SELECT count FROM quality_findings") == [(1,)]
    assert [letter.record.key for letter in desk.dead] == [b"2"]


def test_a_conflict_without_end_is_an_outage_and_nothing_is_loaded(desk):
    refuse(desk, "movies", "40P01", times=1000)
    with pytest.raises(DatabaseUnavailableError, match="conflict 8 times"):
        desk.load(message(1))
    assert not desk.dead
    assert desk.query("SELECT count(*) FROM movies") == [(0,)]
    assert desk.query("SELECT next_offset FROM ingest_offsets") == [(0,)]


def test_an_entity_that_another_writer_has_just_inserted_is_waited_for(desk):
    desk.load(message(1))
    blocker = psycopg2.connect(desk.dsn)
    with blocker, blocker.cursor() as cursor:
        cursor.execute("INSERT INTO genres (id, name, named_at) VALUES (4711, 'Else', '2001-01-01')")
        waiting = threading.Thread(target=desk.load, args=(message(2, genres=["Mine"], genre_ids=[4711]),))
        waiting.start()
        while not desk.query(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ):
            time.sleep(0.01)
    waiting.join()
    blocker.close()
    assert desk.query("SELECT name FROM genres WHERE id = 4711") == [("Mine",)]
    assert desk.query("SELECT count(*) FROM movies") == [(2,)]


def test_a_worker_does_not_wait_for_another_worker_s_films_of_the_same_people(desk):
    """The first one hangs in the middle of its films; the second loads films of the same people meanwhile."""
    desk.query(
        "CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.id = 1 THEN PERFORM pg_advisory_xact_lock(1); END IF; RETURN NEW; END $$"
    )
    desk.query("CREATE TRIGGER hang BEFORE INSERT ON movies FOR EACH ROW EXECUTE FUNCTION hang()")
    PostgresOffsets(desk.dsn).begin(TOPIC, 1, 0, None)
    blocker = psycopg2.connect(desk.dsn)
    other = Loader(desk.dsn, run_id="other", send_dead_letters=desk.dead.extend)
    with blocker, blocker.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(1)")
        hanging = threading.Thread(target=desk.load, args=(message(1),))
        hanging.start()
        while not desk.query("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
            time.sleep(0.01)
        films = prepare(OffsetRange(TOPIC, 1, 0, 1), [record(message(2))._replace(partition=1)])
        assert other.load(other.stage(films)).counts["new"] == 1
        assert desk.query("SELECT id FROM movies") == [(2,)]
    hanging.join()
    other.close()
    blocker.close()
    assert desk.query("SELECT id FROM movies ORDER BY id") == [(1,), (2,)]


def test_people_of_films_that_turn_out_older_are_not_stored(desk):
    desk.load(message(1, fetched_at=at(9)))
    older = message(1, fetched_at=at(1), directors=["Gone since"], director_ids=[4242])
    assert desk.load(older, message(2), message(3)).counts == {"older": 1, "new": 2}
    assert desk.query("SELECT id FROM people WHERE id = 4242") == []


def test_poison_takes_nobody_away_whom_others_name_or_who_was_there_before(desk):
    desk.load(message(1, directors=["Before"], director_ids=[4242]))
    desk.query("DELETE FROM movie_directors WHERE person_id = 4242")
    desk.query("ALTER TABLE movies ADD CHECK (runtime <> 66)")
    desk.loader.close()
    both = {"directors": ["Before", "Shared"], "director_ids": [4242, 4243]}
    assert desk.load(message(2, runtime=66, **both), message(3, **both)).counts == {"new": 1, "dead": 1}
    assert desk.query("SELECT name FROM people WHERE id IN (4242, 4243) ORDER BY id") == [("Before",), ("Shared",)]
    only = {"directors": ["Before", "Only"], "director_ids": [4242, 4244]}
    assert desk.load(message(4, runtime=66, **only)).counts == {"dead": 1}
    assert desk.query("SELECT id FROM people WHERE id IN (4242, 4244)") == [(4242,)]


def test_who_was_prepared_for_a_load_that_never_came_is_stored_with_the_next_one(desk):
    films = prepare(OffsetRange(TOPIC, 0, 0, 2), [record(message(1)), record(message(2), 1)])
    desk.loader.stage(films)
    assert desk.loader.load(desk.loader.stage(films)).counts["new"] == 2
    assert desk.query("SELECT count(*) FROM movies") == [(2,)]
    assert not desk.dead
