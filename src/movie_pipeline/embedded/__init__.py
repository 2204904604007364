"""A real Kafka broker and a real PostgreSQL as child processes, for `demo` and the tests.

Neither Docker nor a system service is needed, and neither process outlives the program that started it.
"""

from movie_pipeline.embedded.kafka import EmbeddedKafka
from movie_pipeline.embedded.postgres import EmbeddedPostgres

__all__ = ["EmbeddedKafka", "EmbeddedPostgres"]
