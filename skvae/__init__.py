"""Variational autoencoders for scikit-learn."""

from skvae._collaborative_vae import CollaborativeVAE
from skvae._mult_vae import MultVAERecommender
from skvae._vae import VAETransformer

__version__ = "0.1.0.dev0"

__all__ = ["CollaborativeVAE", "MultVAERecommender", "VAETransformer", "__version__"]
