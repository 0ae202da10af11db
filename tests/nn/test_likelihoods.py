import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import distributions
from torch.distributions import Multinomial as TorchMultinomial

from skvae._nn import LIKELIHOODS, Generators, SampledRows, SparseRows
from skvae._nn._likelihoods import Bernoulli, Gaussian, Multinomial, Poisson


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


def generators(seed):
    return Generators(torch.Generator().manual_seed(seed), np.random.default_rng(seed))


@pytest.fixture
def logits():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 8, dtype=torch.float64, generator=generator)


def test_log_prob_agrees_with_torch(rows, logits):
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
    # The log-probability itself is not smoothed.
    torch.testing.assert_close(
        Multinomial(e).log_prob(logits, rows), Multinomial().log_prob(logits, rows)
    )


@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
def test_hand_written_gradient_agrees_with_numerical(rows, logits, label_smoothing):
    nll = Multinomial(label_smoothing).nll
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda f: nll(f, rows), (logits,))


@pytest.fixture
def blockwise(monkeypatch):
    """Make the loss of a layer visit three columns of the six rows at a time."""
    monkeypatch.setattr("skvae._nn._likelihoods.MAX_LOGITS", 0)
    monkeypatch.setattr("skvae._nn._likelihoods.LOGITS_IN_BLOCK", 18)


@pytest.fixture
def layer():
    """Input, weight and bias of a layer with eight outputs, in float64."""
    generator = torch.Generator().manual_seed(1)
    shapes = ((6, 4), (4, 8), (8,))
    tensors = [
        torch.randn(shape, dtype=torch.float64, generator=generator) for shape in shapes
    ]
    return [tensor.requires_grad_() for tensor in tensors]


@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
@pytest.mark.parametrize("transposed", [False, True])
def test_the_loss_in_blocks_and_its_gradient_are_those_at_once(
    rows, layer, label_smoothing, transposed, blockwise
):
    hidden, weight, bias = layer
    if transposed:  # as the weight of a tied decoder
        weight = weight.detach().T.contiguous().T.requires_grad_()
    multinomial = Multinomial(label_smoothing)
    scale = torch.arange(1.0, 7.0)
    found = multinomial.nll_of_layer(hidden, weight, bias, rows)
    expected = multinomial.nll(hidden @ weight + bias, rows)
    torch.testing.assert_close(found, expected)
    gradients = [
        torch.autograd.grad(loss @ scale.double(), (hidden, weight, bias))
        for loss in (found, expected)
    ]
    for ours, dense in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, dense)
    assert gradients[0][1].stride() == weight.stride()


def test_the_gradient_in_blocks_agrees_with_numerical(rows, layer, blockwise):
    def nll(*layer):
        return Multinomial(0.3).nll_of_layer(*layer, rows)

    assert torch.autograd.gradcheck(nll, layer)


def test_the_loss_in_blocks_is_finite_for_logits_of_any_size(rows, layer, blockwise):
    hidden, weight, bias = (1e3 * part.detach() for part in layer)
    expected = Multinomial().nll(hidden @ weight + bias, rows)
    found = Multinomial().nll_of_layer(hidden, weight, bias, rows)
    torch.testing.assert_close(found, expected)


@pytest.fixture
def sampled(rows):
    """The same rows as a part of a matrix of twenty columns."""
    return SampledRows(
        rows.indptr,
        rows.indices,
        rows.values,
        8,
        columns=torch.arange(0, 16, 2),
        log_weights=torch.linspace(0.1, 1.5, 8, dtype=torch.float64),
        n_columns_of_matrix=20,
    )


@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
def test_the_sampled_loss_counts_other_columns_by_their_weights(
    sampled, logits, label_smoothing
):
    x, e = sampled.dense, label_smoothing
    weights = torch.where(x > 0, 1.0, sampled.log_weights.exp())
    totals = x.sum(dim=1)
    normaliser = (weights * logits.exp()).sum(dim=1).log()
    targets = (1 - e) * x + e * totals[:, None] * weights / 20
    expected = totals * normaliser - (targets * logits).sum(dim=1)
    torch.testing.assert_close(Multinomial(e).sampled_nll(logits, sampled), expected)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
def test_the_gradient_of_the_sampled_loss_agrees_with_numerical(
    sampled, logits, label_smoothing
):
    nll = Multinomial(label_smoothing).sampled_nll
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda f: nll(f, sampled), (logits,))


@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
def test_the_sampled_loss_of_all_columns_is_the_loss(rows, logits, label_smoothing):
    everything = SampledRows(
        rows.indptr,
        rows.indices,
        rows.values,
        8,
        columns=torch.arange(8),
        log_weights=torch.zeros(8, dtype=torch.float64),
        n_columns_of_matrix=8,
    )
    multinomial = Multinomial(label_smoothing)
    torch.testing.assert_close(
        multinomial.sampled_nll(logits, everything), multinomial.nll(logits, rows)
    )


