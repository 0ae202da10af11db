import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.distributions import Multinomial as TorchMultinomial

from skvae.nn import Multinomial, SparseRows


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    X = sp.csr_array(rng.poisson(0.7, (6, 8)).astype(np.float64))
    return SparseRows(
        torch.from_numpy(X.indptr),
        torch.from_numpy(X.indices),
        torch.from_numpy(X.data),
        8,
    )


@pytest.fixture
def logits():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 8, dtype=torch.float64, generator=generator)


def test_log_prob_is_that_of_torch(rows, logits):
    counts = rows.dense
    expected = [
        TorchMultinomial(int(row.sum()), logits=row_logits).log_prob(row)
        for row, row_logits in zip(counts, logits, strict=True)
    ]
    torch.testing.assert_close(
        Multinomial().log_prob(logits, rows), torch.stack(expected)
    )


def test_nll_is_log_prob_without_the_coefficient(rows, logits):
    # Liang et al. 2018, eq. 2, written densely.
    expected = -(rows.dense * torch.log_softmax(logits, dim=1)).sum(dim=1)
    torch.testing.assert_close(Multinomial().nll(logits, rows), expected)


def test_label_smoothing_spreads_the_mass_of_each_row(rows, logits):
    x, e = rows.dense, 0.3
    targets = (1 - e) * x + e * x.sum(dim=1, keepdim=True) / x.shape[1]
    expected = -(targets * torch.log_softmax(logits, dim=1)).sum(dim=1)
    torch.testing.assert_close(Multinomial(e).nll(logits, rows), expected)
    # The likelihood itself is another matter.
    torch.testing.assert_close(
        Multinomial(e).log_prob(logits, rows), Multinomial().log_prob(logits, rows)
    )


@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
def test_gradient_by_hand_is_the_numerical_one(rows, logits, label_smoothing):
    nll = Multinomial(label_smoothing).nll
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda f: nll(f, rows), (logits,))


def test_nll_is_finite_for_logits_of_any_size(rows):
    logits = torch.tensor([[1e4, -1e4] * 4] * 6, dtype=torch.float32)
    rows = rows.with_values(rows.values.float())
    expected = -(rows.dense * torch.log_softmax(logits, dim=1)).sum(dim=1)
    torch.testing.assert_close(Multinomial().nll(logits, rows), expected)


def test_weights_count_as_repeated_interactions(rows, logits):
    # Twice the counts are twice the loss, as for a user who did everything twice.
    twice = rows.with_values(2 * rows.values)
    torch.testing.assert_close(
        Multinomial().nll(logits, twice), 2 * Multinomial().nll(logits, rows)
    )


def test_samples_have_the_totals_and_the_mean_asked_for(logits):
    totals = torch.tensor([0, 1, 5, 2000, 20000, 3])
    generator = torch.Generator().manual_seed(0)
    row_index, columns = Multinomial().sample(logits, totals, generator)
    counts = torch.zeros(6, 8).index_put_(
        (row_index, columns), torch.ones(len(columns)), accumulate=True
    )
    torch.testing.assert_close(counts.sum(dim=1).long(), totals)
    p = torch.softmax(logits[4], dim=0)
    standard_error = (p * (1 - p) / 20000).sqrt()
    assert ((counts[4] / 20000 - p).abs() < 5 * standard_error).all()
