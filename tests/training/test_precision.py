import numpy as np
import pytest
import torch

from skvae import CollaborativeVAE, MultVAERecommender, VAETransformer
from skvae._training._precision import products_in
from skvae.datasets import make_checkerboard

X, HELD_OUT = make_checkerboard(60, 40)
CPU = torch.device("cpu")


def fitted(precision, **kwargs):
    return MultVAERecommender(8, precision=precision, random_state=0, **kwargs).fit(X)


def test_products_in_bfloat16_train_to_nearly_the_same_model():
    single, half = fitted("float32"), fitted("bfloat16")
    np.testing.assert_allclose(half.loss_curve_, single.loss_curve_, rtol=0.01)
    assert half.loss_curve_ != single.loss_curve_
    assert (half.recommend(X, n_items=1)[:, 0] == HELD_OUT).mean() > 0.95


def test_only_products_are_in_bfloat16():
    model = fitted("bfloat16", hidden_layer_sizes=(16,), max_iter=2)
    assert {p.dtype for p in model._module.parameters()} == {torch.float32}
    assert model.transform(X).dtype == np.float32


def test_inference_is_in_float32():
    """The scores do not change if the precision of training is changed afterwards."""
    model = fitted("bfloat16", max_iter=2)
    scores = model.decision_function(X)
    np.testing.assert_array_equal(
        model.set_params(precision="float32").decision_function(X), scores
    )


def test_tf32_is_float32_on_a_cpu():
    assert fitted("tf32", device="cpu").loss_curve_ == fitted("float32").loss_curve_


def test_the_setting_of_the_process_is_restored():
    before = torch.get_float32_matmul_precision()
    with products_in("tf32", torch.device("cuda")):
        assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_float32_matmul_precision() == before


def test_the_other_estimators_have_the_parameter_too():
    digits = np.random.RandomState(0).rand(30, 12)
    vae = VAETransformer(2, precision="bfloat16", max_iter=2, random_state=0)
    assert np.isfinite(vae.fit_transform(digits)).all()
    cvae = CollaborativeVAE(3, precision="bfloat16", max_iter=1, random_state=0)
    cvae.fit(X, item_features=np.random.RandomState(0).poisson(1.0, (40, 20)))
    assert np.isfinite(cvae.item_factors_).all()


def test_other_precisions_are_refused():
    with pytest.raises(ValueError, match="'precision' parameter"):
        fitted("float16")
