import copy

import pytest
import torch
from torch.nn import functional as F

from skvae._training import LazyAdamW

ROWS = [[1, 4, 4], [0, 4], [2, 3], [1]]


def train(optimizer, weight, *, sparse):
    """Four steps that see some rows of a weight each."""
    targets = torch.arange(3.0)
    for rows in ROWS:
        optimizer.zero_grad()
        seen = F.embedding(torch.tensor(rows), weight, sparse=sparse)
        (seen - targets).square().sum().backward()
        optimizer.step()
    return weight.detach()


@pytest.fixture
def weight():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 3, generator=generator).requires_grad_()


def test_sparse_gradients_move_rows_as_sparse_adam_does(weight):
    other = copy.deepcopy(weight)
    expected = train(torch.optim.SparseAdam([other], lr=0.1), other, sparse=True)
    found = train(LazyAdamW([weight], lr=0.1, weight_decay=0), weight, sparse=True)
    torch.testing.assert_close(found, expected)


def test_dense_gradients_move_weights_as_adamw_does(weight):
    other = copy.deepcopy(weight)
    settings = {"lr": 0.1, "weight_decay": 0.3, "fused": True}
    expected = train(torch.optim.AdamW([other], **settings), other, sparse=False)
    found = train(LazyAdamW([weight], **settings), weight, sparse=False)
    assert torch.equal(found, expected)


def test_only_rows_with_a_gradient_decay(weight):
    before = weight.detach().clone()
    optimizer = LazyAdamW([weight], lr=0.1, weight_decay=0.5)
    train(optimizer, weight, sparse=True)
    assert torch.equal(weight[5], before[5])
    other = before.clone().requires_grad_()
    undecayed = train(LazyAdamW([other], lr=0.1, weight_decay=0), other, sparse=True)
    assert (weight[:5].abs().sum(dim=1) < undecayed[:5].abs().sum(dim=1)).any()