def test_hand_written_bernoulli_gradient_agrees_with_numerical(rows, logits):
    shares = rows.with_values(rows.values.clamp(max=1.0) * 0.8)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda f: Bernoulli().nll(f, shares), (logits,))
    torch.testing.assert_close(
        Bernoulli().nll(logits, shares),
        torch.nn.functional.binary_cross_entropy_with_logits(
            logits, shares.dense, reduction="none"
        ).sum(dim=1),
    )


@pytest.mark.parametrize("in_training", [False, True])
def test_nll_is_finite_for_logits_of_any_size(rows, in_training):
    logits = torch.tensor([[1e4, -1e4] * 4] * 6, requires_grad=in_training)
    rows = rows.with_values(rows.values.float())
    expected = -(rows.dense * torch.log_softmax(logits, dim=1)).sum(dim=1)
    torch.testing.assert_close(Multinomial().nll(logits, rows), expected)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.4])
def test_nll_is_the_same_in_training(rows, logits, label_smoothing):
    nll = Multinomial(label_smoothing).nll
    torch.testing.assert_close(
        nll(logits.clone().requires_grad_(), rows).detach(), nll(logits, rows)
    )


def test_outside_training_nll_of_a_row_does_not_depend_on_other_rows(rows, logits):
    rows, logits = rows.with_values(rows.values.float()), logits.float()
    extreme = logits.clone()
    extreme[5] = torch.tensor([200.0, -200.0] * 4)  # probabilities that underflow
    alone = Multinomial().nll(logits, rows)
    in_company = Multinomial().nll(extreme, rows)
    assert torch.equal(in_company[:5], alone[:5])
    assert in_company[5] != alone[5]


def test_weights_count_as_repeated_interactions(rows, logits):
    # Doubling the counts doubles the loss, as if each interaction occurred twice.
    twice = rows.with_values(2 * rows.values)
    torch.testing.assert_close(
        Multinomial().nll(logits, twice), 2 * Multinomial().nll(logits, rows)
    )


def test_samples_have_the_requested_totals_and_mean(logits):
    totals = torch.tensor([0, 1, 5, 2000, 20000, 3])
    generator = torch.Generator().manual_seed(0)
    row_index, columns = Multinomial().sample_columns(logits, generator, totals)
    counts = torch.zeros(6, 8).index_put_(
        (row_index, columns), torch.ones(len(columns)), accumulate=True
    )
    torch.testing.assert_close(counts.sum(dim=1).long(), totals)
    p = torch.softmax(logits[4], dim=0)
    standard_error = (p * (1 - p) / 20000).sqrt()
    assert ((counts[4] / 20000 - p).abs() < 5 * standard_error).all()


# The likelihoods of independent features


def gaussian(noise_variance="shared", n_features=8):
    """Make a Gaussian likelihood in units far from standard units."""
    rng = np.random.default_rng(1)
    likelihood = Gaussian(n_features, noise_variance).double()
    likelihood.start_from(rng.normal(5, 3, n_features), rng.uniform(1, 9, n_features))
    return likelihood


def torch_counterpart(likelihood, outputs):
    """Make the same distribution of x given z with torch.distributions."""
    if isinstance(likelihood, Gaussian):
        std = likelihood.noise_variances().sqrt()
        return distributions.Normal(likelihood.mean(outputs), std)
    if isinstance(likelihood, Bernoulli):
        return distributions.Bernoulli(logits=outputs)
    return distributions.Poisson(outputs.exp())


INDEPENDENT = [
    gaussian(),
    gaussian("feature"),
    gaussian(0.7),
    Bernoulli(),
    Poisson(),
]


def within_range(likelihood, rows):
    if isinstance(likelihood, Bernoulli):
        return rows.with_values((rows.values > 0).double())
    return rows


@pytest.mark.parametrize("likelihood", INDEPENDENT)
@pytest.mark.parametrize("dense", [False, True])
def test_log_prob_of_features_agrees_with_torch(rows, logits, likelihood, dense):
    rows = within_range(likelihood, rows)
    expected = torch_counterpart(likelihood, logits).log_prob(rows.dense).sum(dim=1)
    found_in = rows.dense if dense else rows
    torch.testing.assert_close(likelihood.log_prob(logits, found_in), expected)
    torch.testing.assert_close(likelihood.nll(logits, found_in), -expected)


@pytest.mark.parametrize("likelihood", INDEPENDENT)
def test_samples_have_mean_and_variance_of_torch(logits, likelihood):
    outputs = logits[:1].expand(20_000, -1)
    expected = torch_counterpart(likelihood, outputs[:1])
    torch.testing.assert_close(likelihood.mean(outputs[:1]), expected.mean)
    draws = likelihood.sample(outputs, generators(0))
    standard_error = expected.stddev[0] / 20_000**0.5
    assert ((draws.mean(dim=0) - expected.mean[0]).abs() < 5 * standard_error).all()
    torch.testing.assert_close(
        draws.var(dim=0), expected.variance[0], rtol=0.1, atol=0.01
    )


