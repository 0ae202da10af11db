"""Fits with the same seed, machine and number of threads have the same bits."""

import hashlib
import json
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone

from skvae import CollaborativeVAE, MultVAERecommender, VAETransformer
from skvae.datasets import make_interactions

X = make_interactions(150, 60, random_state=0).matrix
WORDS = np.random.default_rng(0).poisson(0.5, (60, 20)).astype(float)
SHARED = {"max_iter": 4, "random_state": 3, "early_stopping": True}
MODELS = {
    "mult": MultVAERecommender(
        6, hidden_layer_sizes=(9,), hidden_dropout=0.2, **SHARED
    ),
    "search": MultVAERecommender(6, beta="auto", refit=True, **SHARED),
    "vae": VAETransformer(4, likelihood="poisson", dropout=0.2, **SHARED),
    "content": CollaborativeVAE(
        5, hidden_layer_sizes=(8,), layer_epochs=1, content_epochs=2, **SHARED
    ),
    "factors": CollaborativeVAE(5, **SHARED),
}
DATA = {name: {} for name in MODELS} | {"content": {"item_features": WORDS}}


def fit(name, model=None):
    return (clone(MODELS[name]) if model is None else model).fit(X, **DATA[name])


def digest(model):
    """Hash of weights, curves and results of a fitted model."""
    hashed = hashlib.sha256()
    for name, value in sorted(model._module.state_dict().items()):
        hashed.update(name.encode() + value.cpu().numpy().tobytes())
    hashed.update(repr((model.loss_curve_, model.validation_scores_)).encode())
    hashed.update(model.transform(X).tobytes())
    if hasattr(model, "recommend"):
        items, scores = model.recommend(X, 7, return_scores=True)
        hashed.update(items.tobytes() + scores.tobytes())
    return hashed.hexdigest()


def digests():
    return {name: digest(fit(name)) for name in MODELS}


@pytest.fixture(scope="module")
def expected():
    return digests()


each = pytest.mark.parametrize("name", MODELS)


@each
def test_second_fit_has_the_bits_of_the_first(name, expected):
    model = fit(name)
    assert digest(model) == expected[name]
    assert digest(fit(name, model)) == expected[name]
    with_instance = clone(model).set_params(random_state=np.random.RandomState(3))
    assert digest(fit(name, with_instance)) == expected[name]


@each
def test_second_fit_on_a_device_has_the_bits_of_the_first(name, device):
    fits = [fit(name, clone(MODELS[name]).set_params(device=device)) for _ in range(2)]
    assert digest(fits[0]) == digest(fits[1])


@each
def test_unaligned_data_give_the_same_bits(name, expected):
    """A library may choose its kernel by the alignment of memory."""
    shifted = X.copy()
    for part in ("data", "indices"):
        values = getattr(X, part)
        memory = np.empty(values.size + 3, dtype=values.dtype)
        setattr(shifted, part, memory[3:])
        memory[3:] = values
    model = clone(MODELS[name]).fit(shifted, **DATA[name])
    assert digest(model) == expected[name]


@each
def test_other_seed_gives_another_model(name, expected):
    model = clone(MODELS[name]).set_params(random_state=4)
    assert digest(fit(name, model)) != expected[name]


@each
def test_global_generators_are_neither_used_nor_changed(name, expected):
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    numpy_before = np.random.get_state()[1].copy()  # noqa: NPY002
    torch_before = torch.get_rng_state()
    assert digest(fit(name)) == expected[name]
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_before)


@pytest.mark.skipif(
    "SKVAE_TEST_BLAS" in os.environ, reason="other processes have the usual BLAS"
)
def test_another_process_gives_the_same_bits(expected):
    code = (
        "import json, runpy, sys, torch; torch.set_num_threads(1); "
        "print(json.dumps(runpy.run_path(sys.argv[1])['digests']()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, __file__],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    assert json.loads(done.stdout) == expected


@pytest.mark.slow
def test_workers_of_joblib_give_the_same_bits(expected):
    """As with `n_jobs` in scikit-learn's searches."""
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        models = joblib.Parallel(n_jobs=2)(
            joblib.delayed(clone(model).fit)(X, **DATA[name])
            for name, model in MODELS.items()
        )
    assert dict(zip(MODELS, map(digest, models), strict=True)) == expected


def test_concurrent_threads_give_the_same_bits(expected):
    names = [*MODELS, *MODELS]
    with ThreadPoolExecutor(len(names)) as pool:
        found = list(pool.map(lambda name: digest(fit(name)), names))
    assert found == [expected[name] for name in names]


@each
def test_pickling_before_and_after_the_fit_changes_nothing(name, expected):
    model = fit(name, pickle.loads(pickle.dumps(MODELS[name])))
    assert digest(model) == expected[name]
    assert digest(pickle.loads(pickle.dumps(model))) == expected[name]


@each
@pytest.mark.parametrize("verbose", [1, 2])
def test_verbose_does_not_change_the_bits(name, verbose, expected, capsys):
    model = fit(name, clone(MODELS[name]).set_params(verbose=verbose))
    assert digest(model) == expected[name]
    assert "".join(capsys.readouterr())
