"""Errors of fits that diverge or are interrupted, and the models they leave."""

import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from skorch.callbacks import Callback

from skvae import CollaborativeVAE, MultVAERecommender, VAETransformer, save_model
from skvae.datasets import make_interactions

X = make_interactions(120, 50, random_state=0).matrix
WORDS = np.random.default_rng(0).poisson(0.5, (50, 20)).astype(float)
SMALL = {"n_components": 5, "max_iter": 4, "random_state": 0, "batch_size": 12}
ESTIMATORS = {
    "mult": (MultVAERecommender, {}),
    "vae": (VAETransformer, {}),
    "content": (CollaborativeVAE, {"item_features": WORDS}),
    "factors": (CollaborativeVAE, {}),
}
WITH_NETWORK = ["mult", "vae", "content"]
# The first step takes the weights, and so the next loss, beyond float32.
DIVERGING = {"learning_rate_init": 1e30}


def make(name, **settings):
    return ESTIMATORS[name][0](**{**SMALL, **settings})


def fit(name, model):
    return model.fit(X, **ESTIMATORS[name][1])


class Batches(Callback):
    """Counts the batches of the training."""

    n = 0  # of the class: callbacks are cloned

    def on_batch_begin(self, net, **kwargs):
        Batches.n += 1


# Exceptions that are not errors, such as SystemExit


class Alarm(BaseException):
    """An exception of the caller's own, as a timer raises it."""


class Raising(Callback):
    """Raises an exception in the second epoch."""

    def __init__(self, exception):
        self.exception = exception

    def on_batch_begin(self, net, **kwargs):
        if len(net.history) > 1 or net.first_epoch:
            raise self.exception


@pytest.mark.parametrize("exception", [SystemExit, GeneratorExit, Alarm])
@pytest.mark.parametrize("name", WITH_NETWORK)
def test_exit_from_a_first_fit_leaves_an_unfitted_estimator(name, exception):
    model = make(name, callbacks=[Raising(exception)])
    with pytest.raises(exception):
        fit(name, model)
    assert set(vars(model)) == set(model.get_params())


@pytest.mark.parametrize("exception", [SystemExit, GeneratorExit, Alarm])
@pytest.mark.parametrize(
    ("name", "how"),
    [
        *((name, "fit") for name in WITH_NETWORK),
        ("mult", "warm_start"),
        ("vae", "warm_start"),
        ("mult", "partial_fit"),
        ("vae", "partial_fit"),
    ],
)
def test_exit_from_a_later_fit_keeps_the_earlier_model(name, how, exception):
    model = fit(name, make(name))
    before, attributes = model.transform(X), {**vars(model)}
    model.set_params(callbacks=[Raising(exception)])
    if how == "warm_start":
        model.set_params(warm_start=True)
    with pytest.raises(exception):
        model.partial_fit(X) if how == "partial_fit" else fit(name, model)
    np.testing.assert_array_equal(model.transform(X), before)
    assert not model._module.training
    learned = set(attributes) - set(model.get_params())
    assert learned == set(vars(model)) - set(model.get_params())
    assert all(vars(model)[name] is attributes[name] for name in learned)


# Divergence


@pytest.mark.parametrize("name", WITH_NETWORK)
def test_divergence_is_reported_and_an_unfitted_estimator_stays_unfitted(name):
    model = make(name, **DIVERGING)
    with pytest.raises(
        ValueError, match="epoch 1, batch 2: .*learning rate.*1e.30.*lower learning_rat"
    ):
        fit(name, model)
    assert set(vars(model)) == set(model.get_params())


@pytest.mark.parametrize("name", WITH_NETWORK)
def test_divergence_of_a_second_fit_keeps_the_first_model(name):
    model = fit(name, make(name))
    before, attributes = model.transform(X), set(vars(model))
    with pytest.raises(ValueError, match="has diverged"):
        fit(name, model.set_params(**DIVERGING))
    np.testing.assert_array_equal(model.transform(X), before)
    assert set(vars(model)) == attributes
    assert model.n_iter_ == len(model.loss_curve_) == 4


@pytest.mark.parametrize("how", ["fit", "partial_fit"])
@pytest.mark.parametrize("name", ["mult", "vae"])
def test_divergence_of_continued_training_keeps_the_last_good_state(name, how):
    model, twin = fit(name, make(name)), fit(name, make(name))
    before = model.transform(X)
    settings = {"warm_start": how == "fit", "lr_schedule": None}
    model.set_params(**settings, **DIVERGING)
    with pytest.raises(ValueError, match="epoch 5, batch 2: .*has diverged"):
        getattr(model, how)(X)
    np.testing.assert_array_equal(model.transform(X), before)
    # Weights, moments and counts are kept: training continues from them.
    model.set_params(learning_rate_init=twin.learning_rate_init)
    getattr(model, how)(X)
    getattr(twin.set_params(**settings), how)(X)
    np.testing.assert_array_equal(model.transform(X), twin.transform(X))


@pytest.mark.parametrize("name", WITH_NETWORK)
def test_divergence_ends_the_fit_at_once(name, device):
    Batches.n = 0
    settings = {"batch_size": 1, "device": device, **DIVERGING}
    if name == "content":
        settings["content_epochs"] = 0
    model = make(name, callbacks=[Batches()], **settings)
    with pytest.raises(ValueError, match="epoch 1, batch 2:"):
        fit(name, model)
    assert Batches.n <= (2 if device == "cpu" else 64)


def test_loss_is_checked_every_so_many_steps_on_a_device(monkeypatch):
    monkeypatch.setattr("skvae._training._net._steps_between_checks", lambda device: 4)
    Batches.n = 0
    with pytest.raises(ValueError, match="epoch 1, batch 2:"):
        fit("mult", make("mult", callbacks=[Batches()], **DIVERGING))
    assert Batches.n == 4


