"""Where training stands, and copies of it that need no device."""

import copy
from dataclasses import dataclass, replace
from itertools import chain

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
        Moments of the optimiser, by the names of the module's parameters; None before
        the first run.
    """

    seed: int
    n_epochs: int = 0
    n_steps: int = 0
    optimizer: dict | None = None


def get_moments(optimizer, module):
    """Moments of an optimiser, by the names of the module's parameters."""
    return {
        name: optimizer.state[parameter]
        for name, parameter in module.named_parameters()
        if parameter in optimizer.state
    }


def set_moments(optimizer, module, moments):
    """Give an optimiser these moments; its rates and decays stay as they are."""
    names = {parameter: name for name, parameter in module.named_parameters()}
    settings = optimizer.state_dict()["param_groups"]
    parameters = chain.from_iterable(g["params"] for g in optimizer.param_groups)
    state = {
        place: moments[names[parameter]]
        for place, parameter in enumerate(parameters)
        if names[parameter] in moments
    }
    optimizer.load_state_dict({"state": state, "param_groups": settings})


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
