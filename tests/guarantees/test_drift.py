"""Quality on generated data does not change unnoticed.

Data and seeds are fixed. The values were measured once, by running this file as a
script; the tolerances leave room for the rounding of other machines and versions. They
are no wider than the standard deviation over seeds, which the script prints too.
"""

import numpy as np
import pytest

from skvae import CollaborativeVAE, MultVAERecommender, VAETransformer
from skvae.datasets import make_interactions
from skvae.metrics import make_ranking_scorer
from skvae.model_selection import hold_out_items

ndcg = make_ranking_scorer("ndcg@20")


def interactions():
    data = make_interactions(1200, 300, random_state=0)
    return data.matrix[:1000], data.matrix[1000:], data


def words(item_factors, seed=0):
    """Counts of words that depend on the tastes of items: shape (n_items, 60)."""
    rng = np.random.RandomState(seed)
    topics = rng.dirichlet(np.full(60, 0.1), size=item_factors.shape[1])
    tastes = item_factors / item_factors.sum(axis=1, keepdims=True)
    return rng.poisson(30 * tastes @ topics).astype(np.float32)


def mult_vae(seed, **kwargs):
    X, X_test, _ = interactions()
    model = MultVAERecommender(50, max_iter=10, random_state=seed, **kwargs)
    return ndcg(model.fit(X), X_test)


def mult_dae(seed):
    return mult_vae(seed, variational=False)


def paper_mult_vae(seed):
    return mult_vae(
        seed,
        hidden_layer_sizes=(60,),
        tied_weights=False,
        initial_log_variance=0,
        beta=0.2,
        dropout=0.5,
        label_smoothing=0,
    )


def factorization(seed):
    X, X_test, _ = interactions()
    return ndcg(CollaborativeVAE(20, max_iter=5, random_state=seed).fit(X), X_test)


def cold_items(seed):
    """Recall of items without interactions among such items, from their words."""
    X, _, data = interactions()
    train, truth, items = hold_out_items(X, random_state=0)
    model = CollaborativeVAE(20, max_iter=2, lambda_v=10, random_state=seed)
    model.fit(train, item_features=words(data.item_factors))
    ranked = model.recommend(train, n_items=10, candidates=items)
    hits = np.take_along_axis(truth.toarray(), ranked, axis=1).sum(axis=1)
    asked = np.asarray((truth != 0).sum(axis=1)).ravel()
    return float((hits[asked > 0] / np.minimum(asked[asked > 0], 10)).mean())


def vae_bound(seed):
    """Log-likelihood of new rows of a low-rank normal distribution, in nats."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(1200, 3)) @ rng.normal(size=(3, 12))
    X += 0.3 * rng.normal(size=X.shape)
    vae = VAETransformer(3, max_iter=30, random_state=seed).fit(X[:1000])
    return vae.score(X[1000:])


MEASURED = {  # value and tolerance
    mult_vae: (0.3601, 0.003),
    mult_dae: (0.3181, 0.009),
    paper_mult_vae: (0.2389, 0.01),
    factorization: (0.1725, 0.009),
    cold_items: (0.4663, 0.01),
    vae_bound: (-9.838, 0.03),
}


@pytest.mark.parametrize("measure", MEASURED, ids=lambda measure: measure.__name__)
def test_quality_has_not_changed(measure):
    value, tolerance = MEASURED[measure]
    assert measure(0) == pytest.approx(value, abs=tolerance)


if __name__ == "__main__":
    for measure in MEASURED:
        values = [measure(seed) for seed in range(10)]
        print(f"{measure.__name__}: {values[0]:.4f} ± {np.std(values):.4f}")
