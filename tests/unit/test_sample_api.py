"""The sample API speaks TMDB's language: shapes, paging, errors, authentication, faults."""

import gzip
from datetime import UTC, date, datetime, timedelta

import orjson
import pytest
import requests

from movie_pipeline.errors import ConfigurationError
from movie_pipeline.sample_api import Faults, SampleApi, SyntheticCatalogue

TOKEN = {"Authorization": "Bearer any"}
AVATAR = 19995
DETAIL_KEYS = (
    "adult, backdrop_path, belongs_to_collection, budget, genres, homepage, id, imdb_id, origin_country, "
    "original_language, original_title, overview, popularity, poster_path, production_companies, production_countries, "
    "release_date, revenue, runtime, softcore, spoken_languages, status, tagline, title, video, vote_average, "
    "vote_count"
)


@pytest.fixture(scope="module")
def sample():
    with SampleApi() as api:
        yield api


@pytest.fixture
def small():
    """Run a server over 55 made-up films with the given faults."""
    running = []

    def start(films=55, **options):
        faults = Faults(**{name: options.pop(name) for name in list(options) if name in Faults.__dataclass_fields__})
        api = SampleApi(SyntheticCatalogue(films), faults=faults, **options)
        running.append(api.__enter__())
        return api

    yield start
    for api in running:
        api.__exit__(None, None, None)


def get(api, path, **options):
    return requests.get(api.url + path, headers=TOKEN, timeout=10, **options)


def test_details_have_every_key_of_the_real_api(sample):
    body = get(sample, f"/movie/{AVATAR}").json()
    assert sorted(body) == sorted(DETAIL_KEYS.split(", "))
    assert body["revenue"] == 2_787_965_087
    assert body["origin_country"] == ["US"]
    assert body["spoken_languages"][1] == {"english_name": "Spanish", "iso_639_1": "es", "name": "Español"}
    company = {"id": 289, "logo_path": None, "name": "Ingenious Film Partners", "origin_country": ""}
    assert body["production_companies"][0] == company


def test_credits_come_appended_and_alone(sample):
    appended = get(sample, f"/movie/{AVATAR}?append_to_response=videos,credits").json()["credits"]
    alone = get(sample, f"/movie/{AVATAR}/credits").json()
    assert alone == {"id": AVATAR, **appended}
    director = next(person for person in appended["crew"] if person["job"] == "Director")
    assert (director["name"], director["known_for_department"], director["profile_path"]) == (
        "James Cameron", "Directing", None,
    )  # fmt: skip


def test_popular_films_come_in_pages_of_twenty_by_popularity(sample):
    pages = [get(sample, f"/movie/popular?page={page}").json() for page in (1, 2, 241)]
    assert [len(page["results"]) for page in pages] == [20, 20, 3]
    assert (pages[0]["total_pages"], pages[0]["total_results"]) == (241, 4_803)
    popularity = [row["popularity"] for page in pages for row in page["results"]]
    assert popularity == sorted(popularity, reverse=True)
    assert sorted(pages[0]["results"][0]) == sorted((
        "adult", "backdrop_path", "genre_ids", "id", "title", "original_language", "original_title", "overview",
        "popularity", "poster_path", "release_date", "softcore", "video", "vote_average", "vote_count",
    ))  # fmt: skip


@pytest.mark.parametrize(("path", "status", "code"), [
    ("/movie/popular?page=501", 400, 22), ("/movie/popular?page=0", 400, 22), ("/movie/popular?page=x", 400, 22),
    (f"/movie/popular?page={'9' * 5_000}", 400, 22), ("/movie/1", 404, 34), ("/no/such/path", 404, 34),
    ("/movie/changes?start_date=2020-01-01&end_date=2020-01-16", 422, 20),
    ("/movie/changes?start_date=yesterday", 400, 23),
    (f"/movie/{AVATAR}?append_to_response={','.join('x' * 21)}", 400, 27),
])  # fmt: skip
def test_errors_have_tmdbs_status_and_code(sample, path, status, code):
    answer = get(sample, path)
    body = answer.json()
    assert (answer.status_code, body["status_code"], body["success"]) == (status, code, False)
    assert body["status_message"]


def test_total_pages_runs_past_what_is_given_out():
    with SampleApi(SyntheticCatalogue(20_000)) as api:
        assert get(api, "/movie/popular?page=500").json()["total_pages"] == 1_000
        assert get(api, "/movie/popular?page=501").status_code == 400


@pytest.mark.parametrize(("headers", "query", "status"), [
    ({"Authorization": "Bearer right"}, "", 200), ({}, "?api_key=right", 200), ({}, "", 401), ({}, "?api_key=", 401),
    ({"Authorization": "Bearer wrong"}, "", 401), ({}, "?api_key=wrong", 401),
    ({"Authorization": "Basic right"}, "", 401),
])  # fmt: skip
def test_token_and_key_are_both_taken(small, headers, query, status):
    api = small(accepted={"right"})
    answer = requests.get(f"{api.url}/authentication{query}", headers=headers, timeout=10)
    assert answer.status_code == status
    assert answer.json()["status_code"] == (1 if status == 200 else 7)


def test_genres_and_configuration_are_tmdbs(sample):
    genres = get(sample, "/genre/movie/list").json()["genres"]
    assert (len(genres), genres[0]) == (19, {"id": 28, "name": "Action"})
    assert get(sample, "/configuration").json()["images"]["base_url"].startswith("http")


