"""A training as others need it: figures, importances and files, without a Pipeline in them.

Training takes as long as all the charts together, and its libraries as long again to import: `learn` is made to run in
a process beside the drawing, so this module imports them only then, and what it returns goes from one to the other.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from movie_pipeline.model.versions import versions

MAX_FILMS = 30_000
"""Films that a model is trained on at most; above it the catalogue draws a fixed sample by the hash of the id."""
IMPORTANCE_FILE = "feature_importance.csv"


@dataclass(frozen=True)
class Learned:
    """What a training left, or why there is no model: `metrics` is what `metrics.json` says."""

    metrics: Mapping[str, Any]
    importance: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """Feature, importance and its standard deviation, by feature set."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    seconds: float = 0.0


def untrained(message: str) -> Learned:
    """Return what stands for a model that there is not, and why."""
    return Learned({"trained": False, "message": message})


def learn(films: pd.DataFrame, stem: str, created: str) -> Learned:
    """Train on films in the shape of `Catalogue.training_films`; the files are named after `stem`.

    Too few films are no error: the metrics say why there is no model. `created` is an RFC 3339 time.
    """
    from movie_pipeline.model import files, training  # noqa: PLC0415 - see above

    began = time.monotonic()
    try:
        trained = training.train(films)
    except training.NothingToLearnError as error:
        return Learned({"trained": False, "message": str(error), "rows": len(films), "libraries": versions()})
    importance = {kind.value: model.importance for kind, model in trained.models.items()}
    table = pd.concat([rows.assign(feature_set=name) for name, rows in importance.items()], ignore_index=True)
    written = {**files.dump(trained, stem, created), IMPORTANCE_FILE: table.to_csv(index=False).encode()}
    return Learned(trained.metrics, importance, written, time.monotonic() - began)
