"""A real Kafka broker, a real PostgreSQL and the sample API as child processes, for `demo` and the tests.

Neither Docker nor a system service is needed, and no process outlives the program that started it.
"""

from movie_pipeline.embedded.kafka import EmbeddedKafka
from movie_pipeline.embedded.postgres import EmbeddedPostgres
from movie_pipeline.embedded.sample_api import EmbeddedSampleApi

__all__ = ["EmbeddedKafka", "EmbeddedPostgres", "EmbeddedSampleApi"]
