"""Small estimators, unfitted and fitted, and data to fit them."""

import copy
import functools

import numpy as np

from skvae import (
    CollaborativeVAE,
    LinearVAERecommender,
    MultVAERecommender,
    VAETransformer,
)

N_USERS, N_ITEMS, N_WORDS = 6, 5, 4
TINY = {
    "n_components": 2,
    "hidden_layer_sizes": (3,),
    "max_iter": 2,
    "random_state": 0,
    "device": "cpu",
}
BY_CONTENT = {**TINY, "content_epochs": 1, "max_iter": 1}

# Class and parameters of each estimator, by name.
ESTIMATORS = {
    "gaussian": (VAETransformer, TINY),
    "gaussian by feature": (
        VAETransformer,
        {**TINY, "noise_variance": "feature", "early_stopping": True, "refit": True},
    ),
    "gaussian fixed": (VAETransformer, {**TINY, "noise_variance": 0.5}),
    "bernoulli": (VAETransformer, {**TINY, "likelihood": "bernoulli"}),
    "multinomial": (VAETransformer, {**TINY, "likelihood": "multinomial"}),
    "poisson": (VAETransformer, {**TINY, "likelihood": "poisson", "dropout": 0.5}),
    "autoencoder": (VAETransformer, {**TINY, "variational": False}),
    "mult-vae": (MultVAERecommender, TINY),
    "mult-dae": (
        MultVAERecommender,
        {**TINY, "variational": False, "tied_weights": False, "hidden_dropout": 0.5},
    ),
    "mult-vae stopped": (
        MultVAERecommender,
        {**TINY, "early_stopping": True, "beta": "auto", "scoring": "recall@2"},
    ),
    "linear": (LinearVAERecommender, {"n_components": 2, "random_state": 0}),
    "factorization": (CollaborativeVAE, TINY),
    "factorization stopped": (
        CollaborativeVAE,
        {**TINY, "early_stopping": True, "refit": True},
    ),
    "collaborative": (CollaborativeVAE, BY_CONTENT),
    "collaborative gaussian": (
        CollaborativeVAE,
        {**BY_CONTENT, "likelihood": "gaussian", "layer_epochs": 1},
    ),
    "collaborative bernoulli": (
        CollaborativeVAE,
        {**BY_CONTENT, "likelihood": "bernoulli", "tied_weights": False},
    ),
}
BY_NAME = sorted(ESTIMATORS)
RECOMMENDERS = [n for n in BY_NAME if ESTIMATORS[n][0] is not VAETransformer]
COLLABORATIVE = [n for n in BY_NAME if n.startswith("collaborative")]


def make(name, **parameters):
    """Make an unfitted estimator."""
    kind, settings = ESTIMATORS[name]
    return kind(**{**settings, **parameters})


def fitted(name):
    """Return a copy of a fitted estimator, which is fitted only once."""
    return copy.deepcopy(_fitted(name))


@functools.cache
def _fitted(name):
    return make(name).fit(tame_rows(), **content(name))


def tame_rows():
    """Return rows to which every estimator can be fitted."""
    board = np.add.outer(np.arange(N_USERS), np.arange(N_ITEMS)) % 2
    board[0, 0] = 1
    return board.astype(np.float64)


def content(name, n_items=N_ITEMS):
    """Return the arguments that the estimator's `fit` needs in addition to X."""
    if name not in COLLABORATIVE:
        return {}
    words = np.add.outer(np.arange(n_items), np.arange(N_WORDS)) % 3 == 0
    return {"item_features": words.astype(np.float64)}
