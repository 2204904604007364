"""Helm test: the producer's Kafka user reaches the topic and cannot read it."""

import sys

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import TopicAuthorizationFailedError

from movie_pipeline import settings

current = settings.load()
consumer = KafkaConsumer(
    bootstrap_servers=current.kafka_bootstrap_servers,
    security_protocol=current.kafka_security_protocol,
    sasl_mechanism=current.kafka_sasl_mechanism,
    sasl_plain_username=current.kafka_sasl_username,
    sasl_plain_password=current.kafka_sasl_password.get_secret_value(),
    ssl_cafile=str(current.kafka_ssl_cafile),
    auto_offset_reset="earliest",
    group_id=None,
)
partitions = consumer.partitions_for_topic(current.kafka_topic)
if not partitions:
    sys.exit(f"the producer's user sees no topic {current.kafka_topic}")
print(f"{current.kafka_topic} has {len(partitions)} partitions", flush=True)
consumer.assign([TopicPartition(current.kafka_topic, min(partitions))])
try:
    records = consumer.poll(timeout_ms=15_000)
except TopicAuthorizationFailedError:
    print("reading is refused, as it should be", flush=True)
else:
    sys.exit(f"the producer's user could read {current.kafka_topic}: {sum(map(len, records.values()))} records")
