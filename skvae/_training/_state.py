"""State of the training between fits, and copies of it on the CPU."""

import copy
from dataclasses import dataclass, replace
from itertools import chain

import torch

# What the optimiser AdamW keeps for each parameter.
ADAM = ("step", "exp_avg", "exp_avg_sq")


@dataclass
class TrainingState:
    """State from which `warm_start` and `partial_fit` continue the training.

    Parameters
    ----------
    seed : int
        Seed of the fit.
    n_epochs, n_steps : int
        Numbers of epochs and steps done so far.
    optimizer : dict or None
        Moments of the optimiser, by the names of the module's parameters; None before
        the first run.
    """

    seed: int
    n_epochs: int = 0
    n_steps: int = 0
    optimizer: dict | None = None


def get_moments(optimizer, module):
    """Return the moments of an optimiser by the names of the module's parameters."""
    return {
        name: optimizer.state[parameter]
        for name, parameter in module.named_parameters()
        if parameter in optimizer.state
    }


def set_moments(optimizer, module, moments):
    """Set the moments of an optimiser; its rates and decays are not changed."""
    names = {parameter: name for name, parameter in module.named_parameters()}
    settings = optimizer.state_dict()["param_groups"]
    parameters = chain.from_iterable(g["params"] for g in optimizer.param_groups)
    state = {
        place: moments[names[parameter]]
        for place, parameter in enumerate(parameters)
        if names[parameter] in moments
    }
    optimizer.load_state_dict({"state": state, "param_groups": settings})


def moments_layout(names, weights):
    """Types and shapes of the moments of some parameters.

    Parameters
    ----------
    names : iterable of str
        Names of parameters; those that `weights` lacks are left out.
    weights : dict of str to Tensor
        State of the module.

    Returns
    -------
    layout : dict of str to (torch.dtype, tuple of int)
        By the names of parameter and moment, with a dot between them.
    """
    layout = {}
    for name in weights.keys() & set(names):
        like = (weights[name].dtype, tuple(weights[name].shape))
        for moment in ADAM:
            one = (torch.float32, ()) if moment == "step" else like
            layout[f"{name}.{moment}"] = one
    return layout


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
