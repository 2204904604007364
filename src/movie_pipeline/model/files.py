"""Model files: written for everybody, loaded only when they are exactly what the manifest says.

A pickle runs code when it is opened, so this program never opens one; it is there because the seed names it.
`load` reads the skops twin, whose types must all stand in `TRUSTED`. The checksum finds damage and mix-ups; what
protects from a hostile file is the list of types.
"""

import hashlib
import json
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple
from zipfile import ZIP_DEFLATED

import skops.io
from sklearn.pipeline import Pipeline
from skops.io.exceptions import UntrustedTypesFoundException

from movie_pipeline.errors import StateConflictError
from movie_pipeline.model.features import FEATURE_SETS, FeatureSet
from movie_pipeline.model.training import Training
from movie_pipeline.model.versions import versions

FORMAT = 1
BINDING_LIBRARIES = ("scikit-learn", "numpy", "skops")
"""Libraries whose version must be the recorded one."""
TRUSTED = (
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.model_selection._split.KFold",
)
"""Types beyond skops' own list that a model of ours contains."""


class LoadedModel(NamedTuple):
    """A model that passed every check."""

    features: FeatureSet
    pipeline: Pipeline
    interval: tuple[float, float]


def dump(training: Training, stem: str, created: str) -> dict[str, bytes]:
    """Return a training's files by name: `{stem}.pkl` (seed's features), a skops file for each set, the manifest."""
    files = {f"{stem}.pkl": pickle.dumps(training.models[FeatureSet.SEED].pipeline)}
    entries = {}
    for kind, model in training.models.items():
        name = skops_name(stem, kind)
        files[name] = skops.io.dumps(model.pipeline, compression=ZIP_DEFLATED, compresslevel=6)
        entries[kind.value] = {
            "file": name,
            "sha256": _digest(files[name]),
            "features": list(FEATURE_SETS[kind].names),
            "interval": list(model.interval),
        }
    manifest = {
        "format": FORMAT,
        "created": created,
        "libraries": versions(),
        "models": entries,
        "pickle": {"file": f"{stem}.pkl", "sha256": _digest(files[f"{stem}.pkl"])},
    }
    return files | {manifest_name(stem): json.dumps(manifest, indent=1).encode()}


def skops_name(stem: str, kind: FeatureSet) -> str:
    """Return the name of a skops file."""
    return f"{stem}.skops" if kind is FeatureSet.SEED else f"{stem}_{kind.value}.skops"


def manifest_name(stem: str) -> str:
    """Return the name of the manifest."""
    return f"{stem}.manifest.json"


def load(read: Callable[[str], bytes], stem: str, kind: FeatureSet) -> LoadedModel:
    """Load one model; `read` gives a file's bytes by name.

    Raises StateConflictError when manifest, checksum, library versions, features or types are not the expected ones.
    """
    manifest = _manifest(read(manifest_name(stem)))
    _check_libraries(manifest["libraries"])
    entry = manifest["models"][kind.value]
    if tuple(entry["features"]) != FEATURE_SETS[kind].names:
        raise _refused(
            entry["file"], f"its features are {entry['features']}, this version has {FEATURE_SETS[kind].names}"
        )
    content = read(skops_name(stem, kind))
    if _digest(content) != entry["sha256"]:
        raise _refused(entry["file"], f"its SHA-256 is {_digest(content)}, the manifest says {entry['sha256']}")
    low, high = entry["interval"]
    return LoadedModel(kind, _unpack(entry["file"], content), (float(low), float(high)))


def _manifest(content: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(content)
        found = (
            manifest["format"],
            manifest["libraries"],
            [manifest["models"][kind.value]["sha256"] for kind in FeatureSet],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise _refused("manifest", f"it is not a manifest ({error!r})") from error
    if found[0] != FORMAT:
        raise _refused("manifest", f"its format is {found[0]}, this version reads {FORMAT}")
    return manifest


def _check_libraries(recorded: dict[str, str]) -> None:
    present = versions()
    wrong = [
        f"{name} {recorded.get(name)} (here {present[name]})"
        for name in BINDING_LIBRARIES
        if recorded.get(name) != present[name]
    ]
    if wrong:
        raise _refused("model", f"it was made with {', '.join(wrong)}")


def _unpack(name: str, content: bytes) -> Pipeline:
    try:
        return skops.io.loads(content, trusted=list(TRUSTED))
    except UntrustedTypesFoundException as error:
        raise _refused(name, f"it holds types that no model of ours has ({error})") from error


def _refused(name: str, reason: str) -> StateConflictError:
    return StateConflictError(f"{name}: {reason}; it is not loaded. Train again with `movie-pipeline train`")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
