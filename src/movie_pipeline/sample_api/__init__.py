"""A local server that speaks TMDB's API over the packaged films."""
