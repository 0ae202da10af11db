"""Small fitted estimators that the displays draw."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from skvae import CollaborativeVAE, MultVAERecommender, VAETransformer
from skvae.datasets import make_interactions


@pytest.fixture(scope="session")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:200] / 16, y[:200]


@pytest.fixture(scope="session")
def users():
    return make_interactions(80, 40, n_interactions_per_user=8, random_state=0).matrix


@pytest.fixture(scope="session")
def vae(digits):
    model = VAETransformer(4, hidden_layer_sizes=(8,), max_iter=3, random_state=0)
    return model.fit(digits[0])


@pytest.fixture(scope="session")
def validated_vae(digits):
    model = VAETransformer(
        4, hidden_layer_sizes=(8,), max_iter=5, early_stopping=True, random_state=0
    )
    return model.fit(digits[0])


@pytest.fixture(scope="session")
def autoencoder(digits):
    model = VAETransformer(
        4, hidden_layer_sizes=(8,), variational=False, max_iter=3, random_state=0
    )
    return model.fit(digits[0])


@pytest.fixture(scope="session")
def recommender(users):
    """Fit with a search for beta, whose curves differ from those of the training."""
    model = MultVAERecommender(
        6, beta="auto", label_smoothing=0, max_iter=8, random_state=0
    )
    return model.fit(users)


@pytest.fixture(scope="session")
def collaborative(users):
    words = np.random.default_rng(0).poisson(1, (users.shape[1], 12))
    model = CollaborativeVAE(
        4, content_epochs=2, max_iter=3, batch_size=20, random_state=0
    )
    return model.fit(users, item_features=words)
