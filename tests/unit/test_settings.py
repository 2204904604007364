"""Settings and logs: one clear line for a wrong setting, and no secret anywhere."""

import io
import json
import logging
import subprocess
import sys

import psycopg2
import pytest

from movie_pipeline import logs, settings
from movie_pipeline.adapters import postgres
from movie_pipeline.errors import ConfigurationError
from movie_pipeline.settings import Settings

SECRET = "hunter2-\u00f1"


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def quiet_logs():
    """Give logging back as it was found."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("KAFKA_PARTITIONS", "six", "valid integer"),
        ("KAFKA_PARTITIONS", "0", "greater than 0"),
        ("PGPORT", "70000", "less than or equal to 65535"),
        ("DASK_ENGINE", "spark", "'inline', 'local', 'address' or 'kubernetes'"),
        ("KAFKA_SECURITY_PROTOCOL", "plain", "match pattern"),
        ("LOG_LEVEL", "LOUD", "match pattern"),
        ("KAFKA_TIMEOUT_SECONDS", "nan", "finite number"),
        ("LOAD_SIZE", "1000000", "less than or equal to 50000"),
    ],
)
def test_a_wrong_setting_is_one_line_with_its_variable_value_and_what_is_allowed(monkeypatch, name, value, said):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as error:
        settings.load()
    text = str(error.value)
    assert text.startswith(f"{name}={value!r}: ")
    assert said in text
    assert "\n" not in text
    assert error.value.exit_code == 2


def test_an_empty_variable_counts_as_absent(monkeypatch):
    monkeypatch.setenv("KAFKA_PARTITIONS", " ")
    monkeypatch.setenv("TMDB_API_TOKEN", "")
    found = settings.load()
    assert (found.kafka_partitions, found.tmdb_api_token) == (6, None)


def test_the_address_of_the_database_is_made_of_libpqs_variables(monkeypatch):
    for name, value in {
        "PGHOST": "/run/pg",
        "PGUSER": "a b",
        "PGPASSWORD": "p@ss/:?",
        "PGDATABASE": "m",
        "PGPORT": "1",
    }.items():
        monkeypatch.setenv(name, value)
    parts = psycopg2.extensions.parse_dsn(settings.load().database_dsn())
    assert parts == {"host": "/run/pg", "user": "a b", "password": "p@ss/:?", "dbname": "m", "port": "1"}


def test_settings_survive_the_way_through_an_environment(monkeypatch):
    first = settings.load(pgpassword=SECRET, batch_size=10, analysis=False, database_url=f"postgresql://u:{SECRET}@h/d")
    for name, value in first.environment().items():
        monkeypatch.setenv(name, value)
    assert settings.load() == first


def test_secrets_never_show_in_settings_or_their_errors(monkeypatch):
    found = settings.load(pgpassword=SECRET, tmdb_api_key=SECRET, kafka_sasl_password=SECRET)
    assert SECRET not in f"{found!r} {found!s} {found.model_dump()} {found.model_dump_json()}"
    with pytest.raises(ConfigurationError) as error:
        settings.load(pgpassword=[SECRET])
    assert SECRET not in str(error.value)


def test_a_wrong_database_address_is_one_line_without_its_password():
    for address in (f"movies:{SECRET}", f"postgresql://u:{SECRET}%zz@h/d", f"user=x {SECRET}"):
        with pytest.raises(ConfigurationError) as error:
            postgres.connect(address)
        assert SECRET not in str(error.value)
        assert "DATABASE_URL" in str(error.value)


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_logs_mask_every_secret_also_in_errors(monkeypatch, quiet_logs, log_format):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    url = f"postgresql://movies:{SECRET}@db/movies"
    logs.configure(settings.load(log_format=log_format, tmdb_api_token="tok-123456", database_url=url))
    log = logs.get("test")
    try:
        int(f"cannot reach {url}, password {SECRET}")
    except ValueError:
        log.exception("failed with tok-123456", address=url, items=[SECRET, {"deep": ("tok-123456",)}])
    logging.getLogger("library").warning("found %s", SECRET)
    text = stream.getvalue()
    assert "failed with ***" in text
    assert SECRET not in text
    assert "tok-123456" not in text


def test_json_logs_are_one_object_a_line(monkeypatch, quiet_logs):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure(settings.load(log_format="json"))
    logs.get("test").info("batch loaded", films=10, title="películas")
    (line,) = map(json.loads, stream.getvalue().splitlines())
    assert line.items() >= {"event": "batch loaded", "films": 10, "title": "películas", "level": "info"}.items()


def test_producing_loads_no_heavy_library():
    code = (
        "import sys\n"
        "import movie_pipeline.cli, movie_pipeline.wiring.produce, movie_pipeline.jobs.producer\n"
        "import movie_pipeline.adapters.kafka, movie_pipeline.adapters.tmdb, movie_pipeline.adapters.crawl_state\n"
        "heavy = {'pandas', 'sqlalchemy', 'dask', 'sklearn', 'matplotlib', 'pyarrow', 'numpy', 'alembic'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
