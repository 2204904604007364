"""The TMDB client against the real sample API: each fault of the source, and where the token goes."""

import gzip
from datetime import UTC, date, datetime, timedelta
from threading import Thread

import pytest

from movie_pipeline.adapters.tmdb import TmdbSource
from movie_pipeline.errors import ConfigurationError, FilmNotFoundError, InvalidKeyError, SourceUnavailableError
from movie_pipeline.sample_api import Faults, SampleApi, SyntheticCatalogue

TOKEN, KEY = "eyTokenThatMustNotShow", "0123456789abcdefKey+must/not show"
TODAY = datetime.now(UTC).date()


class Unlimited:
    """A limiter that only remembers the pauses it was asked for."""

    def __init__(self):
        self.pauses = []

    def acquire(self):
        pass

    def pause(self, seconds):
        self.pauses.append(seconds)

    def close(self):
        pass


@pytest.fixture
def connect():
    """Start a sample API with the given faults and return it with a client."""
    opened = []

    def start(films=60, *, changes=None, accepted=(), client=None, **faults):
        api = SampleApi(SyntheticCatalogue(films), faults=Faults(**faults), changes=changes, accepted=accepted)
        opened.append(api.__enter__())
        clock = Clock()
        source = TmdbSource(**{
            "api_url": api.url, "export_url": api.export_url, "limiter": Unlimited(), "token": TOKEN,
            "timeout_seconds": 5, "clock": clock.now, "sleep": clock.sleep, **(client or {}),
        })  # fmt: skip
        source.clock, source.limiter = clock, source._limiter
        opened.append(source)
        return api, source

    yield start
    for thing in reversed(opened):
        thing.close() if isinstance(thing, TmdbSource) else thing.__exit__(None, None, None)


class Clock:
    """Time that passes by sleeping only."""

    def __init__(self):
        self.seconds, self.sleeps = 0.0, []

    def now(self):
        return self.seconds

    def sleep(self, seconds):
        self.sleeps.append(seconds)
        self.seconds += seconds


def test_a_film_comes_with_its_credits_in_one_request(connect):
    api, source = connect()
    details = source.details(5)
    assert (details["id"], details["credits"]["crew"][0]["job"]) == (5, "Director")
    assert api.counts.statuses == {200: 1}
    assert source.origin() == "sample"


def test_popular_pages_tell_how_many_there_are_and_stop_at_five_hundred(connect):
    assert connect()[1].popular_ids(3) == (list(range(41, 61)), 3)
    assert connect(films=20_000)[1].popular_ids(500)[1] == 500


def test_language_and_region_are_sent(connect):
    api, source = connect(client={"language": "es-ES", "region": "ES"})
    source.popular_ids(1)
    source.details(1)
    popular, details = (request.query for request in api.counts.recent)
    assert (popular["language"], popular["region"], details["language"]) == ("es-ES", "ES", "es-ES")


@pytest.mark.parametrize("faults", [
    {"fail_first": 3, "error_statuses": (500,)}, {"fail_first": 3, "error_statuses": (502,)},
    {"fail_first": 3, "error_statuses": (503,)}, {"fail_first": 3, "error_statuses": (504,)}, {"cut_first": 3},
])  # fmt: skip
def test_failing_answers_and_cut_bodies_are_tried_again(connect, faults):
    _api, source = connect(**faults)
    assert source.details(5)["id"] == 5
    assert len(source.clock.sleeps) == 3
    assert source.clock.sleeps[2] > source.clock.sleeps[0] / 2, "the back-off grows"


@pytest.mark.parametrize("faults", [{}, {"plain_429": True}, {"code_25_status": 200}, {"code_25_status": 503}])
def test_over_the_limit_all_threads_pause_as_long_as_the_service_asks(connect, faults):
    api, source = connect(rate_limit=1, rate_window_seconds=7, **faults)
    source.details(1)
    source._sleep = _open_window(api, source.clock)
    assert source.details(2)["id"] == 2
    assert source.limiter.pauses == [7.0]


