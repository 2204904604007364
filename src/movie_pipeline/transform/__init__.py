"""Pure functions, frames in and frames out: no I/O, clock, settings or Dask."""
