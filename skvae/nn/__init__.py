"""Torch modules: layers that read sparse rows, likelihoods, the VAE and its bound."""

from skvae.nn._bounds import antithetic_noise, elbo, importance_weighted_log_prob
from skvae.nn._buffers import reused_buffers
from skvae.nn._factor_model import FactorModel
from skvae.nn._layers import ACTIVATIONS, MLP, Linear, TiedMLP, dropout
from skvae.nn._likelihoods import Bernoulli, Gaussian, Multinomial, Poisson
from skvae.nn._own_network import OwnNetwork
from skvae.nn._sparse_rows import SparseRows
from skvae.nn._vae import VAE, kl_to_standard_normal

__all__ = [
    "ACTIVATIONS",
    "MLP",
    "VAE",
    "Bernoulli",
    "FactorModel",
    "Gaussian",
    "Linear",
    "Multinomial",
    "OwnNetwork",
    "Poisson",
    "SparseRows",
    "TiedMLP",
    "antithetic_noise",
    "dropout",
    "elbo",
    "importance_weighted_log_prob",
    "kl_to_standard_normal",
    "reused_buffers",
]
