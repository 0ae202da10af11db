import numpy as np
import pytest
import torch

from skvae import CollaborativeVAE, MultVAERecommender, VAETransformer
from skvae.datasets import make_checkerboard

X, _ = make_checkerboard(100, 40)
WORDS = np.ones((40, 3))
SMALL = {"max_iter": 1, "random_state": 0}
# Beyond the addresses of any processor, so that no system promises such memory; and
# beyond the integers of numpy and torch.
TOO_MUCH = [10**17, 10**18, 2**70]


def error_of_numpy():
    with pytest.raises(MemoryError) as raised:
        np.empty(TOO_MUCH[0])
    return raised.value


# Errors of the allocators of Python, of numpy, and of torch on Linux and on Windows.
CPU_ERRORS = [
    MemoryError(),
    error_of_numpy(),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't "
        "allocate memory: you tried to allocate 80000000000 bytes. Error code 12 "
        "(Cannot allocate memory)"
    ),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough "
        "memory: you tried to allocate 80000000000 bytes."
    ),
]


CUDA_ERROR = torch.cuda.OutOfMemoryError("CUDA out of memory.")


def with_room_for(n_rows, function, error=CUDA_ERROR):
    """Return a function that runs out of memory for more than so many rows."""
    seen = []

    def limited(rows, *args):
        seen.append(len(rows))
        if len(rows) > n_rows:
            raise error
        return function(rows, *args)

    return limited, seen


@pytest.fixture
def model():
    return MultVAERecommender(4, max_iter=2, random_state=0).fit(X)


def test_inference_continues_with_half_the_rows(model, monkeypatch):
    Z = model.transform(X)
    expected = model.inverse_transform(Z)
    decode, seen = with_room_for(32, model._module.decode)
    monkeypatch.setattr(model._module, "decode", decode)
    np.testing.assert_allclose(model.inverse_transform(Z), expected, rtol=1e-5)
    assert max(seen) > 32
    assert seen[-1] <= 32


def test_inference_raises_if_not_even_a_few_rows_fit(model, monkeypatch):
    decode, seen = with_room_for(0, model._module.decode)
    monkeypatch.setattr(model._module, "decode", decode)
    with pytest.raises(torch.cuda.OutOfMemoryError, match="with 16 rows at once"):
        model.recommend(X)
    assert seen[-1] == 16


@pytest.mark.parametrize(
    ("init", "advice"), [("random", "lower batch_size"), ("linear", 'init="random"')]
)
def test_out_of_memory_in_a_fit_says_what_to_lower_and_keeps_the_estimator(
    model, monkeypatch, init, advice
):
    model.set_params(init=init)
    before = dict(vars(model))

    monkeypatch.setattr("skvae._nn.Multinomial.nll", raising(CUDA_ERROR))
    with pytest.raises(torch.cuda.OutOfMemoryError, match=advice):
        model.fit(X)
    assert vars(model) == before


# Memory of the CPU


def raising(error):
    def function(*args, **kwargs):
        raise error

    return function


@pytest.mark.parametrize("error", CPU_ERRORS)
@pytest.mark.parametrize("estimator", [MultVAERecommender, CollaborativeVAE])
def test_a_dense_array_beyond_memory_says_to_use_recommend(
    estimator, error, monkeypatch
):
    model = estimator(3, **SMALL).fit(X)
    for place in ("_base._recommender", "_collaborative_vae"):
        monkeypatch.setattr(f"skvae.{place}.gather_scores", raising(error))
    with pytest.raises(MemoryError, match="not enough memory.*recommend"):
        model.decision_function(X)


@pytest.mark.parametrize("error", CPU_ERRORS)
@pytest.mark.parametrize("estimator", [MultVAERecommender, VAETransformer])
def test_training_beyond_memory_says_what_to_lower(estimator, error, monkeypatch):
    model = estimator(3, **SMALL)
    monkeypatch.setattr("skvae._nn._vae.VAE.losses", raising(error))
    with pytest.raises(MemoryError, match="not enough memory.*lower batch_size"):
        model.fit(X)
    with pytest.raises(MemoryError, match="not enough memory.*lower batch_size"):
        model.partial_fit(X)
    assert set(vars(model)) == set(model.get_params())


@pytest.mark.parametrize("error", CPU_ERRORS)
def test_inference_on_a_cpu_continues_with_half_the_rows(error, monkeypatch):
    model = MultVAERecommender(4, **SMALL).fit(X)
    Z = model.transform(X)
    expected = model.inverse_transform(Z)
    decode, seen = with_room_for(32, model._module.decode, error)
    with monkeypatch.context() as patch:
        patch.setattr(model._module, "decode", decode)
        np.testing.assert_allclose(model.inverse_transform(Z), expected, rtol=1e-5)
    assert max(seen) > 32
    assert seen[-1] <= 32
    monkeypatch.setattr(model._module, "decode", raising(error))
    with pytest.raises(MemoryError, match="not enough memory.*pass fewer rows"):
        model.inverse_transform(Z)


@pytest.mark.parametrize("size", TOO_MUCH)
@pytest.mark.parametrize("estimator", [MultVAERecommender, VAETransformer])
def test_impossible_numbers_of_draws_are_refused(estimator, size):
    model = estimator(3, **SMALL).fit(X)
    with pytest.raises(MemoryError, match="not enough memory.*n_samples"):
        model.sample(size)
    for method in (model.elbo, model.score_samples):
        with pytest.raises(MemoryError, match="not enough memory.*lower n_draws"):
            method(X, n_draws=size)


@pytest.mark.parametrize("size", TOO_MUCH)
@pytest.mark.parametrize("name", ["n_components", "hidden_layer_sizes"])
@pytest.mark.parametrize(
    "estimator", [MultVAERecommender, VAETransformer, CollaborativeVAE]
)
def test_impossible_sizes_of_networks_are_refused(estimator, name, size):
    sizes = {"n_components": 3, name: size if name == "n_components" else (size,)}
    data = {"item_features": WORDS} if estimator is CollaborativeVAE else {}
    model = estimator(**sizes, **SMALL)
    with pytest.raises(MemoryError, match=f"not enough memory.*{name}"):
        model.fit(X, **data)
    assert set(vars(model)) == set(model.get_params())


@pytest.mark.parametrize("steps", [2**70, 10**400])
def test_the_weight_of_the_kl_may_rise_over_any_number_of_steps(steps):
    model = VAETransformer(3, annealing=steps, **SMALL).fit(X)
    assert model.beta_curve_[-1] == pytest.approx(0, abs=1e-12)


def test_other_errors_are_passed_on():
    def network(n_in, n_out):
        raise RuntimeError("My network needs more layers.")

    with pytest.raises(RuntimeError, match="needs more layers"):
        VAETransformer(3, encoder=network, **SMALL).fit(X)
