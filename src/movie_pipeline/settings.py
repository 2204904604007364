"""Every setting, read once from the environment when the program starts.

The variable names are the upstream ones where an upstream has one (libpq's PG*, KAFKA_BOOTSTRAP_SERVERS).
Compose, chart and DAG use these names and no others; `docs/configuration.md` is generated from this module.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, unquote, urlencode

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from movie_pipeline.errors import ConfigurationError

Port = Annotated[int, Field(ge=0, le=65535)]
Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]


class EngineKind(StrEnum):
    """Where offset ranges are computed."""

    INLINE = "inline"
    LOCAL = "local"
    ADDRESS = "address"
    KUBERNETES = "kubernetes"


class LogFormat(StrEnum):
    """How log lines look; `auto` is text on a terminal and JSON elsewhere."""

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"


class Language(StrEnum):
    """Language of charts and report."""

    SPANISH = "es"
    ENGLISH = "en"


class Settings(BaseSettings):
    """All settings of one process, frozen; secrets never show in `repr`, logs or errors."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, allow_inf_nan=False)

    # --- TMDB
    tmdb_api_token: SecretStr | None = Field(
        None, description="TMDB API read access token (v4), sent as Bearer; preferred over the key"
    )
    tmdb_api_key: SecretStr | None = Field(None, description="TMDB API key (v3), used when there is no token")
    tmdb_api_url: str = Field(
        "https://api.themoviedb.org/3",
        description="Base address of the API; point it at `movie-pipeline sample-api` to work without TMDB",
    )
    tmdb_export_url: str = Field("http://files.tmdb.org/p/exports", description="Where the daily id exports lie")
    tmdb_language: str = Field("en-US", pattern=r"^[a-z]{2}(-[A-Z]{2})?$", description="Language of titles and texts")
    tmdb_region: str | None = Field(None, pattern=r"^[A-Z]{2}$", description="ISO 3166-1 country for the popular list")
    tmdb_requests_per_second: float = Field(
        40.0, gt=0, le=1000, description="Rate budget, shared by all threads and all producers"
    )
    tmdb_threads: Positive = Field(16, le=64, description="Requests in flight of one producer")
    tmdb_timeout_seconds: Seconds = Field(20.0, description="Time-out of one request")
    tmdb_retry_attempts: Positive = Field(
        6, description="Attempts for one request before its id goes to the retry list"
    )
    tmdb_retry_seconds: Seconds = Field(120.0, description="Time for all attempts of one request")
    max_producers: Positive = Field(
        1, description="Producers that may run at once; without the database each takes its part of the rate budget"
    )
    cast_limit: Positive = Field(10, le=100, description="Cast members kept for each film, by billing order")
    refresh_days: Positive = Field(
        150,
        le=180,
        description="Films fetched longer ago than this are fetched again (TMDB's terms cap caching at six months)",
    )
    daily_request_budget: Positive = Field(100_000, description="Films that one refresh run fetches at most")

    # --- Kafka
    kafka_bootstrap_servers: str = Field("localhost:29092", description="host:port list of the brokers")
    kafka_topic: str = Field("tmdb_data", pattern=r"^[A-Za-z0-9._-]{1,249}$", description="Topic of the films")
    kafka_dlq_topic: str = Field("tmdb_data.dlq", pattern=r"^[A-Za-z0-9._-]{1,249}$", description="Dead-letter topic")
    kafka_partitions: Positive = Field(
        6,
        description="Partitions of a topic that the pipeline creates; also the most workers that one topic can keep busy",
    )
    kafka_replication_factor: Positive = Field(1, description="Replication factor of a topic that the pipeline creates")
    kafka_consumer_group: str = Field(
        "movie-pipeline", description="Consumer group whose offsets show lag to Kafka's tools"
    )
    kafka_security_protocol: str = Field(
        "PLAINTEXT",
        pattern=r"^(PLAINTEXT|SSL|SASL_PLAINTEXT|SASL_SSL)$",
        description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
    )
    kafka_sasl_mechanism: str | None = Field(
        None, pattern=r"^(PLAIN|SCRAM-SHA-256|SCRAM-SHA-512)$", description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
    )
    kafka_sasl_username: str | None = Field(None, description="SASL user")
    kafka_sasl_password: SecretStr | None = Field(None, description="SASL password")
    kafka_ssl_cafile: Path | None = Field(None, description="PEM file of the cluster's CA")
    kafka_timeout_seconds: Seconds = Field(
        15.0, description="How long Kafka may stay silent before it counts as unreachable"
    )

    # --- PostgreSQL (libpq's names; DATABASE_URL wins over all of them)
    database_url: SecretStr | None = Field(None, description="postgresql://… of the movies database; wins over PG*")
    pghost: str = Field("localhost", description="Host, or a socket folder")
    pgport: Port = Field(5432, description="Port")
    pguser: str = Field("movies", description="Role")
    pgpassword: SecretStr | None = Field(None, description="Password of the role")
    pgdatabase: str = Field("movies", description="Database")
    pgsslmode: str | None = Field(
        None, pattern=r"^(disable|allow|prefer|require|verify-ca|verify-full)$", description="TLS mode of libpq"
    )
    pgsslrootcert: Path | None = Field(None, description="PEM file of the server's CA")
    app_role: str | None = Field(
        None,
        pattern=r"^[a-z_][a-z0-9_]{0,62}$",
        description="`migrate` creates or updates this role with data rights only",
    )
    app_role_password: SecretStr | None = Field(None, description="Password that `migrate` gives to APP_ROLE")

    # --- Consumer
    batch_size: Positive = Field(5_000, le=1_000_000, description="Messages of one analysed batch, at least")
    batch_seconds: Seconds = Field(30.0, description="A batch closes after this time even when it is smaller")
    load_size: Positive = Field(2_000, le=50_000, description="Messages of one database transaction, at most")
    analysis: bool = Field(True, description="Draw charts and train a model for each batch")
    metrics_port: Port | None = Field(
        None, description="Serve /metrics, /healthz and /readyz on this port in follow mode"
    )
    metrics_host: str = Field("0.0.0.0", description="Address that the metrics server binds")  # noqa: S104 - probes come from outside the pod

    # --- Dask
    dask_engine: EngineKind = Field(
        EngineKind.LOCAL, description="inline, local, address (DASK_SCHEDULER_ADDRESS) or kubernetes (KubeCluster)"
    )
    dask_workers: int = Field(
        0, ge=0, le=256, description="Worker processes of the local engine; 0 takes one for each core, at most four"
    )
    dask_scheduler_address: str | None = Field(None, description="tcp://host:8786 of a running scheduler")
    dask_min_workers: int = Field(0, ge=0, description="KubeCluster: workers kept when idle")
    dask_max_workers: Positive = Field(4, description="KubeCluster: workers at most")
    dask_messages_per_worker: Positive = Field(
        20_000, description="KubeCluster: one more worker for each so many waiting messages"
    )
    dask_idle_seconds: Seconds = Field(
        60.0, description="KubeCluster: how long without work before the workers go away"
    )
    dask_cluster_name: str = Field(
        "movie-pipeline-dask",
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        description="KubeCluster: name of the DaskCluster resource; the end of POD_NAME is added",
    )
    dask_cluster_spec: Path | None = Field(
        None, description="KubeCluster: YAML file with the DaskCluster resource (the chart mounts it)"
    )
    pod_name: str | None = Field(None, description="Downward API: the pod that owns its KubeCluster")
    pod_uid: str | None = Field(None, description="Downward API: that pod's uid")
    inline_below: int = Field(500, ge=0, description="Backlogs smaller than this are loaded by the driver itself")

    # --- Files, charts, model
    output_dir: Path = Field(Path("data/movie_analytics"), description="Where backups, charts, models and reports go")
    chart_language: Language = Field(Language.SPANISH, description="es or en")
    keep_runs: int = Field(30, ge=0, description="Timestamped folders and batches kept below OUTPUT_DIR; 0 keeps all")

    # --- Run
    run_id: str | None = Field(
        None, pattern=r"^[A-Za-z0-9._:+~-]{1,250}$", description="Identity of the run; made up when absent"
    )
    log_format: LogFormat = Field(LogFormat.AUTO, description="auto, text or json")
    log_level: str = Field("INFO", pattern=r"^(DEBUG|INFO|WARNING|ERROR)$", description="DEBUG, INFO, WARNING or ERROR")

    @field_validator("*", mode="before")
    @classmethod
    def _blank_is_absent(cls, value: Any, info: Any) -> Any:
        """Compose and Kubernetes pass an unset variable as an empty text."""
        if isinstance(value, str) and not value.strip():
            return cls.model_fields[info.field_name].default
        return value.strip() if isinstance(value, str) else value

    def database_dsn(self) -> str:
        """Return the libpq connection URL, password included: for drivers only, never for a log."""
        if self.database_url:
            return self.database_url.get_secret_value()
        password = f":{quote(self.pgpassword.get_secret_value(), safe='')}" if self.pgpassword else ""
        query = {"host": self.pghost, "port": self.pgport}
        if self.pgsslmode:
            query["sslmode"] = self.pgsslmode
        if self.pgsslrootcert:
            query["sslrootcert"] = str(self.pgsslrootcert)
        return f"postgresql://{quote(self.pguser, safe='')}{password}@/{quote(self.pgdatabase, safe='')}?{urlencode(query)}"

    def environment(self) -> dict[str, str]:
        """Return the variables that give a child process these settings; secrets are among them."""
        found = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if value is not None and value != field.default:
                plain = value.get_secret_value() if isinstance(value, SecretStr) else value
                found[name.upper()] = str(plain)
        return found

    def secrets(self) -> tuple[str, ...]:
        """Return every secret text of these settings, for redaction; of an address also the password alone."""
        values = (getattr(self, name) for name in type(self).model_fields)
        found = {value.get_secret_value() for value in values if isinstance(value, SecretStr)}
        if self.database_url:
            password = self.database_url.get_secret_value().partition("://")[2].rpartition("@")[0].partition(":")[2]
            found |= {password, unquote(password)}
        if self.pgpassword:
            found.add(quote(self.pgpassword.get_secret_value(), safe=""))
        return tuple(found - {""})


def load(**overrides: Any) -> Settings:
    """Read the settings from the environment; keyword arguments (field names) win over it.

    Raises ConfigurationError with one line for each wrong setting: its variable, what is allowed, never a secret.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise ConfigurationError("; ".join(_explain(problem) for problem in error.errors(include_input=True))) from None


def _explain(problem: Any) -> str:
    name = str(problem["loc"][0]) if problem["loc"] else "settings"
    field = Settings.model_fields.get(name)
    secret = field is not None and "SecretStr" in str(field.annotation)
    received = "" if secret else f"={problem['input']!r}"
    meaning = f" ({field.description})" if field is not None else ""
    return f"{name.upper()}{received}: {problem['msg']}{meaning}"
