"""Variational autoencoders for scikit-learn."""

from skvae._mult_vae import MultVAERecommender
from skvae._vae import VAETransformer

__version__ = "0.1.0.dev0"

__all__ = ["MultVAERecommender", "VAETransformer", "__version__"]
