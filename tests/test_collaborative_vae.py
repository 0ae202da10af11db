import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
import torch
from joblib import Memory
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils import Bunch
from skorch.callbacks import Callback

from skvae import CollaborativeVAE
from skvae._training import IndexedBatches, Outcome, Stream, make_generator
from skvae.datasets import make_interactions
from skvae.metrics import make_ranking_scorer, recall_at_k
from skvae.model_selection import hold_out_items, top_items

SMALL = {
    "n_components": 6,
    "content_epochs": 3,
    "max_iter": 4,
    "batch_size": 20,
    "random_state": 0,
}


@pytest.fixture(scope="module")
def data():
    """Users and items of eight tastes, and words that tell the taste of an item."""
    made = make_interactions(150, 80, n_interactions_per_user=12, random_state=0)
    tastes = made.item_factors / made.item_factors.sum(axis=1, keepdims=True)
    rng = np.random.default_rng(0)
    topics = rng.dirichlet(np.full(60, 0.1), size=tastes.shape[1])
    words = rng.poisson(25 * tastes @ topics)
    return Bunch(X=made.matrix, features=sp.csr_array(words.astype(np.float32)))


@pytest.fixture(scope="module")
def fitted(data):
    return CollaborativeVAE(**SMALL).fit(data.X, item_features=data.features)


class InterruptInRound(Callback):
    """Raises a KeyboardInterrupt within the epoch of a given round."""

    def __init__(self, number):
        self.number = number

    def on_batch_end(self, net, **kwargs):
        if len(net.history) == self.number:
            raise KeyboardInterrupt


class InterruptAfterRound(Callback):
    def __init__(self, number):
        self.number = number

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.number:
            raise KeyboardInterrupt


# The model