@pytest.mark.parametrize("name", ["mult", "vae"])
def test_weights_that_become_infinite_in_the_last_step_are_reported(name):
    model = make(name, max_iter=1, batch_size=len(X.indptr), learning_rate_init=1e39)
    with pytest.raises(ValueError, match="Weights became infinite in epoch 1"):
        fit(name, model)
    assert set(vars(model)) == set(model.get_params())


@pytest.mark.parametrize(
    ("settings", "words", "match"),
    [
        (DIVERGING, WORDS, "batch 2: training of the content model, before the rounds"),
        (
            {**DIVERGING, "content_epochs": 0},
            WORDS,
            "batch 2: training of the content model, in the rounds",
        ),
        (
            {"hidden_layer_sizes": (8,), "layer_epochs": 2},
            3e37 * (1 + WORDS),
            "batch 1: training of hidden layer 1 alone.*scale item_features",
        ),
    ],
)
def test_divergence_names_the_training_of_content_that_diverged(settings, words, match):
    model = make("content", **settings)
    with pytest.raises(ValueError, match=match):
        model.fit(X, item_features=words)
    assert set(vars(model)) == set(model.get_params())


def test_half_steps_that_cannot_be_solved_leave_the_model_as_it_was():
    model = make("factors")
    model.fit(X)
    before = model.transform(X)
    with pytest.raises(ValueError, match="scale X"):
        model.fit(X * 1e30)
    np.testing.assert_array_equal(model.transform(X), before)


def test_objective_that_becomes_infinite_ends_the_rounds(monkeypatch):
    monkeypatch.setattr(
        "skvae._collaborative._rounds.objective", lambda *a, **k: np.inf
    )
    model = make("factors")
    with pytest.raises(ValueError, match="objective became inf in round 1"):
        model.fit(X)
    assert set(vars(model)) == set(model.get_params())


# Interruption


def assert_usable(model):
    """Assert that the model has all attributes of a fit, and can be used and saved."""
    assert np.isfinite(model.transform(X)).all()
    if isinstance(model, CollaborativeVAE):
        np.testing.assert_array_equal(model.transform(X), model.user_factors_)
    else:
        assert len(model.loss_curve_) == model.n_iter_
    if hasattr(model, "recommend"):
        assert (model.recommend(X, 3) >= 0).all()


def interrupting(function, at):
    """Make a function raise a KeyboardInterrupt in its call number `at`, from 1."""
    calls = []

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt
        return function(*args, **kwargs)

    return interrupted


@pytest.mark.parametrize(
    ("name", "place", "at"),
    [
        ("mult", "skvae._mult_vae.MultVAERecommender._validation_score", 3),
        ("mult", "skvae._mult_vae.MultVAERecommender._validation_score", 7),
        ("mult", "skvae._base._trained.TrainedEstimator._take_in", 3),
        ("vae", "skvae._vae_transformer.VAETransformer._validation_score", 3),
        ("vae", "skvae._vae_transformer.VAETransformer._start_from", 1),
        ("vae", "skvae._vae_transformer.VAETransformer._measure", 1),
        ("content", "skvae._collaborative._rounds.Validation.score", 2),
        ("content", "skvae._collaborative._content._code_likelihood", 1),
        ("content", "skvae._collaborative._rounds.half_step", 5),
        ("content", "skvae._collaborative_vae.CollaborativeVAE._take_in", 1),
        ("content", "skvae._collaborative_vae.CollaborativeVAE._set_factors", 1),
        ("factors", "skvae._collaborative._rounds.half_step", 1),
        ("factors", "skvae._collaborative._rounds.half_step", 4),
        ("factors", "skvae._collaborative._rounds.shrinkage", 3),
        ("factors", "skvae._collaborative._rounds.inverse_cholesky", 7),
    ],
)
def test_interruption_anywhere_leaves_a_usable_model(
    name, place, at, monkeypatch, tmp_path
):
    settings = {"early_stopping": True, "refit": True}
    if name == "mult":
        settings["beta"] = "auto"
    if name == "content":
        settings |= {"hidden_layer_sizes": (8, 7), "layer_epochs": 1}
    model = make(name, **settings)
    target, _, attribute = place.rpartition(".")
    target = pkgutil.resolve_name(target)
    with monkeypatch.context() as patch:
        patch.setattr(target, attribute, interrupting(getattr(target, attribute), at))
        with pytest.raises(KeyboardInterrupt):
            fit(name, model)
    if "_module" in vars(model):
        assert_usable(model)
        save_model(model, tmp_path / "model")
    else:
        assert (name, at) == ("factors", 1)
        assert set(vars(model)) == set(model.get_params())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("mult", marks=pytest.mark.slow),
        pytest.param("vae", marks=pytest.mark.slow),
        "content",
        pytest.param("factors", marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_at_any_moment_leaves_a_usable_model(name):
    script = Path(__file__).parent / "interrupted_fits.py"
    done = subprocess.run(
        [sys.executable, script, name],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    left = done.stdout.split()
    assert len(left) >= 6
    assert len(set(left) - {"before", "ended"}) >= 2  # some came while it trained


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    "name",
    [
        "mult",
        pytest.param("bfloat16", marks=pytest.mark.slow),
        pytest.param("vae", marks=pytest.mark.slow),
        pytest.param("content", marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_while_a_first_fit_imports_does_not_break_the_next_fit(name):
    script = Path(__file__).parent / "interrupted_imports.py"
    done = subprocess.run(
        [sys.executable, script, name],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.stdout.split() == ["fitted"] * 3, done.stderr
