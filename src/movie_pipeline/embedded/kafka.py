"""A real Apache Kafka broker (KRaft, one node) as a child process."""

import base64
import signal
import uuid
from pathlib import Path

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from movie_pipeline.embedded.jars import class_path, ensure_jars
from movie_pipeline.embedded.java import StartCache, find_java
from movie_pipeline.embedded.places import HOST, choose_port, is_open, make_folder, write_text
from movie_pipeline.embedded.process import Order, locked
from movie_pipeline.embedded.server import EmbeddedServer
from movie_pipeline.errors import BrokerUnavailableError

# C1 alone starts a second sooner, and a broker on one machine is never the slow part.
_JVM = (
    "-Xms64m",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Djava.net.preferIPv4Stack=true",
)
# The broker needs less than one; the first run of all also writes the cache of classes.
_STOP_SECONDS = 90.0
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
controller.listener.names=CONTROLLER
listeners=CLIENTS://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=CLIENTS://{host}:{port}
inter.broker.listener.name=CLIENTS
listener.security.protocol.map=CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=data
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


class EmbeddedKafka(EmbeddedServer):
    """A broker on the loopback address, up between `with` and the end of its block.

    Everything it stores lies below `directory`; the same directory gives the same topics again. `port` 0 takes a free
    one. The first start on a machine downloads the broker (43 MB) into the user's cache. Entering raises
    ConfigurationError (port taken, no Java), RetryLaterError (no network on the first run), StateConflictError (the
    directory is in use), OutputError (it cannot be written) or BrokerUnavailableError (the broker does not get ready).
    """

    name = "Kafka"
    unavailable = BrokerUnavailableError

    @property
    def bootstrap_servers(self) -> str:
        """Return host:port for clients."""
        return self.address

    def stop(self) -> None:
        """Stop the broker in order; nothing happens when it is down."""
        was_up = self.pid is not None
        super().stop()
        if was_up:
            self._cache.keep(self._cache_draft)

    @property
    def _cache_draft(self) -> Path:
        return self.directory / "classes.cache"

    def _prepare(self) -> None:
        self._java = find_java()
        make_folder(self.directory, mode=0o700)
        jars = ensure_jars(progress=self._progress)
        self._class_path = class_path(jars)
        self._cache = StartCache.below(jars[0].parent, self._java, self._class_path)
        with locked(self.directory):
            _identify(self.directory / "data")

    def _order(self) -> Order:
        text = _PROPERTIES.format(host=HOST, port=self.port, controller_port=choose_port(0, "Kafka's controller"))
        write_text(self.directory / "server.properties", text)
        write_text(self.directory / "log4j2.properties", _LOGGING)
        # Relative to the broker's working directory: a comma or an accent in the path would mean something else here.
        command = [str(self._java.path), *_JVM, *self._cache.flags(self._cache_draft)]
        command += ["-Dlog4j2.configurationFile=log4j2.properties", "-cp", self._class_path]
        command += ["kafka.Kafka", "server.properties"]
        return Order("Kafka", command, self.directory, signal.SIGTERM, locale="C.UTF-8", stop_seconds=_STOP_SECONDS)

    def _answers(self, seconds: float) -> bool:
        # A client that knocks before the port is open waits for its back-off; a bare connection does not.
        return is_open(self.port) and _answers_admin(self.bootstrap_servers, max(1000, int(seconds * 1000)))


def _identify(data: Path) -> None:
    """Do what `kafka-storage format` does, without a second start of the JVM."""
    identity = make_folder(data, mode=0o700) / "meta.properties"
    if not identity.exists():
        write_text(identity, f"version=1\ncluster.id={_new_id()}\nnode.id=1\ndirectory.id={_new_id()}\n")


def _new_id() -> str:
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _answers_admin(bootstrap_servers: str, milliseconds: int) -> bool:
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=bootstrap_servers,
            bootstrap_timeout_ms=milliseconds,
            request_timeout_ms=milliseconds,
        )
    except KafkaError:
        return False
    try:
        return bool(admin.describe_cluster().get("brokers"))
    except KafkaError:
        return False
    finally:
        admin.close()
