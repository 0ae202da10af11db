"""Modes of torch that the caller has set do not reach what estimators compute."""

import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from skvae import (
    CollaborativeVAE,
    LinearVAERecommender,
    MultVAERecommender,
    VAETransformer,
    load_model,
    save_model,
)
from skvae.datasets import make_interactions

X = make_interactions(60, 40, random_state=0).matrix
DENSE = np.random.default_rng(1).normal(size=(60, 7))
WORDS = np.random.default_rng(0).poisson(0.5, (40, 20)).astype(float)
SMALL = {"n_components": 3, "max_iter": 2, "random_state": 0, "batch_size": 12}
CASES = {
    "mult": (MultVAERecommender(**SMALL, early_stopping=True, refit=True), X, {}),
    "mult-deep": (MultVAERecommender(**SMALL, hidden_layer_sizes=(5,)), X, {}),
    "mult-bfloat16": (MultVAERecommender(**SMALL, precision="bfloat16"), X, {}),
    "vae": (VAETransformer(**SMALL, early_stopping=True), DENSE, {}),
    "vae-feature": (
        VAETransformer(**SMALL, noise_variance="feature", dropout=0.1),
        DENSE,
        {},
    ),
    "vae-fixed": (VAETransformer(**SMALL, noise_variance=0.5), DENSE, {}),
    "vae-bernoulli": (VAETransformer(**SMALL, likelihood="bernoulli"), X > 0, {}),
    "vae-poisson": (
        VAETransformer(**SMALL, likelihood="poisson", lr_schedule="plateau"),
        X.toarray(),
        {},
    ),
    "vae-multinomial": (VAETransformer(**SMALL, likelihood="multinomial"), X, {}),
    "autoencoder": (VAETransformer(**SMALL, variational=False), DENSE, {}),
    "content": (
        CollaborativeVAE(
            **SMALL, hidden_layer_sizes=(4,), layer_epochs=1, content_epochs=1
        ),
        X,
        {"item_features": WORDS},
    ),
    "linear": (LinearVAERecommender(3, random_state=0), X, {}),
    "factors": (CollaborativeVAE(**SMALL, early_stopping=True), X, {}),
}


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def default_device(device):
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def deterministic_algorithms():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


MODES = {
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "default-device": lambda: default_device("meta"),
    "device-block": lambda: torch.device("meta"),
    "inference-mode": torch.inference_mode,
    "no-grad": torch.no_grad,
    "grad-disabled": lambda: torch.set_grad_enabled(False),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "deterministic": deterministic_algorithms,
}
# Not those that differ from these only in how they are set.
DISTINCT = ["float64", "device-block", "inference-mode", "no-grad", "autocast"]
DISTINCT += ["deterministic"]


def clone_with(name, **settings):
    model, rows, data = CASES[name]
    return type(model)(**{**model.get_params(deep=False), **settings}), rows, data


def results(model, rows, data):
    """Whatever a fitted model computes, by name."""
    codes = model.transform(rows)
    found = {"transform": codes, "inverse_transform": model.inverse_transform(codes)}
    if hasattr(model, "recommend"):
        found["decision_function"] = model.decision_function(rows)
        found["recommend"], found["scores"] = model.recommend(
            rows, 3, return_scores=True, candidates=np.arange(10)
        )
        found["predict"] = model.predict(rows)
    found["score"] = model.score(rows) if hasattr(model, "score") else 0.0
    if hasattr(model, "elbo"):
        found["elbo"] = model.elbo(rows)
        found["score_samples"] = model.score_samples(rows)
        drawn = model.sample(5, random_state=0)
        found["sample"] = drawn if isinstance(drawn, np.ndarray) else drawn.toarray()
    if data:
        found["transform_items"] = model.transform_items(WORDS)
        found["recommend_new"] = model.recommend(rows, 3, new_item_features=WORDS[:4])
    if hasattr(model, "loss_curve_"):
        found["loss_curve_"] = np.array(model.loss_curve_)
    if hasattr(model, "noise_variance_"):
        found["noise_variance_"] = np.array(model.noise_variance_)
    weights = model._module.state_dict()
    return found | {key: value.detach().numpy() for key, value in weights.items()}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in found.items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name, strict=True)


@pytest.fixture(scope="module", params=CASES)
def case(request):
    """Name of a case, its fitted model, and what the model computes without modes."""
    model, rows, data = clone_with(request.param)
    model.fit(rows, **data)
    return request.param, model, results(model, rows, data)


