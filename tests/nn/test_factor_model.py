import torch

from skvae.nn import FactorModel


def test_factors_are_saved_with_the_weights_and_never_trained():
    model = FactorModel(3, 4, 2)
    assert list(model.parameters()) == []
    model.item_factors.fill_(2.0)
    other = FactorModel(3, 4, 2)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.item_factors, model.item_factors)
    assert model.state_dict().keys() == {
        "user_factors",
        "item_factors",
        "content_factors",
        "item_shrinkage",
    }
