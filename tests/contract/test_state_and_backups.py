"""One suite over fakes and real adapters: crawl state, backups, source."""

from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta

import pytest

from fakes import FakeBackups, FakeSource, FakeState
from movie_pipeline.adapters.backups import FileBackups
from movie_pipeline.adapters.crawl_state import StoredCrawlState
from movie_pipeline.adapters.rate import ThreadLimiter
from movie_pipeline.adapters.tmdb import TmdbSource
from movie_pipeline.errors import FilmNotFoundError
from movie_pipeline.ports import Retry
from movie_pipeline.sample_api import SampleApi, SyntheticCatalogue

SINCE = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@pytest.fixture(params=["fake", "database", "files"])
def state(request, tmp_path):
    if request.param == "fake":
        yield FakeState()
        return
    dsn = request.getfixturevalue("migrated_database") if request.param == "database" else None
    stored = StoredCrawlState(dsn, tmp_path)
    yield stored
    stored.close()


def test_a_state_is_found_until_it_is_forgotten(state):
    assert state.load("all/mark") is None
    state.save("all/mark", {"position": 3, "open": [1, 2]})
    state.save("ids:ab/mark", {"position": 9})
    state.save("all/mark", {"position": 4, "open": []})
    assert state.load("all/mark") == {"position": 4, "open": []}
    state.save("all/mark", None)
    assert state.load("all/mark") is None
    assert state.load("ids:ab/mark") == {"position": 9}


def test_retries_are_put_on_the_list_changed_and_taken_off(state):
    state.record_retries({7: Retry(1, "gone", SINCE), 9: Retry(1, "HTTP 500", SINCE)})
    state.record_retries({7: None, 9: Retry(2, "HTTP 503", SINCE), 8: None})
    assert state.retries() == {9: Retry(2, "HTTP 503", SINCE)}
    state.record_retries({})
    assert set(state.retries()) == {9}


def test_claiming_a_crawl_that_nobody_has_succeeds(state):
    state.claim("popular")
    assert state.load("popular") is None


@pytest.fixture(params=["fake", "single files", "segments"])
def backups(request, tmp_path):
    kept = FakeBackups() if request.param == "fake" else FileBackups(tmp_path)
    kept.begin(20_000 if request.param == "segments" else 2)
    yield kept
    kept.close()


def test_every_copy_that_was_committed_is_read(backups):
    for movie_id in (3, 5):
        backups.save(movie_id, b'{"id":%d}' % movie_id)
    backups.commit()
    assert list(backups.read()) == [(3, b'{"id":3}'), (5, b'{"id":5}')]
    assert backups.damaged == 0


DAY = date(2026, 1, 10)


@pytest.fixture(params=["fake", "tmdb"])
def source(request):
    changes = {DAY: [2, 3], DAY + timedelta(days=20): [3, 4]}
    with ExitStack() as stack:
        if request.param == "fake":
            fake = FakeSource(range(1, 46), origin="sample")
            fake.changed = changes
            yield fake
        else:
            api = stack.enter_context(SampleApi(SyntheticCatalogue(45), changes=changes))
            real = TmdbSource(api_url=api.url, export_url=api.export_url, limiter=ThreadLimiter(500), token="any")
            stack.callback(real.close)
            yield real


def test_a_source_lists_and_describes_films(source):
    source.check()
    assert source.origin() == "sample"
    assert source.popular_ids(3) == (list(range(41, 46)), 3)
    assert sorted(source.changed_ids(DAY, DAY + timedelta(days=20))) == [2, 3, 4]
    assert sorted(source.changed_ids(DAY, DAY + timedelta(days=1))) == [2, 3]
    assert sorted(source.exported_ids(datetime.now(UTC).date())) == list(range(1, 46))
    assert source.details(7)["title"] == "Film 7"
    assert source.details(7)["credits"]["crew"][0]["job"] == "Director"
    with pytest.raises(FilmNotFoundError, match="no film 999"):
        source.details(999)
