"""A real Apache Kafka broker (KRaft, one node) as a child process."""

import base64
import signal
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Self

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from movie_pipeline.embedded.jars import class_path, ensure_jars
from movie_pipeline.embedded.java import find_java
from movie_pipeline.embedded.places import HOST, Progress, choose_port, is_open, make_folder, silent
from movie_pipeline.embedded.process import Order, Server, last_words
from movie_pipeline.errors import BrokerUnavailableError, OutputError

# C1 alone starts a second sooner, and a broker on one machine is never the slow part.
_JVM = (
    "-Xms64m",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
    "-Djava.net.preferIPv4Stack=true",
)
_START_ATTEMPTS = 3
_POLL_SECONDS = 0.05
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
controller.listener.names=CONTROLLER
listeners=CLIENTS://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=CLIENTS://{host}:{port}
inter.broker.listener.name=CLIENTS
listener.security.protocol.map=CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
num.network.threads=2
num.io.threads=4
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
log.cleaner.dedupe.buffer.size=16777216
# A broker that was killed can come back only when its old session has run out.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""
_LOGGING = """\
status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{yyyy-MM-dd HH:mm:ss,SSS} %p %c{1}: %m%n
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
"""


class EmbeddedKafka:
    """A broker on the loopback address, up between `with` and the end of its block.

    Everything it stores lies below `directory`; the same directory gives the same topics again. `port` 0 takes a free
    one. The first start on a machine downloads the broker (43 MB) into the user's cache. Entering raises
    ConfigurationError (port taken, no Java), RetryLaterError (no network on the first run), StateConflictError (the
    directory is in use), OutputError (it cannot be written) or BrokerUnavailableError (the broker does not get ready).
    """

    def __init__(
        self, directory: Path, *, port: int = 0, progress: Progress = silent, ready_seconds: float = 60.0
    ) -> None:
        self._directory = Path(directory).absolute()
        self._wanted_port = port
        self._progress = progress
        self._ready_seconds = ready_seconds
        self._server: Server | None = None
        self.port = port

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def bootstrap_servers(self) -> str:
        """Return host:port for clients."""
        return f"{HOST}:{self.port}"

    @property
    def log_path(self) -> Path:
        """Return the file with the broker's output."""
        return self._directory / "server.log"

    @property
    def pid(self) -> int | None:
        """Return the broker's process id while it runs."""
        return self._server.pid if self._server else None

    def start(self) -> None:
        """Start the broker and wait until it answers an admin request."""
        java = find_java()
        jars = ensure_jars(progress=self._progress)
        _prepare(self._directory)
        for attempt in range(1, _START_ATTEMPTS + 1):
            # A port that was free a moment ago may be taken by the time the JVM binds it; then others are tried.
            self.port = choose_port(self.port or self._wanted_port, "Kafka")
            if self._try_start(java, jars):
                return
            if attempt == _START_ATTEMPTS or "Address already in use" not in self.log_path.read_text(errors="replace"):
                raise BrokerUnavailableError(
                    f"the embedded Kafka ended while starting: {last_words(self.log_path)} (whole log: {self.log_path})"
                )
            self.port = self._wanted_port

    def stop(self) -> None:
        """Stop the broker in order; nothing happens when it is down."""
        if self._server:
            self._server.stop()
            self._server = None

    def kill(self) -> None:
        """End the broker as a crash would (SIGKILL)."""
        if self._server:
            self._server.kill()
            self._server = None

    def restart(self) -> None:
        """Bring the broker back on the same directory and port, stopping it first when it is up."""
        self.stop()
        self.start()

    def _try_start(self, java: Path, jars: list[Path]) -> bool:
        """Return whether the broker got ready; False when it ended by itself, BrokerUnavailableError when time ran out."""
        properties = self._write_configuration()
        logging = f"-Dlog4j2.configurationFile={(self._directory / 'log4j2.properties').as_uri()}"
        command = [str(java), *_JVM, logging, "-cp", class_path(jars), "kafka.Kafka", str(properties)]
        server = Server(Order("Kafka", command, self._directory, signal.SIGTERM))
        try:
            ready = self._wait(server)
        except BaseException:
            server.stop()
            raise
        if ready:
            self._server = server
        else:
            server.stop()
        return ready

    def _wait(self, server: Server) -> bool:
        deadline = time.monotonic() + self._ready_seconds
        while server.is_running() and time.monotonic() < deadline:
            if is_open(self.port) and _answers(self.bootstrap_servers, deadline - time.monotonic()):
                return True
            time.sleep(_POLL_SECONDS)
        if server.is_running():
            raise BrokerUnavailableError(
                f"the embedded Kafka is not ready after {self._ready_seconds:.0f} s: {last_words(self.log_path)} (whole log: {self.log_path})"
            )
        return False

    def _write_configuration(self) -> Path:
        text = _PROPERTIES.format(
            host=HOST,
            port=self.port,
            controller_port=choose_port(0, "Kafka's controller"),
            data=self._directory / "data",
        )
        (self._directory / "log4j2.properties").write_text(_LOGGING, encoding="utf-8")
        path = self._directory / "server.properties"
        path.write_text(text, encoding="utf-8")
        return path


def _prepare(directory: Path) -> None:
    """Do what `kafka-storage format` does, without a second start of the JVM."""
    data = make_folder(directory / "data", mode=0o700)
    identity = data / "meta.properties"
    if identity.exists():
        return
    text = f"version=1\ncluster.id={_new_id()}\nnode.id=1\ndirectory.id={_new_id()}\n"
    try:
        draft = identity.with_suffix(".tmp")
        draft.write_text(text, encoding="utf-8")
        draft.replace(identity)
    except OSError as error:
        raise OutputError(
            f"cannot write {identity}: {error.strerror}; choose a folder with space that this user may write"
        ) from error


def _new_id() -> str:
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _answers(bootstrap_servers: str, seconds: float) -> bool:
    milliseconds = max(1000, int(seconds * 1000))
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=bootstrap_servers, bootstrap_timeout_ms=milliseconds, request_timeout_ms=milliseconds
        )
    except KafkaError:
        return False
    try:
        return bool(admin.describe_cluster().get("brokers"))
    except KafkaError:
        return False
    finally:
        admin.close()
