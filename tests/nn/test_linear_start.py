"""The start of a VAE from a linear VAE: the same ranking, codes as under the prior."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from skvae import LinearVAERecommender, MultVAERecommender
from skvae._training import RowBatches
from skvae.datasets import make_interactions

X = make_interactions(300, 80, random_state=0).matrix
X = sp.csr_array(sp.hstack([X, sp.csr_array((300, 1))]))  # one without interactions
UNTRAINED = {"learning_rate_init": 1e-12, "max_iter": 1, "random_state": 0}


@pytest.fixture(scope="module")
def model():
    return MultVAERecommender(30, **UNTRAINED).fit(X)


def rows():
    return RowBatches(X, torch.device("cpu")).take(slice(None))


def test_the_scores_of_each_user_are_those_of_the_linear_vae_up_to_a_factor(model):
    linear = LinearVAERecommender(30, random_state=model._state.seed).fit(X)
    expected, scores = linear.decision_function(X), model.decision_function(X)
    factors = (scores * expected).sum(axis=1) / np.square(expected).sum(axis=1)
    assert (factors > 0).all()
    np.testing.assert_allclose(scores, expected * factors[:, None], atol=1e-4)


def test_codes_are_centered_and_the_most_variable_one_has_variance_1(model):
    codes = model.transform(X)
    np.testing.assert_allclose(codes.mean(axis=0), 0, atol=1e-4)
    assert codes.var(axis=0).max() == pytest.approx(1, rel=1e-3)


def test_the_scale_of_the_outputs_is_that_of_the_greatest_likelihood(model):
    module = model._module
    outputs = module.decode(module.encode(rows())).detach()

    def loss(factor):
        return module.likelihood.nll(factor * outputs, rows()).mean().item()

    assert loss(1.0) < min(loss(0.8), loss(1.25))
    assert loss(1.0) < loss(0.0)


def test_an_item_without_interactions_has_the_largest_scale(model):
    scale = model._module.decoder.output_scale
    assert scale[-1] == scale.max()
    assert np.isfinite(model.decision_function(X)).all()


def test_a_start_with_other_parameters_is_refused():
    for settings in ({"tied_weights": False}, {"hidden_layer_sizes": (5,)}):
        with pytest.raises(ValueError, match='init="linear" needs tied_weights=True'):
            MultVAERecommender(5, init="linear", **settings).fit(X)
        model = MultVAERecommender(5, **settings, random_state=0).fit(X)
        assert model.n_iter_ == 20  # after a random start


def test_auto_takes_fewer_epochs_and_a_lower_rate_after_a_linear_start():
    rates = {}
    for init in ("linear", "random"):
        model = MultVAERecommender(5, init=init, random_state=0)
        rates[init] = model.fit(X).n_iter_
    assert rates == {"linear": 5, "random": 20}
    one, other = (
        MultVAERecommender(5, learning_rate_init=rate, random_state=0).fit(X)
        for rate in ("auto", 0.001)
    )
    np.testing.assert_array_equal(one.transform(X), other.transform(X))


def test_the_first_rows_of_partial_fit_are_a_start_too():
    model = MultVAERecommender(30, random_state=0).partial_fit(X[:50])
    assert model._module.decoder.output_scale is not None
    model.partial_fit(X[50:])
    assert model.n_iter_ == 2


@pytest.mark.parametrize("n_users", [1, 2])
def test_very_few_users_are_a_start_too(n_users):
    model = MultVAERecommender(4, random_state=0).fit(X[:n_users])
    assert np.isfinite(model.decision_function(X)).all()


def test_huge_counts_start_as_small_ones_do():
    huge = MultVAERecommender(30, **UNTRAINED).fit(X * np.float32(1e6))
    assert np.isfinite(huge.decision_function(X)).all()