def test_changes_follow_the_given_days_with_a_hundred_a_page(small):
    day = date(2026, 1, 10)
    api = small(changes={day: range(1, 151), day + timedelta(days=1): [7]}, null_changes=1)
    body = get(api, f"/movie/changes?start_date={day}&end_date={day + timedelta(days=1)}&page=2").json()
    assert (len(body["results"]), body["total_pages"], body["total_results"]) == (51, 2, 150)
    assert body["results"][0]["id"] is None


def test_the_export_of_a_day_is_gzip_lines_of_every_film(sample):
    name = f"movie_ids_{datetime.now(UTC):%m_%d_%Y}.json.gz"
    lines = gzip.decompress(requests.get(f"{sample.export_url}/{name}", timeout=10).content).splitlines()
    ids = [orjson.loads(line)["id"] for line in lines]
    assert len(set(ids)) == 4_803
    assert ids != sorted(ids)


def test_answers_are_packed_only_for_those_who_ask(sample):
    plain = get(sample, f"/movie/{AVATAR}", stream=True)
    bare = requests.get(f"{sample.url}/movie/{AVATAR}", headers={**TOKEN, "Accept-Encoding": "identity"}, timeout=10)
    assert (plain.headers["Content-Encoding"], bare.headers.get("Content-Encoding")) == ("gzip", None)
    assert plain.json() == bare.json()


def test_a_connection_serves_many_requests(small):
    api = small()
    with requests.Session() as session:
        for _ in range(5):
            session.get(f"{api.url}/authentication", headers=TOKEN, timeout=10)
    assert api.counts.connections == 1


def test_other_methods_are_refused(small):
    answer = requests.post(f"{small().url}/authentication", headers=TOKEN, timeout=10)
    assert (answer.status_code, answer.json()["status_code"]) == (405, 4)


def test_a_plain_file_and_a_packed_one_serve_the_same(tmp_path):
    line = orjson.dumps({**SyntheticCatalogue(9).film(9), "title": "Nine"})
    (tmp_path / "films.jsonl").write_bytes(line + b"\n\n")
    (tmp_path / "films.jsonl.gz").write_bytes(gzip.compress(line))
    for name in ("films.jsonl", "films.jsonl.gz"):
        with SampleApi(tmp_path / name) as api:
            assert get(api, "/movie/9").json()["title"] == "Nine"


@pytest.mark.parametrize("content", [b'{"title": "no id"}\n', b"no json\n", b"\x1f\x8b\x08torn"])
def test_a_file_that_is_not_films_is_one_clear_line(tmp_path, content):
    path = tmp_path / "films"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="sample data"):
        SampleApi(path)


def test_a_missing_file_and_a_used_port_are_one_clear_line(tmp_path, sample):
    with pytest.raises(ConfigurationError, match="give a file of films"):
        SampleApi(tmp_path / "nothing")
    for port in (int(sample.base.rpartition(":")[2]), 70_000):
        with pytest.raises(ConfigurationError, match="choose another port"):
            SampleApi(SyntheticCatalogue(1), port=port)


@pytest.mark.parametrize(("fault", "value"), [
    ("error_rate", 1.5), ("cut_rate", -0.1), ("latency_seconds", float("nan")), ("rate_limit", -1),
])  # fmt: skip
def test_a_fault_that_cannot_be_meant_is_refused_by_name(fault, value):
    with pytest.raises(ConfigurationError, match=f"{fault} .*is required"):
        Faults(**{fault: value})


@pytest.mark.parametrize(("retry_after", "header"), [("window", "1"), ("zero", "0"), ("absent", None)])
def test_over_the_limit_a_429_says_when_to_come_back(small, retry_after, header):
    api = small(rate_limit=3, rate_window_seconds=60 if header != "1" else 0.9, retry_after=retry_after)
    answers = [get(api, "/authentication") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].headers.get("Retry-After") == header
    assert answers[3].json()["status_message"] == "Your request count (4) is over the allowed limit of 3."


def test_a_429_may_be_html_or_hide_behind_another_status(small):
    html = small(rate_limit=1, rate_window_seconds=60, plain_429=True)
    hidden = small(rate_limit=1, rate_window_seconds=60, code_25_status=200)
    for api in (html, hidden):
        get(api, "/authentication")
    assert get(html, "/authentication").headers["Content-Type"] == "text/html"
    assert (get(hidden, "/authentication").status_code, get(hidden, "/authentication").json()["status_code"]) == (
        200,
        25,
    )


def test_errors_cut_bodies_gone_films_and_repeated_ones_come_on_demand(small):
    assert get(small(fail_first=1, error_statuses=(503,)), "/authentication").status_code == 503
    with pytest.raises(requests.RequestException):
        get(small(cut_first=1), "/authentication")
    assert get(small(gone=frozenset({2})), "/movie/2").status_code == 404
    api = small(page_overlap=2)
    ids = [[row["id"] for row in get(api, f"/movie/popular?page={page}").json()["results"]] for page in (1, 2)]
    assert ids[0][-2:] == ids[1][:2]


def test_the_error_rate_is_the_share_of_failing_answers(small):
    api = small(error_rate=0.3, seed=4)
    with requests.Session() as session:
        statuses = [session.get(f"{api.url}/authentication", headers=TOKEN, timeout=10).status_code for _ in range(200)]
    assert 40 <= sum(status >= 500 for status in statuses) <= 80


def test_counts_tell_what_was_asked(small):
    api = small()
    get(api, "/movie/3")
    get(api, "/movie/3")
    get(api, "/movie/99")
    summary = requests.get(f"{api.base}/_counts", timeout=10).json()
    assert summary["films"].pop("milliseconds") >= 0
    assert summary["films"] == {"fetched": 2, "distinct": 1}
    assert summary["statuses"] == {"200": 2, "404": 1}