def test_without_features_it_is_weighted_matrix_factorization(data):
    """Compared with the same alternation in dense numpy and the same first factors."""
    parameters = {"a": 2.0, "b": 0.1, "lambda_u": 0.5, "lambda_v": 0.7}
    model = CollaborativeVAE(6, max_iter=3, random_state=0, **parameters)
    X = data.X[:, :].copy()
    X.data[::3] = 2.5
    model.fit(X)

    R, C = X.toarray() > 0, 0.1 + 1.9 * X.toarray()
    generator = make_generator(model._state.seed, Stream.INITIAL_WEIGHTS)
    V = torch.randn(X.shape[1], 6, generator=generator).double().numpy() / 6**0.5

    def solve(R, C, Y, weight):
        return np.array(
            [
                np.linalg.solve((Y.T * c) @ Y + weight * np.eye(6), Y.T @ (c * r))
                for r, c in zip(R, C, strict=True)
            ]
        )

    U = solve(R, C, V, 0.5)
    for _ in range(3):
        V = solve(R.T, C.T, U, 0.7)
        U = solve(R, C, V, 0.5)
    np.testing.assert_allclose(model.item_factors_, V, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(model.user_factors_, U, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        model.objective_curve_[-1],
        0.5 * (C * (R - U @ V.T) ** 2).sum()
        + 0.25 * (U**2).sum()
        + 0.35 * (V**2).sum(),
        rtol=1e-4,
    )
    assert not hasattr(model, "item_content_factors_")
    assert model.loss_curve_ == []


def test_objective_falls_without_content(data):
    curve = (
        CollaborativeVAE(6, max_iter=15, random_state=0).fit(data.X).objective_curve_
    )
    assert len(curve) == 15
    assert (np.diff(curve) <= 1e-6 * curve[0]).all()


def test_user_factors_are_the_transform_of_the_training_data(data, fitted):
    np.testing.assert_array_equal(fitted.transform(data.X), fitted.user_factors_)
    np.testing.assert_allclose(
        fitted.decision_function(data.X),
        fitted.user_factors_ @ fitted.item_factors_.T,
        rtol=1e-4,
        atol=1e-5,
    )
    np.testing.assert_array_equal(
        fitted.inverse_transform(fitted.user_factors_),
        fitted.decision_function(data.X),
    )


def test_new_items_have_the_factors_of_unrated_ones(data):
    X, _, unrated = hold_out_items(data.X, 10, random_state=0)
    model = CollaborativeVAE(**SMALL, b=0.3).fit(X, item_features=data.features)
    factors = model.transform_items(data.features)
    np.testing.assert_allclose(
        factors[unrated], model.item_factors_[unrated], rtol=1e-4, atol=1e-5
    )
    rated = np.setdiff1d(np.arange(X.shape[1]), unrated)
    assert np.abs(factors[rated] - model.item_factors_[rated]).max() > 1e-2
    # They are shrunk codes of the content.
    codes = model.item_content_factors_[unrated]
    assert np.linalg.norm(factors[unrated]) < 0.999 * np.linalg.norm(codes)


def test_new_items_are_numbered_after_the_catalogue(data, fitted):
    n_items = data.X.shape[1]
    new = data.features[[3, 5]]
    scores = fitted.decision_function(data.X, new_item_features=new)
    assert scores.shape == (data.X.shape[0], n_items + 2)
    np.testing.assert_allclose(
        scores[:, :n_items], fitted.decision_function(data.X), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        scores[:, n_items:],
        fitted.user_factors_ @ fitted.transform_items(new).T,
        rtol=1e-4,
        atol=1e-5,
    )
    ranked, best = fitted.recommend(
        data.X,
        n_items + 2,
        exclude_seen=False,
        return_scores=True,
        new_item_features=new,
    )
    np.testing.assert_array_equal(best, np.take_along_axis(scores, ranked, axis=1))
    only_new = fitted.recommend(
        data.X, 2, candidates=[n_items, n_items + 1], new_item_features=new
    )
    np.testing.assert_array_equal(np.sort(only_new), [[n_items, n_items + 1]] * 150)
    with pytest.raises(ValueError, match=str(n_items + 3)):
        fitted.recommend(data.X, n_items + 3, new_item_features=new)


def test_content_ranks_items_without_interactions(data):
    X, X_test, items = hold_out_items(data.X, 0.2, random_state=0)
    model = CollaborativeVAE(
        8, content_epochs=30, max_iter=5, lambda_v=0.5, batch_size=16, random_state=0
    )
    model.fit(X, item_features=data.features)
    users = np.flatnonzero(np.diff(X_test.indptr))
    ranked = top_items(model, X[users], 5, candidates=items)
    recall = recall_at_k(X_test[users], y_rank=ranked, k=5)
    # Five random items of sixteen would reach about a third.
    assert recall > 0.55


def test_pull_is_the_expected_distance_from_the_factors(fitted, data):
    """Compared with the mean over many draws from the posterior."""
    model = fitted._module
    rows = IndexedBatches(data.features[:4], "cpu").take(slice(0, 4))
    with torch.no_grad():
        pull = model((rows[0], rows[1]), None)[2]
        mean, log_variance = model.content.posterior(rows[0])
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(20_000, *mean.shape, generator=generator)
        z = mean + torch.exp(0.5 * log_variance) * noise
        distance = (model.item_factors[rows[1]] - z).square().sum(dim=2)
    expected = 0.5 * fitted.lambda_v * distance
    error = expected.std(dim=0) / len(noise) ** 0.5
    assert (torch.abs(expected.mean(dim=0) - pull) < 5 * error).all()


def test_denoising_autoencoder_has_no_kl(data):
    model = CollaborativeVAE(**SMALL, variational=False, dropout=0.3)
    model.fit(data.X, item_features=data.features)
    assert model.kl_curve_ == [0.0] * 4
    assert model._module.content.log_variance is None


@pytest.mark.parametrize("likelihood", ["multinomial", "bernoulli", "gaussian"])
@pytest.mark.parametrize("tied_weights", [True, False])
def test_layers_trained_one_by_one_start_the_content_model_better(
    data, likelihood, tied_weights
):
    features = data.features.minimum(1.0)
    options = {
        **SMALL,
        "content_epochs": 0,
        "max_iter": 1,
        "hidden_layer_sizes": (20, 10),
        "activation": "logistic",
        "likelihood": likelihood,
        "tied_weights": tied_weights,
    }
    losses = [
        CollaborativeVAE(**options, layer_epochs=n)
        .fit(data.X, item_features=features)
        .reconstruction_curve_[0]
        for n in (0, 20)
    ]
    assert losses[1] < losses[0]


def test_larger_counts_weigh_more(data):
    """A user with five interactions with an item is nearer to it than one with one."""
    model = CollaborativeVAE(6, max_iter=5, random_state=0).fit(data.X)
    item = int(np.diff(data.X.tocsc().indptr).argmax())
    row = sp.csr_array(([1.0], ([0], [item])), shape=(1, data.X.shape[1]))
    once = model.decision_function(row)[0, item]
    five = model.decision_function(5 * row)[0, item]
    assert once < five < 1


def test_dense_and_sparse_content_agree(data, fitted):
    dense = clone(fitted).fit(data.X, item_features=data.features.toarray())
    np.testing.assert_array_equal(dense.item_factors_, fitted.item_factors_)


# Fitting


def test_early_stopping_keeps_the_best_round(data):
    model = CollaborativeVAE(
        **{**SMALL, "max_iter": 12}, early_stopping=True, n_iter_no_change=3
    )
    model.fit(data.X, item_features=data.features)
    scores = model.validation_scores_
    assert model.best_iter_ == int(np.argmax(scores)) + 1
    assert model.best_validation_score_ == max(scores)
    assert model.n_iter_ == len(scores) == len(model.objective_curve_)
    X_train, _, held_out = model._split_validation(data.X, model._state.seed)
    assert make_ranking_scorer("ndcg@100")(model, X_train, held_out) == max(scores)


def test_memory_caches_the_pretraining(data, tmp_path, monkeypatch):
    options = {**SMALL, "memory": Memory(tmp_path, verbose=0)}
    first = CollaborativeVAE(**options).fit(data.X, item_features=data.features)
    second = CollaborativeVAE(**options, lambda_v=3.0)

    def trained_again(*args, **kwargs):
        raise AssertionError("The content model was trained a second time.")

    monkeypatch.setattr("skvae._collaborative._content.train", trained_again)
    second.fit(sp.csr_matrix(data.X), item_features=sp.csr_matrix(data.features))
    second.set_params(dropout=np.float64(second.dropout), batch_size=np.int64(20))
    second.fit(data.X, item_features=data.features)
    with pytest.raises(AssertionError, match="a second time"):
        clone(second).set_params(beta=0.1).fit(data.X, item_features=data.features)
    monkeypatch.undo()
    plain = CollaborativeVAE(**SMALL, lambda_v=3.0)
    plain.fit(data.X, item_features=data.features)
    np.testing.assert_array_equal(second.item_factors_, plain.item_factors_)
    assert np.abs(first.item_factors_ - second.item_factors_).max() > 1e-4


@pytest.mark.parametrize("with_content", [True, False])
def test_interruption_is_raised_and_keeps_what_was_learned(data, with_content):
    features = data.features if with_content else None
    model = CollaborativeVAE(**SMALL, callbacks=[InterruptAfterRound(2)])
    with pytest.raises(KeyboardInterrupt):
        model.fit(data.X, item_features=features)
    assert model.n_iter_ == 2
    np.testing.assert_array_equal(model.transform(data.X), model.user_factors_)
    assert (model.recommend(data.X, 3) >= 0).all()


def test_interruption_within_an_epoch_leaves_a_usable_model(data):
    model = CollaborativeVAE(**SMALL, callbacks=[InterruptInRound(2)])
    with pytest.raises(KeyboardInterrupt):
        model.fit(data.X, item_features=data.features)
    assert model.n_iter_ == len(model.objective_curve_) == 1
    assert_consistent(model, data)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_interrupted_pretraining_leaves_a_usable_model(
    data, monkeypatch, early_stopping
):
    monkeypatch.setattr(
        "skvae._collaborative._content.train",
        lambda *args: Outcome([], best_epoch=None, interrupted=True),
    )
    model = CollaborativeVAE(**SMALL, early_stopping=early_stopping, refit=True)
    with pytest.raises(KeyboardInterrupt):
        model.fit(data.X, item_features=data.features)
    assert model.n_iter_ == 0
    assert_consistent(model, data)


def assert_consistent(model, data):
    """Assert that the fitted arrays are those with which the model computes."""
    np.testing.assert_array_equal(model.transform(data.X), model.user_factors_)
    unmet = np.flatnonzero(np.diff(data.X.tocsc().indptr) == 0)
    np.testing.assert_allclose(
        model.transform_items(data.features)[unmet],
        model.item_factors_[unmet],
        rtol=1e-3,
        atol=1e-4,
    )
    assert (model.recommend(data.X, 3) >= 0).all()


def test_interruption_before_there_is_a_new_model_keeps_the_old_one(
    data, fitted, monkeypatch
):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    model = pickle.loads(pickle.dumps(fitted))
    before = model.decision_function(data.X)
    for place in (
        "skvae._collaborative._content.make_content",
        "skvae._collaborative._rounds.Sweep.start",
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, interrupted)
            with pytest.raises(KeyboardInterrupt):
                model.fit(data.X[:, :70], item_features=data.features[:70])
        np.testing.assert_array_equal(model.decision_function(data.X), before)


def test_failed_fit_leaves_the_model_as_it_was(data, fitted):
    model = pickle.loads(pickle.dumps(fitted))
    before = model.decision_function(data.X)
    for parameters, message in (
        ({"learning_rate_init": 1e30}, "learning_rate_init"),
        ({"device": "no such device"}, "device"),
        ({"a": 1e35}, "scale X"),
    ):
        model.set_params(**parameters)
        with pytest.raises(ValueError, match=message):
            model.fit(data.X[:, :70], item_features=data.features[:70])
        model.set_params(**{name: getattr(fitted, name) for name in parameters})
        np.testing.assert_array_equal(model.decision_function(data.X), before)


def test_the_callers_content_is_not_changed(data):
    features = data.features.copy()
    features.indices[1] = features.indices[0]  # a duplicate
    features.data[3] = 0.0  # stored, and nothing
    features = sp.csr_array((features.data, features.indices, features.indptr))
    before = [part.copy() for part in (features.data, features.indices)]
    for part in (features.data, features.indices, features.indptr):
        part.flags.writeable = False
    model = CollaborativeVAE(**SMALL).fit(data.X, item_features=features)
    model.recommend(data.X, 3, new_item_features=features)
    for part, old in zip((features.data, features.indices), before, strict=True):
        np.testing.assert_array_equal(part, old)


def test_weights_set_after_the_fit_do_not_change_predictions(data, fitted):
    model = pickle.loads(pickle.dumps(fitted))
    model.set_params(a=7.0, b=2.0, lambda_u=100.0, lambda_v=3.0, likelihood="gaussian")
    np.testing.assert_array_equal(model.transform(data.X), fitted.user_factors_)
    with pytest.raises(ValueError, match="Negative values"):
        model.transform_items(-data.features)


def test_changing_the_factor_arrays_does_not_change_scores(data, fitted):
    model = clone(fitted).fit(data.X, item_features=data.features)
    before = model.decision_function(data.X)
    model.item_factors_ *= 2
    model.user_factors_ *= 2
    model.item_content_factors_ *= 2
    np.testing.assert_array_equal(model.decision_function(data.X), before)


def test_objective_counts_the_content(data):
    """Without noise and with a negligible learning rate all terms can be computed."""
    model = CollaborativeVAE(
        5,
        variational=False,
        dropout=0.0,
        content_epochs=0,
        max_iter=1,
        learning_rate_init=1e-30,
        lambda_r=3.0,
        lambda_u=0.5,
        lambda_v=0.7,
        random_state=0,
    ).fit(data.X, item_features=data.features)
    codes = model.item_content_factors_
    with torch.no_grad():
        decode = model._module.content.decode
        logits = decode(torch.from_numpy(codes)).double().numpy()
    counts = data.features.toarray()
    log_shares = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    R = data.X.toarray()
    U, V = model.user_factors_, model.item_factors_
    expected = (
        0.5 * (np.where(R, 1.0, 0.01) * (R - U @ V.T) ** 2).sum()
        + 0.25 * (U**2).sum()
        + 0.35 * ((V - codes) ** 2).sum()
        - 3.0 * (counts * log_shares).sum()
    )
    np.testing.assert_allclose(model.objective_curve_, [expected], rtol=1e-5)


def test_lambda_w_shrinks_weights_and_not_biases(data):
    options = {**SMALL, "content_epochs": 30, "random_state": 0}

    def norms(lambda_w):
        model = CollaborativeVAE(**options, lambda_w=lambda_w)
        content = model.fit(data.X, item_features=data.features)._module.content
        return (
            content.encoder.layers[0].weight.norm(),
            content.decoder.biases[0].norm(),
        )

    free, decayed = norms(0.0), norms(1e5)
    assert decayed[0] < 0.5 * free[0]
    assert decayed[1] > 0.5 * free[1]


def test_verbose_shows_progress_and_silence_is_the_default(data, capsys):
    options = {**SMALL, "hidden_layer_sizes": (5,), "layer_epochs": 1}
    shown = []
    for verbose in (0, 1, 2):
        CollaborativeVAE(**options, verbose=verbose).fit(
            data.X, item_features=data.features
        )
        captured = capsys.readouterr()
        shown.append(captured.out + captured.err)
    assert shown[0] == ""
    for name in ("layer 1", "content", "CollaborativeVAE", "objective"):
        assert name in shown[1]
    assert shown[2].count("train_loss") == 3  # heads of three tables
    assert "objective" in shown[2]


# Searches


def test_grid_search_passes_the_item_features(data):
    search = GridSearchCV(
        CollaborativeVAE(**SMALL),
        {"lambda_v": [0.1, 10.0], "n_components": [3, 6]},
        cv=3,
    )
    search.fit(data.X, item_features=data.features)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert len(set(search.cv_results_["mean_test_score"])) > 1
    assert search.best_estimator_.item_content_factors_.shape[0] == data.X.shape[1]


def test_metadata_routing_passes_the_item_features(data):
    with sklearn.config_context(enable_metadata_routing=True):
        model = CollaborativeVAE(**SMALL).set_fit_request(item_features=True)
        search = GridSearchCV(model, {"lambda_v": [0.1, 10.0]}, cv=3)
        search.fit(data.X, item_features=data.features)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert hasattr(search.best_estimator_, "item_content_factors_")


def test_a_search_needs_a_mapping_if_there_are_as_many_users_as_items(data):
    X = data.X[:80]
    search = GridSearchCV(
        CollaborativeVAE(**SMALL), {"lambda_v": [1.0]}, cv=2, error_score="raise"
    )
    with pytest.raises(ValueError, match="has 40 rows but X has 80 columns.*mapping"):
        search.fit(X, item_features=data.features)
    search.fit(X, item_features={"features": data.features})
    plain = CollaborativeVAE(**SMALL, lambda_v=1.0)
    plain.fit(X, item_features=data.features)
    np.testing.assert_array_equal(
        search.best_estimator_.item_factors_, plain.item_factors_
    )


# Bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda F: F[:79], "has 79 rows but X has 80 columns"),
        (lambda F: F.toarray() * np.nan, "item_features contains NaN"),
        (lambda F: -F, "Negative values"),
        (lambda F: {"words": F}, r"keys \['words'\]"),
        (lambda F: F.toarray() + np.inf, "item_features contains infinity"),
        (lambda F: F.astype(float) * 1e60, "item_features holds a value"),
    ],
)
def test_bad_content_is_refused(data, change, message):
    with pytest.raises(ValueError, match=message):
        CollaborativeVAE(**SMALL).fit(data.X, item_features=change(data.features))


