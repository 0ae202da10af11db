"""Recommenders on blocks of rows and on rows on disk, against the matrix in memory."""

import numpy as np
import pytest
from skorch.callbacks import Callback

from skvae import (
    BlendRecommender,
    LinearVAERecommender,
    MultVAERecommender,
    VAETransformer,
)
from skvae._training import _checkpoint
from skvae.datasets import RowBlocks, RowsOnDisk, make_interactions
from skvae.metrics import make_ranking_scorer
from skvae.model_selection import hold_out_interactions
from tests.datasets.on_disk import write_rows

X = make_interactions(700, 60, random_state=0).matrix
LINEAR = {"n_components": 8, "random_state": 0}
MULT = {"n_components": 8, "max_iter": 3, "batch_size": 60, "random_state": 0}


@pytest.fixture(scope="module", params=["parquet", "npy"])
def rows(request, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skvae.datasets._rows_on_disk.BLOCK_SIZE", 2000)
        path = tmp_path_factory.mktemp("disk") / "rows"
        found = write_rows(X, path, form=request.param)
    assert found.n_blocks >= 6
    return found


def assert_same_factors(model, expected):
    assert model.n_components_ == expected.n_components_
    np.testing.assert_allclose(
        model.explained_variance_, expected.explained_variance_, rtol=1e-5
    )
    assert model.noise_variance_ == pytest.approx(expected.noise_variance_, rel=1e-5)
    assert model.output_exponent_ == expected.output_exponent_
    # Of close variances, rounding turns the components within their plane.
    scores = model.decision_function(X[:50])
    np.testing.assert_allclose(
        scores, expected.decision_function(X[:50]), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"noise_variance": "mle", "output_exponent": 0.1},
        {"noise_variance": "last", "output_exponent": 0, "user_exponent": 0.5},
        {},  # with held-out users, the same as they are more than 1 % of these
    ],
)
def test_linear_factors_from_blocks_are_those_from_the_matrix(rows, settings):
    expected = LinearVAERecommender(**LINEAR | settings).fit(X)
    parts = RowBlocks([X[:300], X[300:301], X[301:]])
    for blocks in (parts, rows, RowBlocks([X])):
        model = LinearVAERecommender(**LINEAR | settings).fit(blocks)
        assert_same_factors(model, expected)
    if not settings:
        assert model.best_validation_score_ == pytest.approx(
            expected.best_validation_score_, abs=1e-6
        )


def test_a_validation_set_in_memory_serves_blocks(rows):
    X_val, y_val = hold_out_interactions(X[:100], random_state=0)
    expected = LinearVAERecommender(**LINEAR).fit(X, X_val=X_val, y_val=y_val)
    model = LinearVAERecommender(**LINEAR).fit(rows, X_val=X_val, y_val=y_val)
    assert_same_factors(model, expected)
    with pytest.raises(TypeError, match="such as X_val\\[:\\]"):
        model.fit(rows, X_val=rows, y_val=rows)


def test_held_out_users_of_many_are_few_and_eligible():
    wide = make_interactions(60_000, 30, n_interactions_per_user=2.5, random_state=0)
    blocks = RowBlocks([wide.matrix[:20_000], wide.matrix[20_000:]])
    model = LinearVAERecommender(3, random_state=0).fit(blocks)
    again = LinearVAERecommender(3, random_state=0).fit(blocks)
    assert model.best_validation_score_ == again.best_validation_score_
    other = LinearVAERecommender(3, random_state=1).fit(blocks)
    assert model.best_validation_score_ != other.best_validation_score_
    in_memory = LinearVAERecommender(3, random_state=0).fit(wide.matrix)
    assert model.best_validation_score_ == pytest.approx(
        in_memory.best_validation_score_, abs=0.05
    )


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"n_sampled_items": 10},
        {"early_stopping": True, "refit": True},
        {"beta": "auto"},
        {"variational": False},
    ],
    ids=["plain", "sampled", "stopping", "beta", "dae"],
)
def test_training_within_a_window_has_the_bits_of_that_in_memory(rows, settings):
    expected = MultVAERecommender(**MULT | settings).fit(X)
    model = MultVAERecommender(**MULT | settings).fit(rows)
    assert model.loss_curve_ == expected.loss_curve_
    np.testing.assert_array_equal(model.item_vectors_, expected.item_vectors_)
    if settings != {"beta": "auto"}:  # which trains twice
        model.partial_fit(rows)
        expected.partial_fit(X)
    np.testing.assert_array_equal(model.item_vectors_, expected.item_vectors_)


