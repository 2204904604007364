"""A TMDB client from PyPI that nobody here wrote reads the sample API; it parses dates and types strictly."""

import datetime as dt

import pytest
from themoviedb import TMDb
from themoviedb.exceptions import TMDbAuthenticationError, TMDbHTTPError

from movie_pipeline.sample_api import SampleApi

AVATAR = 19995


@pytest.fixture(scope="module")
def address():
    with SampleApi() as api:
        yield api.base


@pytest.fixture
def client(address):
    yield from connected(address, "any")


def connected(address, key):
    tmdb = TMDb()
    tmdb.api_key = key
    tmdb._config.host = address
    yield tmdb
    tmdb.movies().close()


def test_popular_films_are_read_page_by_page(client):
    first, last = client.movies().popular(page=1), client.movies().popular(page=241)
    assert (first.total_pages, first.total_results, len(list(first))) == (241, 4_803, 20)
    assert first[0].title == "Minions"
    assert isinstance(first[0].release_date, dt.date)
    assert len(list(last)) == 3


def test_details_come_with_credits(client):
    movie = client.movie(AVATAR).details(append_to_response="credits")
    assert (movie.title, movie.revenue, movie.release_date) == ("Avatar", 2_787_965_087, dt.date(2009, 12, 10))
    directors = [person.name for person in movie.credits.crew if person.job == "Director"]
    assert directors == ["James Cameron"]
    assert client.movie(AVATAR).credits().cast[0].name == "Sam Worthington"


def test_a_film_without_date_is_read(client):
    assert client.movie(380097).details().release_date is None


def test_changes_and_genres_are_read(client):
    body = client.movies().request("movie/changes", start_date="2026-01-01", end_date="2026-01-14")
    assert (body["page"], len(body["results"])) == (1, 100)
    assert len(list(client.genres().movie())) == 19


@pytest.mark.parametrize(("call", "status"), [
    (lambda client: client.movie(1).details(), 404), (lambda client: client.movies().popular(page=501), 400),
    (lambda client: client.movies().request("movie/changes", start_date="2026-01-01", end_date="2026-02-01"), 422),
])  # fmt: skip
def test_errors_carry_tmdbs_status(client, call, status):
    with pytest.raises(TMDbHTTPError) as caught:
        call(client)
    assert caught.value.status_code == status


def test_a_blank_key_is_refused(address):
    for client in connected(address, " "):
        with pytest.raises(TMDbAuthenticationError):
            client.movies().popular()
