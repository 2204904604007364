"""The success model: no leak, an honest margin, files that are refused when they are not what they say."""

import json
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from analysed import adversarial, film, frame_catalogue, sample
from movie_pipeline.errors import StateConflictError
from movie_pipeline.model import features, files, training
from movie_pipeline.model.features import FEATURE_SETS, FeatureSet
from movie_pipeline.model.training import NothingToLearnError, Training
from movie_pipeline.model.versions import versions

STATED_MARGIN = {FeatureSet.SEED: 0.50, FeatureSet.PRE_RELEASE: 0.15}
"""Share by which the held-out error is below the median dummy's, at the lower end of its 95 % interval."""


@cache
def some_films() -> pd.DataFrame:
    return frame_catalogue(sample()[::4]).training_films(10_000)


@cache
def trained() -> Training:
    return training.train(some_films())


@cache
def dumped() -> dict[str, bytes]:
    return files.dump(trained(), "model", "2026-11-23T00:00:00+00:00")


@pytest.mark.parametrize("kind", FeatureSet)
def test_the_model_beats_the_dummy_by_the_stated_margin_at_the_low_end_of_its_error_bar(kind: FeatureSet) -> None:
    margin = trained().models[kind].metrics["margin"]
    assert margin["low"] > STATED_MARGIN[kind]
    assert margin["low"] < margin["share"] < margin["high"]


@pytest.mark.parametrize("kind", FeatureSet)
def test_it_beats_the_dummy_on_newer_films_too(kind: FeatureSet) -> None:
    split = trained().models[kind].metrics["time_split"]
    assert split["margin"]["low"] > 0
    assert split["test_from"] > "2005"


@pytest.mark.parametrize("kind", FeatureSet)
def test_cross_validation_says_mean_and_deviation(kind: FeatureSet) -> None:
    figures = trained().models[kind].metrics["cross_validation"]
    assert figures["folds"] == training.FOLDS
    assert figures["mae"]["std"] > 0


@pytest.mark.parametrize("kind", FeatureSet)
def test_the_interval_covers_about_what_it_promises(kind: FeatureSet) -> None:
    assert trained().models[kind].metrics["interval"]["coverage"] == pytest.approx(training.INTERVAL, abs=0.08)


def test_a_shuffled_target_removes_the_margin() -> None:
    films = some_films()
    order = np.random.default_rng(3).permutation(len(films))
    parts = films[["popularity", "vote_average"]].iloc[order].reset_index(drop=True)
    shuffled = training.train(films.assign(popularity=parts["popularity"], vote_average=parts["vote_average"]))
    for model in shuffled.models.values():
        assert model.metrics["margin"]["low"] < 0.02
        assert model.metrics["r2"] < 0.05


def test_no_feature_is_a_part_of_the_target_or_made_from_one() -> None:
    forbidden = {"popularity", "vote_average", "popularity_level", "rating_level", "percentile", "target"}
    assert not forbidden & {name for chosen in FEATURE_SETS.values() for name in chosen.names}
    films = some_films()
    changed = films.assign(popularity=999.0, vote_average=0.5, popularity_level="Alta", rating_level="Mala")
    pd.testing.assert_frame_equal(features.frame(films), features.frame(changed))
    without = films.drop(columns=["popularity", "vote_average"])
    pd.testing.assert_frame_equal(features.frame(films), features.frame(without))


def test_what_is_known_only_after_release_is_no_pre_release_feature() -> None:
    assert not {"vote_count", "revenue"} & set(FEATURE_SETS[FeatureSet.PRE_RELEASE].names)
    assert {"vote_count", "revenue"} < set(FEATURE_SETS[FeatureSet.SEED].names)


def test_what_is_learned_comes_from_the_training_part_only() -> None:
    """A director who stands in held-out films only is unknown to the encoder: he gets the training mean."""
    films = some_films()
    known = features.frame(films)
    _, held_out = training.train_test_split(
        np.arange(len(films)), test_size=training.HELD_OUT, random_state=training.SEED
    )
    pipeline = trained().models[FeatureSet.SEED].pipeline
    encoder = pipeline.named_steps["prepare"].named_transformers_["labels"]
    seen = set(encoder.categories_[0])
    only_held_out = set(known["director"].iloc[held_out]) - set(known["director"].drop(index=held_out))
    assert only_held_out
    assert not only_held_out & seen


def test_the_same_films_give_the_same_model() -> None:
    films = some_films().head(150)
    again = films.sample(frac=1, random_state=5)
    first, second = (training.train(one).metrics for one in (films, again))
    assert json.dumps(first) == json.dumps(second)


def test_the_target_is_the_seeds_formula() -> None:
    films = pd.DataFrame({"popularity": [10.0, None], "vote_average": [6.5, 7.0]})
    found = features.target(films)
    assert found[0] == pytest.approx(0.7 * 10 + 0.3 * 65)
    assert np.isnan(found[1])


@pytest.mark.parametrize(
    ("films", "message"),
    [
        ((), "0 films"),
        (tuple(film(number) for number in range(1, 31)), "30 films"),
        (tuple(film(number) for number in range(1, 81)), "all 80 films have the target"),
    ],
)
def test_too_little_to_learn_is_a_clear_message(films: Any, message: str) -> None:
    with pytest.raises(NothingToLearnError, match=message):
        training.train(frame_catalogue(films).training_films(1_000))


