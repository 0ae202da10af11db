"""Where training stands, and copies of it that need no device."""

import copy
from dataclasses import dataclass, replace

import torch


@dataclass
class TrainingState:
    """Where training stands: what `warm_start` and `partial_fit` go on from.

    Parameters
    ----------
    seed : int
        Seed of the fit.
    n_epochs, n_steps : int
        How many were done.
    optimizer : dict or None
        Moments of the optimiser, None before the first run.
    """

    seed: int
    n_epochs: int = 0
    n_steps: int = 0
    optimizer: dict | None = None


def copy_to_cpu(state):
    """Copy a module, or a state that holds tensors, with the tensors on the CPU."""
    if isinstance(state, torch.Tensor):
        return state.cpu()
    if isinstance(state, torch.nn.Module):
        return copy.deepcopy(state).cpu()
    if isinstance(state, TrainingState):
        return replace(state, optimizer=copy_to_cpu(state.optimizer))
    if isinstance(state, dict):
        return {key: copy_to_cpu(value) for key, value in state.items()}
    return state
