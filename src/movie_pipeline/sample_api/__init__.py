"""A local TMDB: the sample of real films behind the real API's paths, error bodies and limits."""

from movie_pipeline.sample_api.catalogue import Catalogue, FileCatalogue, SyntheticCatalogue
from movie_pipeline.sample_api.faults import Faults
from movie_pipeline.sample_api.server import SERVER_NAME, SampleApi

__all__ = ["SERVER_NAME", "Catalogue", "Faults", "FileCatalogue", "SampleApi", "SyntheticCatalogue"]