def test_unknown_money_and_missing_people_are_no_obstacle() -> None:
    nothing = dict.fromkeys(("genres", "genre_ids", "directors", "director_ids", "cast", "cast_ids"), ())
    bare = tuple({**one, "budget": None, "revenue": None, "runtime": None, **nothing} for one in adversarial())
    metrics = training.train(frame_catalogue(bare).training_films(1_000)).metrics
    assert metrics["trained"] is True


def test_metrics_say_what_the_contract_asks_for() -> None:
    metrics = trained().metrics
    assert {"r2", "mae", "rmse", "baseline", "split", "rows", "libraries", "data_span"} <= set(metrics)
    assert metrics["split"]["test"] == pytest.approx(metrics["rows"] / 5, abs=1)
    assert set(metrics["baseline"]) == {"r2", "mae", "rmse"}
    json.dumps(metrics)


def test_importance_is_measured_for_each_column_and_a_random_one_would_not_matter() -> None:
    table = trained().models[FeatureSet.SEED].importance
    assert set(table["feature"]) == set(FEATURE_SETS[FeatureSet.SEED].names)
    assert table["feature"][0] == "vote_count"
    assert table["importance"].is_monotonic_decreasing


@pytest.mark.parametrize("kind", FeatureSet)
def test_importance_is_what_scikit_learn_finds_by_shuffling_whole_columns(kind: FeatureSet) -> None:
    from sklearn.inspection import permutation_importance

    films = some_films()
    X, y = features.frame(films)[list(FEATURE_SETS[kind].names)], features.target(films).to_numpy()  # noqa: N806
    _, held_out = training.train_test_split(np.arange(len(y)), test_size=training.HELD_OUT, random_state=training.SEED)
    with threadpool_limits(limits=1, user_api="openmp"):
        theirs = permutation_importance(
            trained().models[kind].pipeline, X.iloc[held_out], y[held_out], scoring="neg_mean_absolute_error",
            n_repeats=8, random_state=1,
        )  # fmt: skip
    ours = trained().models[kind].importance.set_index("feature")
    for name, mean, spread in zip(X.columns, theirs.importances_mean, theirs.importances_std, strict=True):
        assert ours.loc[name, "importance"] == pytest.approx(mean, abs=3 * max(spread, ours.loc[name, "std"]) + 1e-9)


@pytest.mark.parametrize("kind", FeatureSet)
def test_a_loaded_model_predicts_what_the_trained_one_does(kind: FeatureSet) -> None:
    loaded = files.load(dumped().__getitem__, "model", kind)
    films = some_films().head(20)
    pd.testing.assert_frame_equal(
        training.bounds(loaded.pipeline, kind, loaded.interval, films), training.predict(trained().models[kind], films)
    )


def test_the_seeds_pickle_is_written_and_never_read() -> None:
    asked: list[str] = []
    files.load(lambda name: (asked.append(name), dumped()[name])[1], "model", FeatureSet.SEED)
    assert "model.pkl" in dumped()
    assert "model.pkl" not in asked


def _manifest(**changes: Any) -> bytes:
    return json.dumps({**json.loads(dumped()["model.manifest.json"]), **changes}).encode()


def test_a_tampered_model_is_refused() -> None:
    content = bytearray(dumped()["model.skops"])
    content[len(content) // 2] ^= 1
    with pytest.raises(StateConflictError, match=r"SHA-256.*not loaded.*movie-pipeline train"):
        files.load({**dumped(), "model.skops": bytes(content)}.__getitem__, "model", FeatureSet.SEED)


def test_a_model_of_another_library_version_is_refused() -> None:
    libraries = {**versions(), "scikit-learn": "0.24.2"}
    changed = {**dumped(), "model.manifest.json": _manifest(libraries=libraries)}
    with pytest.raises(StateConflictError, match=r"scikit-learn 0\.24\.2"):
        files.load(changed.__getitem__, "model", FeatureSet.SEED)


def test_a_file_with_foreign_types_is_refused_even_when_its_checksum_agrees() -> None:
    import hashlib

    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    content = skops.io.dumps(FunctionTransformer(_mischief))
    manifest = json.loads(dumped()["model.manifest.json"])
    manifest["models"]["seed"]["sha256"] = hashlib.sha256(content).hexdigest()
    changed = {"model.manifest.json": json.dumps(manifest).encode(), "model.skops": content}
    with pytest.raises(StateConflictError, match="types that no model of ours has"):
        files.load(changed.__getitem__, "model", FeatureSet.SEED)


def _mischief(values: Any) -> Any:
    return values


@pytest.mark.parametrize("manifest", [b"not json", b"{}", b"[]"])
def test_a_broken_manifest_is_refused(manifest: bytes) -> None:
    with pytest.raises(StateConflictError, match="manifest"):
        files.load({"model.manifest.json": manifest}.__getitem__, "model", FeatureSet.SEED)


def test_a_model_with_other_features_is_refused() -> None:
    models = json.loads(dumped()["model.manifest.json"])["models"]
    models["seed"]["features"] = ["popularity"]
    with pytest.raises(StateConflictError, match="popularity"):
        files.load({**dumped(), "model.manifest.json": _manifest(models=models)}.__getitem__, "model", FeatureSet.SEED)
