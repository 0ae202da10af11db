"""Batches, schedules, random state, and the skorch net that runs the epochs."""

from skvae._training._batches import IndexedBatches, RowBatches
from skvae._training._callbacks import BEST_WEIGHTS, make_callbacks
from skvae._training._device import out_of_memory, resolve_device
from skvae._training._moments import (
    MAX_TOTAL,
    column_means,
    column_variances,
    count_row_totals,
)
from skvae._training._net import DivergedError, VAENet, train
from skvae._training._precision import PRECISIONS, products_in
from skvae._training._random import draw_seed, make_generator
from skvae._training._resume import Resume, state_of
from skvae._training._schedules import annealed_beta, annealing_steps, cosine_factor
from skvae._training._state import (
    TrainingState,
    copy_to_cpu,
    get_moments,
    set_moments,
)

__all__ = [
    "BEST_WEIGHTS",
    "MAX_TOTAL",
    "PRECISIONS",
    "DivergedError",
    "IndexedBatches",
    "Resume",
    "RowBatches",
    "TrainingState",
    "VAENet",
    "annealed_beta",
    "annealing_steps",
    "column_means",
    "column_variances",
    "copy_to_cpu",
    "cosine_factor",
    "count_row_totals",
    "draw_seed",
    "get_moments",
    "make_callbacks",
    "make_generator",
    "out_of_memory",
    "products_in",
    "resolve_device",
    "set_moments",
    "state_of",
    "train",
]