@pytest.mark.parametrize("retry_after", ["zero", "absent"])
def test_a_429_without_a_usable_retry_after_is_answered_by_back_off(connect, retry_after):
    api, source = connect(rate_limit=1, rate_window_seconds=7, retry_after=retry_after)
    source.details(1)
    source._sleep = _open_window(api, source.clock)
    source.details(2)
    assert 0.2 < source.limiter.pauses[0] <= 0.5


def test_retry_after_may_be_a_date(connect):
    api, source = connect(rate_limit=1, rate_window_seconds=7, retry_after="date")
    source.details(1)
    source._sleep = _open_window(api, source.clock)
    source.details(2)
    assert 5 < source.limiter.pauses[0] <= 8


def _open_window(api, clock):
    """A sleep after which the server's rate limit has room again."""
    plain = clock.sleep

    def sleep(seconds):
        plain(seconds)
        api.faults = Faults()

    return sleep


def test_the_retry_budget_ends_by_attempts(connect):
    api, source = connect(error_rate=1.0, error_statuses=(500,), client={"attempts": 4})
    with pytest.raises(SourceUnavailableError, match=r"no usable answer to /movie/5 in 4 attempts: HTTP 500, code 11"):
        source.details(5)
    assert api.counts.statuses == {500: 4}


def test_the_retry_budget_ends_by_time(connect):
    _api, source = connect(error_rate=1.0, client={"attempts": 99, "retry_seconds": 20})
    with pytest.raises(SourceUnavailableError):
        source.details(5)
    assert 5 < source.clock.seconds <= 20


def test_a_longer_retry_after_than_the_budget_gives_up_at_once(connect):
    _api, source = connect(rate_limit=1, rate_window_seconds=3_000, client={"retry_seconds": 60})
    source.details(1)
    with pytest.raises(SourceUnavailableError, match="HTTP 429, code 25"):
        source.details(2)
    assert source.clock.sleeps == []


def test_a_wrong_key_stops_at_once_and_names_the_setting(connect):
    for client, setting in (({}, "TMDB_API_TOKEN"), ({"token": None, "key": KEY}, "TMDB_API_KEY")):
        api, source = connect(accepted={"another"}, client=client)
        with pytest.raises(InvalidKeyError, match=f"{setting} .HTTP 401, code 7: Invalid API key"):
            source.check()
        assert api.counts.statuses == {401: 1}


def test_without_token_and_key_the_message_names_both():
    with pytest.raises(ConfigurationError, match="TMDB_API_TOKEN and TMDB_API_KEY are both empty"):
        TmdbSource(api_url="http://localhost", export_url="", limiter=Unlimited())


@pytest.mark.parametrize("address", ["api.themoviedb.org/3", "ftp://api.themoviedb.org/3", "https:///3", ""])
def test_an_address_that_is_none_is_refused_before_the_token_goes_anywhere(address):
    with pytest.raises(ConfigurationError, match=r"TMDB_API_URL=.*an address is required"):
        TmdbSource(api_url=address, export_url="", limiter=Unlimited(), token=TOKEN)


def test_an_unknown_film_is_not_found_and_a_wrong_base_address_is_a_setting(connect):
    api, source = connect()
    with pytest.raises(FilmNotFoundError, match="no film 999"):
        source.details(999)
    with pytest.raises(ConfigurationError, match=r"TMDB_API_URL=.*the address ends in /3"):
        TmdbSource(api_url=api.url + "/3", export_url="", limiter=Unlimited(), token=TOKEN).check()


def test_a_404_that_is_not_tmdbs_says_nothing_about_the_film(connect):
    api, _ = connect()
    source = TmdbSource(
        api_url=api.export_url, export_url="", limiter=Unlimited(), token=TOKEN, attempts=1, retry_seconds=1
    )
    with pytest.raises(SourceUnavailableError, match="HTTP 404"):
        source.details(5)
    source.close()


