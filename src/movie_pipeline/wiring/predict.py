"""Predictions for a film of the database, or for films in a file."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from movie_pipeline.errors import ConfigurationError
from movie_pipeline.settings import Settings

if TYPE_CHECKING:
    import pandas as pd


def predict(
    settings: Settings,
    *,
    movie_id: int | None = None,
    json_file: Path | None = None,
    csv_file: Path | None = None,
    model: Path | None = None,
) -> int:
    """Print a JSON line for each film: the prediction and its interval."""
    from movie_pipeline.jobs import predict as job
    from movie_pipeline.model import files

    folder, stem = _model_place(settings, model)
    films = _films(settings, movie_id, json_file, csv_file)
    found = job.predict(films, lambda kind: files.load(lambda name: _bytes(folder / name), stem, kind))
    sys.stdout.write("".join(f"{json.dumps(film, ensure_ascii=False)}\n" for film in found))
    return 0


def _films(settings: Settings, movie_id: int | None, json_file: Path | None, csv_file: Path | None) -> "pd.DataFrame":
    from movie_pipeline.adapters.aggregates import PostgresCatalogue
    from movie_pipeline.jobs import predict as job

    if movie_id is not None:
        with PostgresCatalogue(settings.database_dsn()) as catalogue:
            return catalogue.film(movie_id)
    if json_file is not None:
        return job.from_json(_content(json_file))
    assert csv_file is not None
    return job.from_csv(_content(csv_file))


def _model_place(settings: Settings, model: Path | None) -> tuple[Path, str]:
    """Return folder and stem of the model to use: the one named, or the newest that `train` or a batch has left."""
    from movie_pipeline.jobs.analysis import BATCH_FOLDER, BATCH_MODEL, LATEST, MODEL_FOLDER, RUN_MODEL
    from movie_pipeline.model.files import manifest_name

    if model is not None and model.suffix == ".skops":
        return model.parent, model.stem.removesuffix("_pre_release")
    latest = [settings.output_dir / f"{prefix}{LATEST}" for prefix in (MODEL_FOLDER, BATCH_FOLDER)]
    folders = [model] if model else latest
    places = [(folder, stem) for folder in folders for stem in (RUN_MODEL, BATCH_MODEL)]
    found = [(folder, stem) for folder, stem in places if (folder / manifest_name(stem)).is_file()]
    if not found:
        tried = ", ".join(map(str, folders))
        raise ConfigurationError(f"no model in {tried}: run `movie-pipeline train` first, or name one by --model")
    return max(found, key=lambda place: (place[0] / manifest_name(place[1])).stat().st_mtime)


def _content(path: Path) -> bytes:
    return sys.stdin.buffer.read() if str(path) == "-" else _bytes(path)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}; name a file that can be read") from None
