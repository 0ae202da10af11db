"""A fitted estimator can be used from several threads at the same time."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from skvae import CollaborativeVAE, MultVAERecommender, VAETransformer
from skvae.datasets import make_interactions

N_THREADS = 8
X = make_interactions(200, 80, random_state=0).matrix
FEATURES = np.random.RandomState(0).poisson(0.5, (80, 30)).astype(float)


def fitted(name):
    settings = {"max_iter": 2, "random_state": 0}
    if name == "content":
        return CollaborativeVAE(5, **settings).fit(X, item_features=FEATURES)
    if name == "mult":
        return MultVAERecommender(6, **settings).fit(X)
    return VAETransformer(4, likelihood="bernoulli", **settings).fit(X)


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("mult", "transform"),
        ("mult", "recommend"),
        ("mult", "score_samples"),
        ("content", "transform"),
        ("content", "recommend"),
        ("vae", "transform"),
        ("vae", "score_samples"),
    ],
)
def test_concurrent_calls_return_the_results_of_sequential_ones(name, method):
    call = getattr(fitted(name), method)
    parts = [X[start::N_THREADS] for start in range(N_THREADS)] * 3
    expected = [call(part) for part in parts]
    with ThreadPoolExecutor(N_THREADS) as pool:
        found = list(pool.map(call, parts))
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_fits_in_threads_are_independent():
    def weights(seed):
        model = MultVAERecommender(5, max_iter=3, random_state=seed).fit(X)
        return model.transform(X)

    seeds = list(range(N_THREADS))
    expected = [weights(seed) for seed in seeds]
    with ThreadPoolExecutor(N_THREADS) as pool:
        for one, other in zip(expected, pool.map(weights, seeds), strict=True):
            np.testing.assert_array_equal(one, other)
