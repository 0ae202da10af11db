"""Training that ends far worse than it began is reported, though its loss is finite."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skvae import CollaborativeVAE, MultVAERecommender, VAETransformer
from skvae.datasets import make_interactions

INTERACTIONS = make_interactions(120, 50, random_state=0).matrix
WORDS = np.random.default_rng(0).poisson(0.5, (50, 20)).astype(float)
SMALL = {"n_components": 3, "max_iter": 10, "random_state": 0}


def with_outliers(kind, scale, n_rows=300, n_features=8):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, n_features)) @ rng.normal(size=(n_features,) * 2)
    if kind == "cells":
        X[rng.random(X.shape) < 0.01] *= scale
    elif kind == "rows":
        X[:2] *= scale
    elif kind == "cell":
        X[3, 2] = scale
    return X


def assert_diverged(model, *data, **more):
    with pytest.raises(ValueError, match="rose from .* has diverged.*lower learning_r"):
        model.fit(*data, **more)
    assert set(vars(model)) == set(model.get_params())


@pytest.mark.parametrize("noise_variance", ["shared", "feature"])
@pytest.mark.parametrize("learning_rate", [1.0, 10.0])
@pytest.mark.parametrize(
    ("kind", "scale"), [("none", 1), ("cells", 1e3), ("rows", 1e6), ("cell", 1e3)]
)
def test_linear_models_that_diverge_are_reported(
    kind, scale, learning_rate, noise_variance
):
    X = with_outliers(kind, scale)
    model = VAETransformer(
        **SMALL,
        hidden_layer_sizes=(),
        learning_rate_init=learning_rate,
        noise_variance=noise_variance,
    )
    assert_diverged(model, X)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli", "poisson"])
@pytest.mark.parametrize("variational", [True, False])
def test_models_that_diverge_are_reported_with_any_likelihood(likelihood, variational):
    X = np.clip(np.abs(with_outliers("none", 1)), 0, 1)
    model = VAETransformer(
        **SMALL, likelihood=likelihood, variational=variational, learning_rate_init=10.0
    )
    assert_diverged(model, X)


def test_recommenders_that_diverge_are_reported():
    rates = {"learning_rate_init": 10.0}
    assert_diverged(MultVAERecommender(**SMALL, **rates), INTERACTIONS)
    assert_diverged(MultVAERecommender(**SMALL, **rates, beta="auto"), INTERACTIONS)
    # A hundred steps, after which models are no longer excused as hardly trained.
    content = CollaborativeVAE(**SMALL, **rates, batch_size=6)
    assert_diverged(content, INTERACTIONS, item_features=WORDS)


@pytest.mark.parametrize("how", ["partial_fit", "fit"])
def test_training_that_continues_and_diverges_keeps_the_model(how):
    X = with_outliers("none", 1)
    model = VAETransformer(**SMALL, hidden_layer_sizes=(), warm_start=True).fit(X)
    before = model.transform(X)
    model.set_params(learning_rate_init=10.0, lr_schedule=None)
    with pytest.raises(ValueError, match="has diverged"):
        getattr(model, how)(X)
    np.testing.assert_array_equal(model.transform(X), before)


@pytest.mark.parametrize("shift", [0.0, 1e3, 1e6])
@pytest.mark.parametrize("scale", [0.0, 1e-3, 1.0, 1e3])
def test_rows_of_another_kind_are_learned_by_partial_fit(shift, scale):
    X = with_outliers("none", 1)
    model = VAETransformer(**SMALL).fit(X)
    for _ in range(3):
        model.partial_fit(shift + scale * X[:40])
    assert np.isfinite(model.elbo(X)).all()


@pytest.mark.parametrize("kind", ["none", "cells", "rows", "cell"])
@pytest.mark.parametrize("hidden", [(), (32,)])
def test_outliers_alone_are_no_divergence(kind, hidden):
    for scale in (1e3, 1e6):
        X = with_outliers(kind, scale)
        VAETransformer(**SMALL, hidden_layer_sizes=hidden).fit(X)


@given(
    n_rows=st.integers(1, 40),
    n_features=st.integers(1, 12),
    scale=st.sampled_from([0.0, 1e-6, 1.0, 1e6]),
    shift=st.sampled_from([0.0, 1.0, -1e6]),
    sparsity=st.sampled_from([0.0, 0.9, 1.0]),
    seed=st.integers(0, 2**31 - 1),
    parameters=st.fixed_dictionaries(
        {
            "n_components": st.integers(1, 20),
            "hidden_layer_sizes": st.sampled_from([(), (3,), (256,), (20, 5)]),
            "activation": st.sampled_from(["relu", "identity", "tanh"]),
            "noise_variance": st.sampled_from(["shared", "feature", 1e-3, 10.0]),
            "variational": st.booleans(),
            "beta": st.sampled_from([0.0, 0.3, 1.0, 100.0]),
            "annealing": st.sampled_from([0.0, 1.0, 10**9]),
            "dropout": st.sampled_from([0.0, 0.5, 0.9]),
            "hidden_dropout": st.sampled_from([0.0, 0.5]),
            "learning_rate_init": st.sampled_from([1e-30, 1e-3, 0.01]),
            "lr_schedule": st.sampled_from([None, "cosine"]),
            "batch_size": st.sampled_from(["auto", 1, 7, 1000]),
            "max_iter": st.integers(1, 4),
            "early_stopping": st.booleans(),
        }
    ),
)
# Old versions of hypothesis take so many parameters for too much data.
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.data_too_large],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_ordinary_fits_are_no_divergence(
    n_rows, n_features, scale, shift, sparsity, seed, parameters
):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_features)) @ rng.normal(size=(n_features,) * 2)
    X[rng.random(X.shape) < sparsity] = 0.0
    parameters["early_stopping"] &= n_rows > 2
    model = VAETransformer(**parameters, random_state=seed % 1000)
    model.fit(shift + scale * X).partial_fit(shift + scale * X[:3])
    shares = np.abs(X) / max(np.abs(X).max(), 1e-300)
    for likelihood, values in (
        ("bernoulli", shares),
        ("poisson", np.rint(20 * shares)),
        ("multinomial", np.rint(20 * shares)),
    ):
        model.set_params(likelihood=likelihood).fit(values).partial_fit(values[:3])


@given(
    seed=st.integers(0, 1000),
    n_components=st.sampled_from([1, 8, 300]),
    learning_rate=st.sampled_from([1e-30, 0.001, 0.003, 0.01]),
    beta=st.sampled_from([0.0, 0.005, 1.0, "auto"]),
    initial_log_variance=st.sampled_from([-4.0, 0.0]),
    tied_weights=st.booleans(),
    max_iter=st.integers(1, 4),
)
@settings(max_examples=8, deadline=None)
def test_ordinary_fits_of_recommenders_are_no_divergence(
    seed, n_components, learning_rate, beta, max_iter, **parameters
):
    shared = {
        "n_components": n_components,
        "learning_rate_init": learning_rate,
        "random_state": seed,
        "max_iter": max_iter,
    }
    MultVAERecommender(**shared, **parameters, beta=beta).fit(INTERACTIONS)
    content = CollaborativeVAE(**shared, content_epochs=max_iter)
    content.fit(INTERACTIONS, item_features=WORDS)


@pytest.mark.parametrize("early_stopping", [True, False])
def test_nothing_is_computed_for_training_that_lowers_the_loss(
    early_stopping, monkeypatch
):
    def objective(*args):
        raise AssertionError

    monkeypatch.setattr("skvae._training._divergence._objective", objective)
    settings = {**SMALL, "early_stopping": early_stopping, "refit": early_stopping}
    VAETransformer(**settings).fit(with_outliers("none", 1))
    MultVAERecommender(**settings, batch_size=12).fit(INTERACTIONS)
    CollaborativeVAE(**settings).fit(INTERACTIONS, item_features=WORDS)
