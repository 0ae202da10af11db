"""Variational autoencoders for scikit-learn."""

from skvae._collaborative_vae import CollaborativeVAE
from skvae._mult_vae import MultVAERecommender
from skvae._saving import load_model, save_model
from skvae._vae_transformer import VAETransformer
from skvae._version import __version__

__all__ = [
    "CollaborativeVAE",
    "MultVAERecommender",
    "VAETransformer",
    "__version__",
    "load_model",
    "save_model",
]
