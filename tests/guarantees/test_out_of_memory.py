import numpy as np
import pytest
import torch

from skvae import MultVAERecommender
from skvae.datasets import make_checkerboard

X, _ = make_checkerboard(100, 40)


def with_room_for(n_rows, function):
    """Return a function that runs out of memory for more than so many rows."""
    seen = []

    def limited(rows, *args):
        seen.append(len(rows))
        if len(rows) > n_rows:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
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


def test_out_of_memory_in_training_says_what_to_lower_and_keeps_the_estimator(
    model, monkeypatch
):
    before = dict(vars(model))

    def nll(*args):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("skvae._nn.Multinomial.nll", nll)
    with pytest.raises(torch.cuda.OutOfMemoryError, match="lower batch_size"):
        model.fit(X)
    assert vars(model) == before
