"""Models that a file cannot hold are refused with advice."""

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback, LRScheduler
from torch import nn

from skvae import (
    MultVAERecommender,
    VAETransformer,
    load_model,
    save_model,
)
from tests.saving.models import (
    MODELS,
    MULT,
    REAL,
    SMALL,
    X,
    assert_same,
    data_for,
    fitted,
)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("gaussian", {"callbacks": [Callback()]}),
        ("gaussian", {"lr_schedule": LRScheduler()}),
        ("mult", {"random_state": np.random.RandomState(0)}),
        ("mult", {"device": torch.device("cpu")}),
        ("factorization", {"device": torch.device("cpu"), "callbacks": [Callback()]}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value,
)
def test_parameters_with_objects_are_named_and_can_be_passed_at_load(
    name, parameters, path
):
    model = MODELS[name]().set_params(**parameters)
    with pytest.raises(ValueError, match=r"omit=\('.*pass it to") as error:
        save_model(model, path)
    assert all(f"{one}=" in str(error.value) for one in parameters)
    save_model(model, path, omit=parameters)
    with pytest.raises(ValueError, match=f"without {', '.join(sorted(parameters))}"):
        load_model(path)
    loaded = load_model(path, **parameters)
    assert all(getattr(loaded, n) is value for n, value in parameters.items())
    assert_same(loaded.transform(data_for(model)), model.transform(data_for(model)))


def test_only_omitted_parameters_can_be_passed_at_load(path):
    save_model(fitted("mult"), path, omit="callbacks")
    with pytest.raises(ValueError, match="given activation, dropout, but"):
        load_model(path, callbacks=None, activation="relu", dropout=0.1)
    with pytest.raises(ValueError, match="'callbacks' parameter"):
        load_model(path, callbacks=3)
    assert load_model(path, callbacks=None, device="cpu").device == "cpu"


def test_omitting_other_parameters_is_refused(path):
    with pytest.raises(ValueError, match="omit holds 'activation', 'checkpoint'"):
        save_model(fitted("mult"), path, omit=["checkpoint", "activation"])
    model = MODELS["mult"]().set_params(scoring=len)
    with pytest.raises(ValueError, match="scoring=.*plain value"):
        save_model(model, path)


def test_unfitted_estimators_are_refused(path):
    with pytest.raises(NotFittedError):
        save_model(MultVAERecommender(), path)


class Derived(MultVAERecommender):
    pass


def test_other_classes_are_refused_with_advice(path):
    for estimator in (Derived(**MULT).fit(X), BaseEstimator()):
        with pytest.raises(TypeError, match=r"not classes derived .* joblib\.dump"):
            save_model(estimator, path)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("mult", {"n_components": 5}),
        ("mult", {"hidden_layer_sizes": (3,)}),
        ("mult", {"label_smoothing": 0.1}),
        ("gaussian", {"activation": "tanh"}),
        ("gaussian", {"likelihood": "bernoulli"}),
        ("gaussian", {"hidden_layer_sizes": (3,)}),
        ("factorization", {"lambda_u": 3.0}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value,
)
def test_parameters_that_contradict_the_network_are_refused(name, parameters, path):
    model = MODELS[name]().set_params(**parameters)
    with pytest.raises(ValueError, match="cannot be saved.* Restore what"):
        save_model(model, path)
    assert not path.exists()


def test_models_that_could_not_be_loaded_are_not_saved(path):
    with pytest.raises(ValueError, match="'max_iter' parameter"):
        save_model(MODELS["mult"]().set_params(max_iter=-1), path)
    with pytest.raises(ValueError, match="must hold integers"):
        save_model(MODELS["mult"]().set_params(hidden_layer_sizes=[0.5]), path)
    with pytest.raises(ValueError, match="output is set to"):
        save_model(MODELS["gaussian"]().set_output(transform="paper"), path)
    assert not path.exists()


class WithMemory(nn.Linear):
    """Network whose state holds more than tensors."""

    def get_extra_state(self):
        return {"calls": 3}

    def set_extra_state(self, state):
        pass


class OfComplexNumbers(nn.Linear):
    def __init__(self, n_in, n_out):
        super().__init__(n_in, n_out)
        self.register_buffer("phase", torch.ones(2, dtype=torch.complex64))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            WithMemory,
            "_extra_state of a network of your own is not a tensor but a dict",
        ),
        (OfComplexNumbers, "phase is a tensor of torch.complex64 and torch.strided"),
    ],
)
def test_networks_with_unusual_state_are_refused(network, message, path):
    model = VAETransformer(3, **SMALL, encoder=network).fit(REAL)
    with pytest.raises(ValueError, match=message):
        save_model(model, path, omit=["encoder"])
    assert not path.exists()


def test_parameters_of_training_may_be_changed_after_fit(path):
    model = MODELS["mult"]().set_params(max_iter=7, learning_rate_init=0.1)
    save_model(model, path)
    assert load_model(path).get_params() == model.get_params()
