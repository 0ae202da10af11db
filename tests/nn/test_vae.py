import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.distributions import Normal, kl_divergence

from skvae._nn import (
    VAE,
    Multinomial,
    SparseRows,
    antithetic_noise,
    dropout,
    elbo,
    importance_weighted_log_prob,
    kl_to_standard_normal,
)


def make_vae(seed=0, **kwargs):
    settings = {
        "hidden_layer_sizes": (7,),
        "activation": "tanh",
        "likelihood": Multinomial(),
        "variational": True,
        "input_dropout": 0.5,
        "hidden_dropout": 0.0,
        "tied_weights": False,
        "initial_log_variance": 0.0,
        "generator": torch.Generator().manual_seed(seed),
    }
    return VAE(11, 3, **{**settings, **kwargs})


@pytest.fixture
def rows():
    X = sp.csr_array((np.random.default_rng(0).random((5, 11)) < 0.4).astype("float32"))
    parts = (X.indptr, X.indices, X.data)
    return SparseRows(*map(torch.from_numpy, parts), 11)


def test_kl_agrees_with_torch():
    mean, log_variance = torch.randn(2, 6, 4, dtype=torch.float64)
    posterior = Normal(mean, torch.exp(0.5 * log_variance))
    expected = kl_divergence(posterior, Normal(torch.zeros_like(mean), 1.0))
    torch.testing.assert_close(kl_to_standard_normal(mean, log_variance), expected)


def test_codes_are_deterministic_without_a_generator(rows):
    vae = make_vae(hidden_dropout=0.5)
    assert torch.equal(vae.encode(rows), vae.encode(rows))


def test_noise_depends_on_the_generator_only(rows):
    vae = make_vae(hidden_dropout=0.5)
    before = torch.get_rng_state()
    losses = [vae(rows, torch.Generator().manual_seed(s))[0] for s in (1, 1, 2)]
    assert torch.equal(losses[0], losses[1])
    assert not torch.equal(losses[0], losses[2])
    make_vae()
    assert torch.equal(torch.get_rng_state(), before)


def test_reparametrisation_has_unit_scale(rows):
    # The decoder records z. Over many copies of a user, its standard deviation is that
    # of q.
    vae = make_vae(input_dropout=0.0)
    n = 4000
    user = rows.dense[:1].expand(n, -1)
    kept = []
    vae.decoder.hidden = lambda z, generator: kept.append(z) or z
    vae.likelihood.nll_of_layer = lambda hidden, weight, bias, x: hidden.sum(dim=1)
    with torch.no_grad():
        vae(user, torch.Generator().manual_seed(0))
        mean, log_variance = vae.posterior(user[:1])
    std = torch.exp(0.5 * log_variance)[0]
    assert ((kept[0].mean(dim=0) - mean[0]).abs() < 5 * std / n**0.5).all()
    torch.testing.assert_close(
        kept[0].std(dim=0) / std, torch.ones(3), atol=5 / (2 * n) ** 0.5, rtol=0
    )


def test_dense_and_sparse_rows_give_the_same_code(rows):
    vae = make_vae()
    torch.testing.assert_close(vae.encode(rows), vae.encode(rows.dense))


def test_dropout_has_the_right_scale_and_rate():
    x = torch.ones(200_000)
    dropped = dropout(x, 0.3, torch.Generator().manual_seed(0))
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert abs((dropped == 0).float().mean() - 0.3) < 5 * (0.3 * 0.7 / 200_000) ** 0.5
    assert dropout(x, 0.3, None) is x


def test_autoencoder_applies_the_activation_to_its_code(rows):
    vae = make_vae(variational=False, hidden_layer_sizes=())
    code, log_variance = vae.posterior(rows)
    assert log_variance is None
    torch.testing.assert_close(
        code, torch.tanh(vae.encoder(rows.l2_normalized())), rtol=0, atol=0
    )


def test_tied_decoder_uses_the_transposed_weights_of_the_encoder(rows):
    vae = make_vae(tied_weights=True)
    first, second = vae.encoder.layers
    z = torch.randn(4, 3)
    hidden = torch.tanh(z @ second.weight.T + vae.decoder.biases[0])
    torch.testing.assert_close(
        vae.decode(z), hidden @ first.weight.T + vae.decoder.biases[1]
    )
    names = [name for name, _ in vae.decoder.named_parameters()]
    assert names == ["biases.0", "biases.1"]


def test_copies_of_a_tied_model_stay_tied(rows):
    vae = make_vae(tied_weights=True)
    for twin in (copy.deepcopy(vae), pickle.loads(pickle.dumps(vae))):
        with torch.no_grad():
            twin.encoder.layers[0].weight.zero_()
        z = torch.randn(2, 3)
        assert torch.equal(twin.decode(z), twin.decoder.biases[1].expand(2, -1))
        assert not torch.equal(vae.decode(z), twin.decode(z))


def test_initial_log_variance_shifts_only_the_variance(rows):
    plain, narrow = make_vae(), make_vae(initial_log_variance=-4.0)
    assert torch.equal(plain.encode(rows), narrow.encode(rows))
    torch.testing.assert_close(
        narrow.posterior(rows)[1], plain.posterior(rows)[1] - 4.0
    )


def test_losses_are_finite_for_very_large_encoder_weights(rows):
    vae = make_vae()
    with torch.no_grad():
        for parameter in vae.encoder.parameters():
            parameter.mul_(1e4)
    nll, kl = vae(rows, torch.Generator().manual_seed(0))
    assert torch.isfinite(nll).all()
    assert torch.isfinite(kl).all()


def test_bounds_bracket_the_log_probability(rows):
    # log p(x) by quadrature over a one-dimensional z.
    vae = VAE(
        11,
        1,
        hidden_layer_sizes=(7,),
        activation="tanh",
        likelihood=Multinomial(),
        variational=True,
        input_dropout=0.0,
        hidden_dropout=0.0,
        tied_weights=False,
        initial_log_variance=0.0,
        generator=torch.Generator().manual_seed(3),
    )
    with torch.no_grad():
        for layer in vae.decoder.layers:
            layer.weight.mul_(2)
        z = torch.linspace(-8, 8, 4001)[:, None]
        x = rows.dense
        log_joint = (
            x @ torch.log_softmax(vae.decode(z), dim=1).T
            + torch.lgamma(x.sum(dim=1, keepdim=True) + 1)  # x is binary
            + Normal(0.0, 1.0).log_prob(z[:, 0])
        )
        exact = torch.logsumexp(log_joint, dim=1) + torch.log(z[1] - z[0])

        def bound(function, n_draws, seed=0):
            generator = torch.Generator().manual_seed(seed)
            return function(vae, rows, antithetic_noise(n_draws, 1, generator))

        lower = bound(elbo, 1000)
        # The expectation of importance sampling rises with the number of draws.
        few, more = (
            torch.stack(
                [bound(importance_weighted_log_prob, k, seed) for seed in range(100)]
            ).mean(dim=0)
            for k in (2, 10)
        )
        many = bound(importance_weighted_log_prob, 2000)
    assert (lower < exact).all()
    assert lower.mean() < few.mean() < more.mean() < exact.mean()
    torch.testing.assert_close(many, exact, atol=0.02, rtol=0)