def test_there_are_never_more_connections_than_requests_at_once(connect):
    api, source = connect()

    def fetch(start):
        for movie_id in range(start, start + 10):
            source.details(movie_id)

    threads = [Thread(target=fetch, args=(start,)) for start in (1, 11, 21, 31)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    source.popular_ids(1)
    assert len(api.counts.films) == 40
    assert api.counts.connections <= 4


def test_changes_come_in_windows_of_fourteen_days_each_id_once_without_nulls(connect):
    first = date(2026, 1, 1)
    days = {first + timedelta(days=n): [n + 1, 1] for n in range(45)}
    api, source = connect(changes=days, null_changes=2)
    found = list(source.changed_ids(first, first + timedelta(days=44)))
    assert sorted(found) == list(range(1, 46))
    spans = [_days(request.query) for request in api.counts.recent]
    assert max(spans) <= 14
    assert set(api.counts.statuses) == {200}


def test_a_single_day_of_changes_with_several_pages(connect):
    day = date(2026, 1, 1)
    _api, source = connect(films=250, changes={day: range(1, 251)})
    assert sorted(source.changed_ids(day, day)) == list(range(1, 251))


def test_a_window_with_too_many_pages_is_halved(connect):
    first = date(2026, 1, 1)
    days = {first + timedelta(days=n): range(n * 10_000 + 1, n * 10_000 + 10_001) for n in range(6)}
    _api, source = connect(films=1, changes=days)
    assert len(set(source.changed_ids(first, first + timedelta(days=5)))) == 60_000


def test_the_newest_export_is_taken_and_earlier_days_stand_in(connect):
    api, source = connect(missing_exports=2)
    assert sorted(source.exported_ids(TODAY)) == list(range(1, 61))
    asked = [request.path.rpartition("/")[2] for request in api.counts.recent]
    assert asked == [f"movie_ids_{TODAY - timedelta(days=back):%m_%d_%Y}.json.gz" for back in range(3)]
    assert all("authorization" not in request.headers for request in api.counts.recent)


def test_a_truncated_export_is_noticed_and_the_day_before_is_taken(connect):
    api, source = connect(truncated_exports=1)
    assert sorted(source.exported_ids(TODAY)) == list(range(1, 61))
    assert len(api.counts.recent) == 4, "three tries for today's, then yesterday's"


def test_lines_of_an_export_that_name_no_film_are_passed_over(connect):
    api, source = connect()
    lines = [b'{"id":5}', b"", b"[7]", b'{"id":null}', b'{"id":99999999999}', b'{"id":"8"}', b'{"id":', b'{"id":9}']
    api.answers._export = lambda: gzip.compress(b"\n".join(lines))
    assert list(source.exported_ids(TODAY)) == [5, 9]


def test_no_export_at_all_is_one_clear_line(connect):
    _api, source = connect(missing_exports=30)
    with pytest.raises(SourceUnavailableError, match=r"no daily export at .*; check TMDB_EXPORT_URL"):
        list(source.exported_ids(TODAY))


@pytest.mark.parametrize("client", [{}, {"token": None, "key": KEY}])
def test_no_other_host_sees_the_token(connect, client):
    other, _ = connect()
    api, source = connect(redirect_to=other.base, client={**client, "attempts": 2})
    with pytest.raises(SourceUnavailableError, match=r"redirected to 127\.0\.0\.1"):
        source.details(5)
    assert len(api.counts.recent) == 2
    assert len(other.counts.recent) == 0


@pytest.mark.parametrize("client", [{}, {"token": None, "key": KEY}])
def test_no_message_carries_the_token(connect, client):
    told = []
    for faults in (
        {"error_rate": 1.0},
        {"cut_rate": 1.0},
        {"accepted": {"another"}},
        {"redirect_to": "http://localhost:1"},
    ):
        _api, source = connect(client={**client, "attempts": 2}, **faults)
        with pytest.raises((SourceUnavailableError, InvalidKeyError)) as caught:
            source.details(5)
        told.append(caught)
    options = {"api_url": "http://127.0.0.1:9", "export_url": "", "limiter": Unlimited(), "token": TOKEN, "attempts": 1}
    closed = TmdbSource(**{**options, **client})
    with pytest.raises(SourceUnavailableError) as caught:
        closed.details(5)
    told.append(caught)
    for secret in (TOKEN, KEY, "0123456789abcdefKey"):
        for error in told:
            assert secret not in str(error.value)
            assert error.value.__suppress_context__ or error.value.__context__ is None, "no library error is shown"


def _days(query):
    return (date.fromisoformat(query["end_date"]) - date.fromisoformat(query["start_date"])).days + 1
