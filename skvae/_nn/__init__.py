"""Torch modules: layers that read sparse rows, likelihoods, the VAE and its bound."""

from skvae._nn._bounds import antithetic_noise, elbo, importance_weighted_log_prob
from skvae._nn._buffers import reused_buffers
from skvae._nn._custom_network import CustomNetwork
from skvae._nn._layers import ACTIVATIONS, MLP, Linear, TiedMLP, dropout
from skvae._nn._likelihoods import LIKELIHOODS, Generators, Multinomial
from skvae._nn._linear_start import start_from_linear
from skvae._nn._linear_vae import LinearVAE, power
from skvae._nn._sampled_rows import SampledRows
from skvae._nn._sparse_rows import SparseRows
from skvae._nn._vae import VAE, kl_to_standard_normal

__all__ = [
    "ACTIVATIONS",
    "LIKELIHOODS",
    "Generators",
    "MLP",
    "VAE",
    "Linear",
    "LinearVAE",
    "Multinomial",
    "CustomNetwork",
    "SampledRows",
    "SparseRows",
    "TiedMLP",
    "antithetic_noise",
    "dropout",
    "elbo",
    "importance_weighted_log_prob",
    "kl_to_standard_normal",
    "power",
    "reused_buffers",
    "start_from_linear",
]