@pytest.mark.parametrize("likelihood", [*INDEPENDENT, Multinomial()])
def test_draws_depend_on_the_generator_only(logits, likelihood):
    draws = []
    for global_seed in (0, 1):
        torch.manual_seed(global_seed)
        draws.append(likelihood.sample(logits, generators(3), np.arange(6)))
    torch.testing.assert_close(draws[0], draws[1], rtol=0, atol=0)


@pytest.mark.parametrize("dense", [False, True])
def test_poisson_passes_logarithms_of_counts_to_the_encoder(rows, dense):
    prepared = Poisson().prepare(rows.dense if dense else rows)
    found = prepared if dense else prepared.dense
    torch.testing.assert_close(found, (1 + rows.dense).log())


def test_rows_far_from_the_training_data_are_clipped():
    likelihood = Gaussian(3, "feature")
    likelihood.start_from(np.array([5.0, 0.0, 0.0]), np.array([4.0, 1.0, 1e-8]))
    x = torch.tensor([[7.0, 3e38, 1e3], [1.0, -3e38, -1e3]])
    expected = torch.tensor([[1.0, 1e9, 1e7], [-2.0, -1e9, -1e7]])
    torch.testing.assert_close(likelihood.prepare(x), expected)
    assert torch.isfinite(likelihood.log_prob(torch.zeros(2, 3), x)).all()


def test_means_are_clipped_to_the_range_of_float32():
    likelihood = Gaussian(1)
    likelihood.start_from(np.array([0.0]), np.array([1e70]))
    largest = torch.finfo(torch.float32).max
    found = likelihood.mean(torch.tensor([[1e4], [-1e4], [1.0]]))
    torch.testing.assert_close(found, torch.tensor([[largest], [-largest], [1e35]]))


def test_rates_are_clipped_to_the_range_of_float32():
    log_rates = torch.tensor([[100.0, 1.0]])
    torch.testing.assert_close(Poisson().mean(log_rates), log_rates.clamp(max=60).exp())
    x = torch.tensor([[2.0, 3.0]])
    expected = distributions.Poisson(log_rates.clamp(max=60).exp()).log_prob(x)
    torch.testing.assert_close(Poisson().log_prob(log_rates, x), expected.sum(dim=1))


def test_starting_outputs_of_counts_are_around_zero():
    outputs = Multinomial().start_from(np.array([0.1, 0.5, 0.7]), None)
    assert np.exp(outputs).mean() == pytest.approx(1)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_starting_outputs_give_the_means_of_the_columns(name):
    means, variances = np.array([0.1, 0.5, 0.7]), np.array([1.0, 4.0, 0.2])
    likelihood = LIKELIHOODS[name].make(3)
    outputs = likelihood.start_from(means, variances)
    found = likelihood.mean(torch.from_numpy(outputs)[None])[0]
    share = means.sum() if likelihood.given_totals else 1.0
    np.testing.assert_allclose(found, means / share, rtol=1e-6)


def test_counts_of_a_row_add_up_to_its_total(logits):
    totals = np.array([0, 1, 5, 100, 10**6, 2])
    counts = Multinomial().sample(logits, generators(0), totals)
    np.testing.assert_array_equal(counts.sum(dim=1), totals)
    shares = torch.softmax(logits[4], dim=0)
    standard_error = (shares * (1 - shares) / 10**6).sqrt()
    assert ((counts[4] / 10**6 - shares).abs() < 5 * standard_error).all()


def test_fixed_noise_variance_is_in_the_units_of_the_data():
    torch.testing.assert_close(
        gaussian(0.7).noise_variances(), torch.tensor([0.7], dtype=torch.float64)
    )
    assert not list(gaussian(0.7).parameters())


def test_gaussian_of_constant_columns_is_finite():
    likelihood = Gaussian(3, "feature")
    likelihood.start_from(np.array([0.0, 1e6, 2.0]), np.array([0.0, 0.0, 1e-90]))
    x = torch.tensor([[0.0, 1e6, 2.0]])
    assert torch.isfinite(likelihood.log_prob(torch.zeros(1, 3), x)).all()


@pytest.mark.parametrize("noise_variance", ["shared", "feature"])
def test_noise_starts_at_a_fraction_of_the_variance(noise_variance):
    start = Gaussian(3, noise_variance).noise_variances()
    # The floor adds one part in a million.
    torch.testing.assert_close(
        start, torch.full_like(start, np.exp(-1) + 1e-6), rtol=1e-6, atol=0
    )


def test_noise_variance_has_a_floor():
    likelihood = Gaussian(3)
    with torch.no_grad():
        likelihood.log_noise.fill_(-1e4)
    torch.testing.assert_close(
        likelihood.noise_variances(), torch.tensor([1e-6], dtype=torch.float64)
    )
