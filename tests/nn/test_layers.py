import pytest
import torch
from torch.nn import functional as F

from skvae._nn import MLP, Linear, TiedMLP


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_linear_agrees_with_torch(generator):
    layer = Linear(7, 4, generator)
    x = torch.randn(5, 7, generator=generator)
    expected = F.linear(x, layer.weight.T, layer.bias)
    torch.testing.assert_close(layer(x), expected)


def test_gradients_of_a_perceptron_agree_with_numerical_ones(generator):
    net = MLP((6, 5, 3), activation="tanh", dropout=0.0, generator=generator).double()
    x = torch.randn(4, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: net(x), (x, *net.parameters()))


def test_gradients_of_a_tied_perceptron_agree_with_numerical_ones(generator):
    options = {"activation": "tanh", "dropout": 0.0, "generator": generator}
    there = MLP((6, 5, 3), **options).double()
    back = TiedMLP(there.layers, **options).double()
    x = torch.randn(4, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    parameters = (*there.parameters(), *back.parameters())
    assert torch.autograd.gradcheck(lambda x, *_: back(there(x)), (x, *parameters))


def test_gradient_of_a_tied_weight_has_its_memory_layout(generator):
    options = {"activation": "tanh", "dropout": 0.0, "generator": generator}
    layer = Linear(6, 3, generator)
    TiedMLP([layer], **options)(torch.ones(4, 3)).sum().backward()
    assert layer.weight.grad.is_contiguous()
    torch.testing.assert_close(layer.weight.grad, torch.full((6, 3), 4.0))
