"""Variational autoencoders for scikit-learn."""

from skvae._mult_vae import MultVAERecommender

__version__ = "0.1.0.dev0"

__all__ = ["MultVAERecommender", "__version__"]