@pytest.mark.parametrize("mode", DISTINCT)
def test_fits_have_the_same_bits_inside_a_mode(case, mode):
    name, _, expected = case
    model, rows, data = clone_with(name)
    with MODES[mode]():
        model.fit(rows, **data)
    assert_same(results(model, rows, data), expected)


@pytest.mark.parametrize("mode", DISTINCT)
def test_inference_and_loading_have_the_same_bits_inside_a_mode(case, mode, tmp_path):
    name, model, expected = case
    _, rows, data = CASES[name]
    with MODES[mode]():
        found = results(model, rows, data)
        save_model(model, tmp_path / "model", item_ids=np.arange(rows.shape[1]))
        loaded = load_model(tmp_path / "model")
    assert_same(found, expected)
    assert_same(results(loaded, rows, data), expected)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["mult", "vae", "vae-multinomial"])
def test_training_continues_inside_a_mode(name, mode):
    models = [clone_with(name, early_stopping=False)[0] for _ in range(2)]
    _, rows, data = CASES[name]
    for model, inside in zip(models, (False, True), strict=True):
        with MODES[mode]() if inside else torch.enable_grad():
            model.partial_fit(rows).partial_fit(rows).set_params(warm_start=True)
            model.fit(rows)
    assert_same(*(results(model, rows, data) for model in models))


@pytest.mark.parametrize("mode", MODES)
def test_a_checkpoint_is_resumed_inside_a_mode(mode, tmp_path):
    class Stop(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if net.epoch_ == 1:
                raise SystemExit

    expected, rows, data = clone_with("vae")
    expected.fit(rows)
    model, *_ = clone_with("vae", checkpoint=tmp_path / "file", callbacks=[Stop()])
    with MODES[mode]():
        with pytest.raises(SystemExit):
            model.fit(rows)
        model.set_params(callbacks=None).fit(rows)
    assert_same(results(model, rows, data), results(expected, rows, data))


def test_networks_of_factories_are_of_float32_whatever_the_default_dtype():
    def linear(n_in, n_out):
        return torch.nn.Linear(n_in, n_out)

    model, rows, _ = clone_with("vae", encoder=linear, decoder=linear)
    with default_dtype(torch.float64):
        model.fit(rows)
        codes = model.transform(rows)
    np.testing.assert_array_equal(model.transform(rows), codes, strict=True)
    weights = model._module.state_dict()
    assert {weight.dtype for weight in weights.values()} == {torch.float32}


@pytest.mark.parametrize("mode", ["default-device", "inference-mode", "no-grad"])
def test_networks_of_factories_are_trained_inside_a_mode(mode):
    def linear(n_in, n_out):
        return torch.nn.Sequential(torch.nn.Linear(n_in, n_out), torch.nn.Dropout(0.1))

    expected, rows, data = clone_with("vae", encoder=linear, decoder=linear)
    model, *_ = clone_with("vae", encoder=linear, decoder=linear)
    with MODES[mode]():
        model.fit(rows)
    assert_same(results(model, rows, data), results(expected.fit(rows), rows, data))


def test_modes_are_as_before_after_a_fit_and_after_an_error():
    model, rows, _ = clone_with("vae")
    with torch.device("meta"), torch.autocast("cpu"), torch.inference_mode():
        model.fit(rows)
        with pytest.raises(ValueError, match="features"):
            model.transform(rows[:, 1:])
        with pytest.raises(ValueError, match="diverged"):
            model.set_params(learning_rate_init=1e30).fit(rows)
        assert torch.is_inference_mode_enabled()
        assert torch.is_autocast_enabled("cpu")
        assert torch.empty(0).device.type == "meta"


def test_the_default_dtype_of_the_process_is_not_changed_by_a_fit():
    class Look(Callback):
        def on_batch_end(self, net, **kwargs):
            seen.add(torch.get_default_dtype())

    seen = set()
    model, rows, _ = clone_with("vae", callbacks=[Look()])
    with default_dtype(torch.float64):
        model.fit(rows)
    assert seen == {torch.float64}


@pytest.mark.parametrize(
    "mode", ["set_default_device('meta')", "set_default_dtype(torch.float64)"]
)
def test_the_package_is_imported_whatever_the_defaults(mode):
    script = f"import torch; torch.{mode}; import skvae"
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)