def test_content_too_small_for_float32_is_like_no_content(data, fitted):
    tiny = 1e-25 * sp.csr_array(np.eye(2, 60))
    empty = sp.csr_array((2, 60))
    np.testing.assert_array_equal(
        fitted.transform_items(tiny), fitted.transform_items(empty)
    )


def test_a_truth_that_overlaps_the_fold_in_is_refused_before_training(
    data, monkeypatch
):
    monkeypatch.setattr("skvae._collaborative._content.train", None)  # never called
    model = CollaborativeVAE(**SMALL)
    with pytest.raises(ValueError, match="y_val repeats 1574 of the interactions"):
        model.fit(data.X, item_features=data.features, X_val=data.X, y_val=data.X)


def test_bernoulli_content_above_one_is_refused(data):
    model = CollaborativeVAE(**SMALL, likelihood="bernoulli")
    with pytest.raises(ValueError, match="goes up to .*MaxAbsScaler"):
        model.fit(data.X, item_features=data.features)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"lambda_u": 0}, "lambda_u"),
        ({"lambda_v": 0}, "lambda_v"),
        ({"a": 0.1, "b": 0.5}, "a=0.1 is less than b=0.5"),
        ({"a": 1e300}, "a=1e.300 is beyond the range of float32 .* pass a lower a"),
        ({"a": 3.0, "lambda_u": 1e39}, "lambda_u=1e.39 is beyond .* a lower lambda_u"),
        ({"likelihood": "poisson"}, "likelihood"),
        ({"scoring": "accuracy"}, "accuracy"),
    ],
)
def test_bad_parameters_are_refused_by_name(data, parameters, message):
    with pytest.raises(ValueError, match=message):
        CollaborativeVAE(**{**SMALL, **parameters}).fit(data.X)


