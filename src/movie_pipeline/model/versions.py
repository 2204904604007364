"""Which software makes and reads a model; asking needs none of it imported."""

import platform
from importlib.metadata import version

LIBRARIES = ("scikit-learn", "numpy", "scipy", "pandas", "skops")


def versions() -> dict[str, str]:
    """Return the version of Python and of each library, by name."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}
