"""Variational autoencoders for scikit-learn."""

from skvae._batch_ranker import make_batch_ranker
from skvae._blend import BlendRecommender
from skvae._collaborative_vae import CollaborativeVAE
from skvae._linear_vae import LinearVAERecommender
from skvae._mult_vae import MultVAERecommender
from skvae._saving import load_model, save_model
from skvae._vae_transformer import VAETransformer
from skvae._version import __version__
from skvae.utils._dask import tell_dask_sizes

__all__ = [
    "BlendRecommender",
    "CollaborativeVAE",
    "LinearVAERecommender",
    "MultVAERecommender",
    "VAETransformer",
    "__version__",
    "load_model",
    "make_batch_ranker",
    "save_model",
]

tell_dask_sizes()
