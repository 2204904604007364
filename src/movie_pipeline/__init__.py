"""Films from TMDB through Kafka and Dask into PostgreSQL, charts and a success model."""

__version__ = "0.1.0"
