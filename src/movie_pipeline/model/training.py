"""Training, and figures that hold up: held-out fifth, dummy baselines, cross-validation, a split by time.

Everything that learns (scaling, genre vocabulary, target encoding of people and companies, the trees) stands in one
scikit-learn Pipeline and sees the training part only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.model_selection import KFold, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler, TargetEncoder
from threadpoolctl import threadpool_limits

from movie_pipeline.errors import SkippedItemError
from movie_pipeline.model import features
from movie_pipeline.model.features import FEATURE_SETS, FeatureSet
from movie_pipeline.model.learning import MAX_FILMS
from movie_pipeline.model.versions import versions

SEED = 42
HELD_OUT = 0.2
FOLDS = 5
MIN_FILMS = 60
INTERVAL = 0.8
BOOTSTRAPS = 1_000
IMPORTANCE_REPEATS, IMPORTANCE_ROWS = 5, 2_000

Numbers = np.ndarray[Any, np.dtype[np.float64]]


class NothingToLearnError(SkippedItemError):
    """Too few films, or a target that is the same for all: there is no model, and the rest of the run goes on."""


@dataclass(frozen=True)
class TrainedModel:
    """One fitted Pipeline with its figures.

    `interval` holds the bounds of log1p(target) - log1p(prediction) that `INTERVAL` of the out-of-fold ones keep.
    """

    features: FeatureSet
    pipeline: Pipeline
    interval: tuple[float, float]
    importance: pd.DataFrame
    metrics: Mapping[str, Any]


@dataclass(frozen=True)
class Training:
    """Models by feature set, and what `metrics.json` says."""

    models: Mapping[FeatureSet, TrainedModel]
    metrics: Mapping[str, Any]


def train(films: pd.DataFrame, *, threads: int = 1) -> Training:
    """Train one model for each feature set on films in the shape of `Catalogue.training_films`.

    One thread by default: the trees' OpenMP threads wait for each other in a spin and are slower by far than one when
    the cores are shared. Same films, same libraries: same models. Raises NothingToLearnError.
    """
    films = films[features.target(films).notna()].sort_values("id", ignore_index=True)
    y = features.target(films).to_numpy()
    _check(y)
    X = features.frame(films)  # noqa: N806 - scikit-learn's name
    with threadpool_limits(limits=threads, user_api="openmp"):
        models = {kind: _train_one(kind, X, y, films["release_date"]) for kind in FeatureSet}
    return Training(models, _metrics(films, models))


def predict(model: TrainedModel, films: pd.DataFrame) -> pd.DataFrame:
    """Return prediction, low and high (the model's interval) for each film, on the target's scale."""
    return bounds(model.pipeline, model.features, model.interval, films)


def bounds(pipeline: Pipeline, kind: FeatureSet, interval: tuple[float, float], films: pd.DataFrame) -> pd.DataFrame:
    """Return prediction, low and high of a pipeline, fitted or loaded."""
    with threadpool_limits(limits=1, user_api="openmp"):
        predicted = pipeline.predict(features.frame(films)[list(FEATURE_SETS[kind].names)])
    low, high = (np.expm1(np.log1p(predicted) + bound) for bound in interval)
    return pd.DataFrame({"prediction": predicted, "low": np.maximum(low, 0.0), "high": high}, index=films.index)


def fit(kind: FeatureSet, X: pd.DataFrame, y: Numbers) -> Pipeline:  # noqa: N803
    """Return the Pipeline of a feature set, fitted on these rows; a number that none of them knows is left out."""
    chosen = FEATURE_SETS[kind]
    numbers = [name for name in chosen.numbers if X[name].notna().any()]
    words = CountVectorizer(token_pattern=r"[^|]+", lowercase=False, binary=True)  # noqa: S106 - no password
    people = TargetEncoder(target_type="continuous", cv=KFold(FOLDS, shuffle=True, random_state=SEED))
    prepare = ColumnTransformer(
        [
            ("numbers", StandardScaler(), numbers),
            *((name, words, name) for name in chosen.bags),
            ("labels", people, list(chosen.labels)),
        ],
        sparse_threshold=0.0,
    )
    # Cross-validated on the training part, 7 to 31 leaves and rates of 0.03 to 0.08 differ by less than a fifth of the
    # error bar; these are among the fastest.
    trees = HistGradientBoostingRegressor(
        max_iter=100, learning_rate=0.08, max_leaf_nodes=15, l2_regularization=1.0, random_state=SEED
    )
    # Popularity spans three orders of magnitude; on the log scale one blockbuster does not outweigh the rest.
    learn = TransformedTargetRegressor(trees, func=np.log1p, inverse_func=np.expm1)
    return Pipeline([("prepare", prepare), ("learn", learn)]).fit(X, y)


def _check(y: Numbers) -> None:
    if len(y) < MIN_FILMS:
        raise NothingToLearnError(
            f"{len(y)} films with popularity and rating known, {MIN_FILMS} are needed for a model; load more films"
        )
    if np.ptp(y) == 0:
        raise NothingToLearnError(f"all {len(y)} films have the target {y[0]:g}; a model needs films that differ")


def _train_one(kind: FeatureSet, X: pd.DataFrame, y: Numbers, released: pd.Series) -> TrainedModel:  # noqa: N803
    X = X[list(FEATURE_SETS[kind].names)]  # noqa: N806
    train_rows, test_rows = train_test_split(np.arange(len(y)), test_size=HELD_OUT, random_state=SEED)
    folds, residuals = _cross_validate(kind, X.iloc[train_rows], y[train_rows])
    tail = (1 - INTERVAL) / 2
    interval = (float(np.quantile(residuals, tail)), float(np.quantile(residuals, 1 - tail)))
    pipeline = fit(kind, X.iloc[train_rows], y[train_rows])
    figures = _score(pipeline, X, y, train_rows, test_rows)
    figures |= {"cross_validation": folds, "interval": _coverage(pipeline, interval, X.iloc[test_rows], y[test_rows])}
    figures["time_split"] = _time_split(kind, X, y, released)
    importance = _importance(pipeline, kind, X.iloc[test_rows], y[test_rows])
    return TrainedModel(kind, pipeline, interval, importance, figures)


def _cross_validate(kind: FeatureSet, X: pd.DataFrame, y: Numbers) -> tuple[dict[str, Any], Numbers]:  # noqa: N803
    """Return mean and standard deviation over the folds, and the out-of-fold residuals on the log scale."""
    scores, residuals = [], []
    for train_rows, test_rows in KFold(FOLDS, shuffle=True, random_state=SEED).split(X):
        predicted = fit(kind, X.iloc[train_rows], y[train_rows]).predict(X.iloc[test_rows])
        scores.append(_scores(y[test_rows], predicted))
        residuals.append(np.log1p(y[test_rows]) - np.log1p(predicted))
    table = pd.DataFrame(scores)
    summary = {str(name): {"mean": float(table[name].mean()), "std": float(table[name].std())} for name in table}
    return {"folds": FOLDS, **summary}, np.concatenate(residuals)


def _score(pipeline: Pipeline, X: pd.DataFrame, y: Numbers, train_rows: Any, test_rows: Any) -> dict[str, Any]:  # noqa: N803
    predicted = pipeline.predict(X.iloc[test_rows])
    dummies = {
        name: DummyRegressor(strategy=name).fit(X.iloc[train_rows], y[train_rows]).predict(X.iloc[test_rows])
        for name in ("mean", "median")
    }
    return {
        **_scores(y[test_rows], predicted),
        "baseline": {name: _scores(y[test_rows], values) for name, values in dummies.items()},
        "margin": _margin(y[test_rows], predicted, dummies["median"]),
        "train_rows": len(train_rows),
        "test_rows": len(test_rows),
    }


def _scores(y: Numbers, predicted: Numbers) -> dict[str, float]:
    return {
        "r2": float(r2_score(y, predicted)),
        "mae": float(mean_absolute_error(y, predicted)),
        "rmse": float(root_mean_squared_error(y, predicted)),
    }


def _margin(y: Numbers, predicted: Numbers, dummy: Numbers) -> dict[str, float]:
    """Return by what share the model's mean absolute error is below the median dummy's; 95 % bootstrap interval."""
    errors, dummy_errors = np.abs(y - predicted), np.abs(y - dummy)
    rows = np.random.default_rng(SEED).integers(0, len(y), (BOOTSTRAPS, len(y)))
    shares = 1 - errors[rows].mean(axis=1) / dummy_errors[rows].mean(axis=1)
    low, high = np.quantile(shares, (0.025, 0.975))
    return {"share": float(1 - errors.mean() / dummy_errors.mean()), "low": float(low), "high": float(high)}


def _coverage(pipeline: Pipeline, interval: tuple[float, float], X: pd.DataFrame, y: Numbers) -> dict[str, float]:  # noqa: N803
    residuals = np.log1p(y) - np.log1p(pipeline.predict(X))
    inside = (residuals >= interval[0]) & (residuals <= interval[1])
    return {"level": INTERVAL, "coverage": float(inside.mean()), "low": interval[0], "high": interval[1]}


def _time_split(kind: FeatureSet, X: pd.DataFrame, y: Numbers, released: pd.Series) -> dict[str, Any]:  # noqa: N803
    """Train on the older films, test on the newest fifth; films without a date are left out."""
    order = released.dropna().sort_values(kind="stable").index.to_numpy()
    cut = round(len(order) * (1 - HELD_OUT))
    train_rows, test_rows = order[:cut], order[cut:]
    if len(order) < MIN_FILMS or np.ptp(y[train_rows]) == 0:
        return {"message": f"{len(order)} dated films, {MIN_FILMS} that differ are needed to split by time"}
    pipeline = fit(kind, X.iloc[train_rows], y[train_rows])
    first = released.iloc[test_rows[0]].date().isoformat()
    return {"test_from": first, **_score(pipeline, X, y, train_rows, test_rows)}


def _importance(pipeline: Pipeline, kind: FeatureSet, X: pd.DataFrame, y: Numbers) -> pd.DataFrame:  # noqa: N803
    """Return by how much the error grows when one column is shuffled, in points of the target, largest first.

    Each prepared column comes from one column of `X`, so the films are prepared once and the prepared columns are
    shuffled: scikit-learn's `permutation_importance` gives the same figures and prepares the films for each of them.
    """
    draw = np.random.default_rng(SEED)
    rows = draw.permutation(len(y))[:IMPORTANCE_ROWS]
    prepare, learn = pipeline.named_steps["prepare"], pipeline.named_steps["learn"]
    prepared, wanted = prepare.transform(X.iloc[rows]), y[rows]
    error = mean_absolute_error(wanted, learn.predict(prepared))
    found = []
    for name in FEATURE_SETS[kind].names:
        grown = [
            mean_absolute_error(wanted, learn.predict(_shuffled(prepared, columns, draw))) - error
            for columns in [_prepared_columns(prepare, name)] * IMPORTANCE_REPEATS
        ]
        found.append((name, float(np.mean(grown)), float(np.std(grown))))
    table = pd.DataFrame(found, columns=["feature", "importance", "std"])
    return table.sort_values(["importance", "feature"], ascending=[False, True], ignore_index=True)


def _shuffled(prepared: Numbers, columns: list[int], draw: np.random.Generator) -> Numbers:
    changed = prepared.copy()
    changed[:, columns] = prepared[draw.permutation(len(prepared))][:, columns]
    return changed


def _prepared_columns(prepare: ColumnTransformer, name: str) -> list[int]:
    """Return where a column of the features stands in the prepared matrix; nowhere when no film knew it."""
    for part, _, names in prepare.transformers_:
        places = range(prepare.output_indices_[part].start, prepare.output_indices_[part].stop)
        if part == name:
            return list(places)
        if name in names and part in {"numbers", "labels"}:
            return [places[names.index(name)]]
    return []


def _metrics(films: pd.DataFrame, models: Mapping[FeatureSet, TrainedModel]) -> dict[str, Any]:
    main = models[FeatureSet.SEED].metrics
    return {
        "trained": True,
        "target": features.TARGET_TEXT,
        "r2": main["r2"],
        "mae": main["mae"],
        "rmse": main["rmse"],
        "baseline": main["baseline"]["mean"],
        "rows": len(films),
        "split": {"kind": "random", "train": main["train_rows"], "test": main["test_rows"], "seed": SEED},
        "row_limit": MAX_FILMS,
        "data_span": {
            "first_release": _day(films["release_date"].min()),
            "last_release": _day(films["release_date"].max()),
        },
        "libraries": versions(),
        "feature_sets": {
            kind.value: {"features": list(FEATURE_SETS[kind].names), **model.metrics} for kind, model in models.items()
        },
    }


def _day(moment: Any) -> str | None:
    return None if pd.isna(moment) else date(moment.year, moment.month, moment.day).isoformat()
