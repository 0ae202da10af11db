"""Fitted models of all kinds that the tests of saving share, and their comparison."""

import functools

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import BaseEstimator
from torch import nn

from skvae import (
    CollaborativeVAE,
    LinearVAERecommender,
    MultVAERecommender,
    VAETransformer,
)

rng = np.random.default_rng(0)
X = sp.csr_array((rng.random((60, 25)) < 0.25).astype(np.float32))
REAL = rng.normal(size=(80, 6))
COUNTS = rng.poisson(2.0, size=(80, 6)).astype(float)
WORDS = rng.poisson(1.0, size=(25, 9)).astype(float)

SMALL = {"max_iter": 2, "random_state": 0}
MULT = {**SMALL, "n_components": 4}
CVAE = {**MULT, "content_epochs": 1, "batch_size": 10}


def make_network(n_in, n_out):
    """Make a network with shared weights and a buffer in half precision."""
    network = nn.Sequential(
        nn.Linear(n_in, 6),
        nn.BatchNorm1d(6),
        nn.Linear(6, 6),
        nn.Linear(6, 6),
        nn.Linear(6, n_out),
    )
    network[3].weight = network[2].weight
    network.register_buffer("unused", torch.ones(2, 3).T.to(torch.bfloat16))
    return network


def with_names(data):
    pd = pytest.importorskip("pandas")
    return pd.DataFrame(data, columns=[f"näme {i}" for i in range(data.shape[1])])


MODELS = {
    "mult": lambda: MultVAERecommender(**MULT).fit(X),
    "mult, hidden, validated": lambda: MultVAERecommender(
        **MULT,
        hidden_layer_sizes=(np.int64(5), 3),
        tied_weights=False,
        early_stopping=True,
    ).fit(X),
    "mult, beta searched, refit": lambda: MultVAERecommender(
        **MULT, hidden_layer_sizes=[5], beta="auto", refit=True
    ).fit(X),
    "mult-dae": lambda: MultVAERecommender(**MULT, variational=False).fit(X),
    "gaussian": lambda: VAETransformer(3, **SMALL).fit(REAL),
    "gaussian, names": lambda: VAETransformer(3, **SMALL, noise_variance="feature").fit(
        with_names(REAL)
    ),
    "gaussian, fixed": lambda: VAETransformer(
        3, **SMALL, noise_variance=np.float64(0.3), alpha=0.1
    ).fit(REAL),
    "bernoulli": lambda: VAETransformer(3, **SMALL, likelihood="bernoulli").fit(
        COUNTS / COUNTS.max()
    ),
    "poisson": lambda: VAETransformer(3, **SMALL, likelihood="poisson").fit(COUNTS),
    "multinomial": lambda: VAETransformer(3, **SMALL, likelihood="multinomial").fit(
        sp.csr_array(COUNTS)
    ),
    "autoencoder": lambda: VAETransformer(3, **SMALL, variational=False).fit(REAL),
    "cvae": lambda: CollaborativeVAE(**CVAE).fit(X, item_features=WORDS),
    "cvae, gaussian, hidden": lambda: CollaborativeVAE(
        **CVAE, likelihood="gaussian", hidden_layer_sizes=(5,), early_stopping=True
    ).fit(X, item_features=WORDS),
    "cvae, plain": lambda: CollaborativeVAE(
        **CVAE, variational=False, tied_weights=False
    ).fit(X, item_features=WORDS),
    "linear": lambda: LinearVAERecommender(random_state=0).fit(X),
    "linear, given": lambda: LinearVAERecommender(
        3, noise_variance="mle", output_exponent=0, random_state=0
    ).fit(X),
    "factorization": lambda: CollaborativeVAE(**CVAE).fit(X),
}


@functools.cache
def fitted(name):
    """Return a fitted model, which no test may change."""
    return MODELS[name]()


def data_for(model):
    if not isinstance(model, VAETransformer):
        return X
    if hasattr(model, "feature_names_in_"):
        return with_names(REAL)
    if model.likelihood == "bernoulli":
        return COUNTS / COUNTS.max()
    return REAL if model.likelihood == "gaussian" else COUNTS


def results(model):
    """Yield the results of all methods of a fitted model."""
    data = data_for(model)
    codes = model.transform(data)
    yield codes
    yield model.inverse_transform(codes)
    yield model.get_feature_names_out()
    if hasattr(model, "recommend"):
        yield model.decision_function(data)
        yield from model.recommend(data, n_items=3, return_scores=True)
        yield model.predict(data)
    for method in ("score_samples", "elbo", "score"):
        if hasattr(model, method):
            yield getattr(model, method)(data)
    if hasattr(model, "sample"):
        sample = model.sample(5, random_state=0)
        yield sample.toarray() if sp.issparse(sample) else sample
    if hasattr(model, "item_content_factors_"):
        yield model.transform_items(WORDS)
        yield model.recommend(data, new_item_features=WORDS)
    if hasattr(model, "noise_variance_"):
        yield model.noise_variance_


def assert_same(one, other):
    """Compare to the last bit, including the types."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            assert_same(*pair)
    elif isinstance(one, nn.Module):
        assert one.training == other.training
        assert_same(dict(one.state_dict()), dict(other.state_dict()))
        wanted = [p.requires_grad for p in one.parameters()]
        assert wanted == [p.requires_grad for p in other.parameters()]
    elif isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    elif hasattr(one, "__dict__") and not isinstance(one, (BaseEstimator, type)):
        assert_same(vars(one), vars(other))
    else:
        np.testing.assert_equal(one, other)


def fitted_attributes(model):
    parameters = model.get_params(deep=False)
    return {
        name: value for name, value in vars(model).items() if name not in parameters
    }
