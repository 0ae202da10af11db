"""Parameters that are set after a fit: checked before use, and no part of the model."""

import numpy as np
import pytest
from sklearn.utils._param_validation import InvalidParameterError

from skvae import MultVAERecommender, VAETransformer, load_model, save_model
from skvae.datasets import make_interactions

X = make_interactions(60, 40, random_state=0).matrix
SMALL = {"n_components": 3, "max_iter": 2, "random_state": 0}
ESTIMATORS = [MultVAERecommender, VAETransformer]
INVALID = {
    "alpha": -1.0,
    "annealing": -1,
    "batch_size": 0,
    "beta": -1.0,
    "callbacks": 3,
    "device": 3,
    "learning_rate_init": 0.0,
    "lr_schedule": "exponential",
    "max_iter": 0,
    "precision": "float16",
    "random_state": "seed",
    "variational": "no",
    "verbose": "much",
}


@pytest.mark.parametrize("name", INVALID)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_partial_fit_checks_parameters_that_were_set_after_fit(estimator, name):
    model = estimator(**SMALL).fit(X)
    before = dict(vars(model), **{name: INVALID[name]})
    model.set_params(**{name: INVALID[name]})
    with pytest.raises(InvalidParameterError, match=f"The '{name}' parameter of"):
        model.partial_fit(X)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[key] is value for key, value in before.items())


def test_partial_fit_checks_the_smoothing_of_labels():
    model = MultVAERecommender(**SMALL).fit(X).set_params(label_smoothing=1.0)
    with pytest.raises(InvalidParameterError, match="'label_smoothing' parameter"):
        model.partial_fit(X)


@pytest.mark.parametrize("how", ["partial_fit", "fit"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_training_that_continues_refuses_a_device_that_torch_does_not_know(
    estimator, how
):
    model = estimator(**SMALL, warm_start=True).fit(X).set_params(device="gpu")
    with pytest.raises(ValueError, match="device='gpu' cannot be used"):
        getattr(model, how)(X)


@pytest.mark.parametrize("fitted", [True, False])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_what_a_model_can_compute_depends_on_how_it_was_fitted(estimator, fitted):
    model = estimator(**SMALL, variational=fitted).fit(X)
    model.set_params(variational=not fitted)
    for method in ("elbo", "score_samples", "sample"):
        assert hasattr(model, method) == fitted
    model.partial_fit(X)
    model.set_params(warm_start=True).fit(X)
    if fitted:
        assert np.isfinite(model.elbo(X)).all()
        assert np.isfinite(model.score_samples(X)).all()
        assert np.isfinite(model.score(X))
        assert model.sample(3).shape == (3, X.shape[1])
    if estimator is VAETransformer:
        assert hasattr(model, "component_kl_") == fitted
    model.set_params(warm_start=False).fit(X)
    assert hasattr(model, "elbo") != fitted


@pytest.mark.parametrize("fitted", [True, False])
def test_the_validation_score_is_that_of_the_fitted_kind_of_code(fitted):
    model = VAETransformer(**SMALL, variational=fitted, warm_start=True).fit(X)
    twin = VAETransformer(**SMALL, variational=fitted, warm_start=True).fit(X)
    model.set_params(variational=not fitted).fit(X, X_val=X)
    twin.fit(X, X_val=X)
    assert model.validation_scores_ == twin.validation_scores_


def test_totals_of_rows_are_kept_for_the_fitted_likelihood(tmp_path):
    rows = X.toarray()
    model = VAETransformer(**SMALL, likelihood="multinomial").fit(rows)
    expected = VAETransformer(**SMALL, likelihood="multinomial").fit(rows)
    model.set_params(likelihood="gaussian").partial_fit(rows[:20])
    drawn = expected.partial_fit(rows[:20]).sample(50, random_state=0)
    np.testing.assert_array_equal(model.sample(50, random_state=0), drawn)
    # A new fit is of the new likelihood, and leaves nothing of the old one.
    save_model(model.fit(rows), tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    np.testing.assert_array_equal(loaded.transform(rows), model.transform(rows))
    model = VAETransformer(**SMALL, likelihood="gaussian").fit(rows)
    model.set_params(likelihood="multinomial").partial_fit(rows)
    assert np.isfinite(model.sample(3)).all()
