"""Log-probability of data under a VAE: the ELBO and importance sampling."""

import math

import torch

from skvae._nn._vae import kl_to_standard_normal


def antithetic_noise(n_draws, n_components, generator):
    """Standard normal draws in pairs of opposite sign: (n_draws, n_components)."""
    half = torch.randn(
        (n_draws + 1) // 2, n_components, generator=generator, dtype=torch.float32
    )
    return torch.cat([half, -half])[:n_draws]


def elbo(module, rows, noise):
    """Evidence lower bound of each row (Kingma & Welling 2014, eq. 3).

    E_q[log p(x given z)] over the draws in `noise`, minus the KL in closed form.

    Parameters
    ----------
    module : VAE
        A variational one.
    rows : SparseRows or Tensor of shape (n_rows, n_features)
        Data x.
    noise : Tensor of shape (n_draws, n_components)
        Standard normal draws, shared by all rows.

    Returns
    -------
    elbo : Tensor of shape (n_rows,)
        In nats.
    """
    mean, log_variance = module.posterior(rows)
    kl = kl_to_standard_normal(mean, log_variance).sum(dim=1)
    log_probs = [
        module.likelihood.log_prob(module.decode(z), rows)
        for z, _ in _posterior_draws(mean, log_variance, noise)
    ]
    return torch.stack(log_probs).mean(dim=0) - kl


def importance_weighted_log_prob(module, rows, noise):
    """Estimate log p(x) of each row by importance sampling from the posterior.

    log 1/K sum_k p(x, z_k) / q(z_k given x), a lower bound of log p(x) that rises with
    K (Burda et al. 2016, eq. 8). Parameters and returned shape as in `elbo`.
    """
    mean, log_variance = module.posterior(rows)
    log_weights = [
        module.likelihood.log_prob(module.decode(z), rows) + log_ratio
        for z, log_ratio in _posterior_draws(mean, log_variance, noise)
    ]
    return torch.logsumexp(torch.stack(log_weights), dim=0) - math.log(len(noise))


def _posterior_draws(mean, log_variance, noise):
    """Yield z ~ q and log p(z) - log q(z given x), in which the constants cancel."""
    std = torch.exp(0.5 * log_variance)
    for eps in noise:
        z = mean + std * eps
        yield z, 0.5 * (eps.square() + log_variance - z.square()).sum(dim=1)