def test_training_by_windows_learns_as_much(rows):
    model = MultVAERecommender(**MULT | {"max_iter": 20})
    expected = model.fit(X).score(X)
    popular = make_ranking_scorer()(MostPopular(), X)
    small = RowsOnDisk(rows.path, window=4000)
    assert model.fit(small).score(X) > expected - 0.02 > popular + 0.02
    again = model.fit(small).item_vectors_.copy()
    np.testing.assert_array_equal(model.fit(small).item_vectors_, again)


class MostPopular:
    """Recommend the items with the most interactions."""

    def decision_function(self, Z):
        return np.tile(X.sum(axis=0), (Z.shape[0], 1))


@pytest.mark.parametrize(
    "model", [LinearVAERecommender(**LINEAR), MultVAERecommender(**MULT)], ids=str
)
def test_methods_read_rows_on_disk_as_they_read_a_matrix(rows, model):
    model.fit(X)
    methods = ["transform", "decision_function", "predict", "user_vectors"]
    for name in [*methods, "score_samples"]:
        method = getattr(model, name)
        np.testing.assert_allclose(method(rows), method(X), rtol=1e-5, atol=1e-6)
    ours, theirs = (model.recommend(Z, 5, return_scores=True) for Z in (rows, X))
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-5)
    assert (ours[0] == theirs[0]).mean() > 0.999


def test_the_score_is_the_mean_over_users_of_all_blocks(rows):
    model = LinearVAERecommender(**LINEAR).fit(X)
    starts = np.cumsum([0, *(n for n, _, _ in rows.sizes().values())])
    users = []
    for start, stop in zip(starts, starts[1:], strict=False):
        fold_in, truth = hold_out_interactions(X[start:stop], random_state=0)
        for i in np.flatnonzero(np.diff(truth.indptr)):
            users.append(make_ranking_scorer()(model, fold_in[[i]], truth[[i]]))
    assert model.score(rows) == pytest.approx(np.mean(users), abs=1e-9)
    # A truth of the caller's own is that of a matrix.
    fold_in, truth = hold_out_interactions(X, random_state=1)
    expected = model.score(fold_in, truth)
    path = rows.path.with_name(f"fold in {rows.path.name}")
    if not path.exists():
        write_rows(fold_in, path, block_size=1500)
    assert model.score(RowsOnDisk(path), truth) == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ValueError, match="y has shape"):
        model.score(rows, truth[:5])


def test_numbers_of_items_must_agree(rows):
    model = MultVAERecommender(**MULT).fit(X[:, :50])
    with pytest.raises(ValueError, match="60 features, but .* 50"):
        model.recommend(rows)
    with pytest.raises(ValueError, match="60 features, but .* 50"):
        model.partial_fit(rows)


def test_without_interactions_there_is_nothing_to_fit(tmp_path):
    none = X[:5].copy()
    none.data[:] = 0
    none.eliminate_zeros()
    empty = write_rows(none, tmp_path / "rows")
    for model in (LinearVAERecommender(), MultVAERecommender()):
        with pytest.raises(ValueError, match="no interactions"):
            model.fit(empty)


def test_estimators_that_need_a_matrix_refuse_rows_on_disk(rows):
    with pytest.raises(TypeError, match="BlendRecommender takes a matrix"):
        BlendRecommender([("a", LinearVAERecommender(**LINEAR))]).fit(rows)
    with pytest.raises(TypeError, match="MultVAERecommender takes .* RowsOnDisk here"):
        MultVAERecommender(**MULT).fit(RowBlocks([X]))
    with pytest.raises(TypeError, match="not a matrix in memory"):
        VAETransformer(2).fit(rows)


# Checkpoints


class Interrupt(Callback):
    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 3:
            raise KeyboardInterrupt


def test_an_interrupted_fit_on_disk_resumes_with_the_same_bits(
    rows, tmp_path, monkeypatch
):
    monkeypatch.setattr(_checkpoint, "WAIT", 0)
    small = RowsOnDisk(rows.path, window=4000)
    settings = MULT | {"max_iter": 5}
    expected = MultVAERecommender(**settings).fit(small)
    path = tmp_path / "checkpoint"
    model = MultVAERecommender(**settings, checkpoint=path, callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        model.fit(small)
    resumed = MultVAERecommender(**settings, checkpoint=path)
    other = write_rows(X[::-1], tmp_path / "other", block_size=2000)
    with pytest.raises(ValueError, match="X has other values, or the same in another"):
        resumed.fit(other)
    resumed.fit(small)
    assert resumed.loss_curve_ == expected.loss_curve_
    np.testing.assert_array_equal(resumed.item_vectors_, expected.item_vectors_)
