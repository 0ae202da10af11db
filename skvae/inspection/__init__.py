"""Displays of what an estimator has learned and how, plotted with matplotlib."""

from skvae.inspection._active_units import ActiveUnitsDisplay
from skvae.inspection._beta_search import BetaSearchDisplay
from skvae.inspection._generated_samples import GeneratedSamplesDisplay
from skvae.inspection._latent_space import LatentSpaceDisplay
from skvae.inspection._reconstruction import ReconstructionDisplay
from skvae.inspection._training_curve import TrainingCurveDisplay

__all__ = [
    "ActiveUnitsDisplay",
    "BetaSearchDisplay",
    "GeneratedSamplesDisplay",
    "LatentSpaceDisplay",
    "ReconstructionDisplay",
    "TrainingCurveDisplay",
]
