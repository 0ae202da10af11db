"""Batches, schedules, random numbers, and the skorch net that runs the epochs."""

from skvae._training._batches import (
    IndexedBatches,
    RowBatches,
    SampledBatches,
    map_rows,
)
from skvae._training._callbacks import check_callbacks, make_callbacks
from skvae._training._checkpoint import Checkpoint, check_checkpoint
from skvae._training._device import (
    check_device,
    device_of,
    out_of_memory,
    resolve_device,
)
from skvae._training._divergence import check_improved
from skvae._training._interrupts import import_for_optimizers
from skvae._training._lazy_adam import LazyAdamW
from skvae._training._modes import computation, default_modes
from skvae._training._net import Outcome, VAENet, make_net, train
from skvae._training._precision import PRECISIONS
from skvae._training._random import Stream, draw_seed, make_generator, stream_seed
from skvae._training._ranks import DISTRIBUTED, ONE_PROCESS, join_ranks
from skvae._training._schedules import LR_SCHEDULES, annealing_steps, count_steps
from skvae._training._state import (
    ADAM,
    TrainingState,
    copy_to_cpu,
    get_moments,
    moments_layout,
    set_moments,
)
from skvae._training._statistics import (
    MAX_TOTAL,
    add_counts,
    count_row_totals,
    starting_outputs,
)

__all__ = [
    "ADAM",
    "DISTRIBUTED",
    "LR_SCHEDULES",
    "MAX_TOTAL",
    "ONE_PROCESS",
    "PRECISIONS",
    "Checkpoint",
    "IndexedBatches",
    "LazyAdamW",
    "Outcome",
    "RowBatches",
    "SampledBatches",
    "Stream",
    "TrainingState",
    "VAENet",
    "add_counts",
    "annealing_steps",
    "check_callbacks",
    "check_checkpoint",
    "check_device",
    "check_improved",
    "computation",
    "copy_to_cpu",
    "count_row_totals",
    "count_steps",
    "default_modes",
    "device_of",
    "draw_seed",
    "get_moments",
    "import_for_optimizers",
    "join_ranks",
    "make_callbacks",
    "make_generator",
    "make_net",
    "map_rows",
    "moments_layout",
    "out_of_memory",
    "resolve_device",
    "set_moments",
    "starting_outputs",
    "stream_seed",
    "train",
]
