"""Measurements: `python -m benchmarks` runs them all, `python -m benchmarks load` one of them."""
