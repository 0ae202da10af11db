import torch

from skvae._collaborative._factor_model import FactorModel

WEIGHTS = {"a": 1.0, "b": 0.1, "lambda_u": 1.0, "lambda_v": 1.0, "lambda_r": 1.0}


def test_factors_are_saved_with_the_weights_and_never_trained():
    model = FactorModel(4, 2, content=None, **WEIGHTS)
    assert list(model.parameters()) == []
    model.item_factors.fill_(2.0)
    other = FactorModel(4, 2, content=None, **WEIGHTS)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.item_factors, model.item_factors)
    assert {name for name, _ in model.named_buffers()} == {
        "item_factors",
        "item_shrinkage",
        "user_inverse",
    }
