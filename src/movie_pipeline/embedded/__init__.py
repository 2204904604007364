"""A real Kafka broker, a real PostgreSQL and the sample API as child processes, for `demo` and the tests.

Neither Docker nor a system service is needed, and no process outlives the program that started it.
"""

from movie_pipeline.embedded.films import EmbeddedSampleApi
from movie_pipeline.embedded.kafka import EmbeddedKafka
from movie_pipeline.embedded.postgres import EmbeddedPostgres

__all__ = ["EmbeddedKafka", "EmbeddedPostgres", "EmbeddedSampleApi"]