def test_new_items_need_content_of_the_same_width(data, fitted):
    with pytest.raises(ValueError, match="has 59 columns but the model .* with 60"):
        fitted.transform_items(data.features[:, :59])
    bare = CollaborativeVAE(6, max_iter=1).fit(data.X)
    with pytest.raises(ValueError, match="fitted without item_features"):
        bare.recommend(data.X, 2, new_item_features=data.features[:2])


def test_an_item_with_neither_interactions_nor_content_has_finite_scores(data):
    X, _, items = hold_out_items(data.X, 3, random_state=0)
    features = data.features.tolil()
    features[items] = 0
    model = CollaborativeVAE(**SMALL).fit(X, item_features=features.tocsr())
    scores = model.decision_function(X)
    assert np.isfinite(scores).all()
    # All such items have the same factors.
    np.testing.assert_allclose(scores[:, items], scores[:, [items[0]] * 3], rtol=1e-4)
    bare = CollaborativeVAE(6, max_iter=2, random_state=0).fit(X)
    np.testing.assert_array_equal(bare.decision_function(X)[:, items], 0)


def test_extreme_interactions_are_solved_or_refused(data):
    for factor in (1e-30, 1e10):
        X = factor * data.X
        scores = CollaborativeVAE(6, max_iter=2).fit(X).decision_function(X)
        assert np.isfinite(scores).all()
    with pytest.raises(ValueError, match="[sS]cale X"):
        CollaborativeVAE(6, max_iter=2).fit(1e30 * data.X)


@pytest.mark.parametrize("kind", [sp.dok_array, sp.dok_matrix])
def test_item_features_as_dok_are_not_taken_for_a_mapping(data, fitted, kind):
    features = kind(data.features[:5])
    np.testing.assert_array_equal(
        fitted.transform_items(features), fitted.transform_items(data.features[:5])
    )


def test_errors_about_a_mapping_of_new_items_name_it(data, fitted):
    with pytest.raises(ValueError, match="new_item_features is a mapping with"):
        fitted.recommend(data.X, new_item_features={"words": data.features})
