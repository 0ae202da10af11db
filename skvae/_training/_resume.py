"""Save the state of a net as named tensors, and restore it in another process."""

import torch
from skorch.callbacks import Callback, LRScheduler
from torch.nn.parameter import is_lazy

from skvae._nn import CustomNetwork
from skvae._training._callbacks import BEST_WEIGHTS
from skvae._training._schedules import annealed_beta, count_steps
from skvae._training._state import get_moments, moments_layout, set_moments
from skvae.utils._tensor_file import check_layout, layout_of, under

WEIGHTS, MOMENTS, BEST, HISTORY = "module.", "moments.", "best.", "history."
# Records of past epochs that callbacks read, or that estimators keep as curves. Those
# that follow from the number of an epoch are computed.
LOSSES = ("train_loss", "train_reconstruction", "train_kl")
SCORE = "valid_score"


class Resume(Callback):
    """Restore a state when training begins, and pass the net on after each epoch.

    It is called after all other callbacks, which have then processed the epoch. The
    epoch in which early stopping ends the loop is not passed on: a resumed fit repeats
    it and ends there again.

    Parameters
    ----------
    path : str
        The file of the state, for error messages.
    state : dict of str to Tensor or None
        State that `state_of` returned; None to start from the net as it is.
    n_epochs : int
        Planned epochs.
    save : callable
        Function that is called with the net.
    """

    def __init__(self, path, state, n_epochs, save):
        self.path = path
        self.state = state
        self.n_epochs = n_epochs
        self.save = save

    def on_train_begin(self, net, X=None, **kwargs):
        """Restore the state.

        Raises
        ------
        ValueError
            If it is the state of another network, or cannot be the state of a net.
        """
        if self.state is None:
            return
        try:
            put_state(net, self.state, len(X), self.n_epochs)
        except (LookupError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(
                f"The checkpoint {self.path} does not hold the state of this network "
                f"({error}). Pass the factories of networks that it was written with, "
                "or delete it."
            ) from error

    def on_epoch_end(self, net, **kwargs):
        """Pass the net on."""
        self.save(net)


def state_of(net):
    """Return the state of a net at the end of an epoch. Weights are not copied.

    The state of generators is not needed, because the numbers of each epoch come from
    separate streams.

    Parameters
    ----------
    net : VAENet
        In training, with all its epochs in its history.

    Returns
    -------
    state : dict of str to Tensor

    Raises
    ------
    ValueError
        If a network of the user's own has state other than tensors.
    """
    weights = net.module_.state_dict()
    for name, value in weights.items():
        if not isinstance(value, torch.Tensor):
            raise ValueError(
                f"{name} of a network of your own is not a tensor but a "
                f"{type(value).__name__}, which a checkpoint cannot hold; pass "
                "checkpoint=None."
            )
    state = {WEIGHTS + name: value for name, value in weights.items()}
    for parameter, moments in get_moments(net.optimizer_, net.module_).items():
        for name, moment in moments.items():
            state[f"{MOMENTS}{parameter}.{name}"] = moment
    for name in (*LOSSES, SCORE):
        if name in net.history[-1]:
            column = [epoch[name] for epoch in net.history]
            state[HISTORY + name] = torch.tensor(column, dtype=torch.float64)
    stopping = dict(net.callbacks_).get(BEST_WEIGHTS)
    # If the last epoch is the best, its weights are those of the module.
    if stopping is not None and 0 < stopping.best_epoch_ < len(net.history):
        best = stopping.best_model_weights_
        state.update((BEST + name, value) for name, value in best.items())
    return state


def best_epoch(scores, tol):
    """Return the epoch that early stopping finds best, from 1; 0 if all are NaN."""
    best, threshold = 0, -float("inf")
    for epoch, score in enumerate(scores, start=1):
        if score > threshold:
            best, threshold = epoch, score + tol
    return best


def put_state(net, state, n_rows, n_epochs):
    """Set the state of a net at the beginning of its training.

    Parameters
    ----------
    net : VAENet
        Net whose callbacks have begun. It has the same module and the same settings as
        the net that was passed to `state_of`.
    state : dict of str to Tensor
        State that `state_of` returned. All is checked before the net is changed: a
        file may have been forged, and the kernels of optimisers do not check shapes.
    n_rows : int
        Training rows.
    n_epochs : int
        Planned epochs.

    Raises
    ------
    ValueError
        If it cannot be the state of this net.
    """
    callbacks = dict(net.callbacks_)
    stopping = callbacks.get(BEST_WEIGHTS)
    n_done = state[HISTORY + LOSSES[0]].numel()
    if not 1 <= n_done <= n_epochs:
        raise ValueError(f"it holds {n_done} epochs of a training of {n_epochs}")
    best, columns = n_done, LOSSES
    if stopping is not None:
        columns = (*LOSSES, SCORE)
        best = best_epoch(state[HISTORY + SCORE].view(-1).tolist(), stopping.threshold)
    module = {
        # A lazy weight of a network of the user's own has no shape yet.
        name: state[WEIGHTS + name] if is_lazy(weight) else weight
        for name, weight in net.module_.state_dict().items()
    }
    moments = under(MOMENTS, state)
    check_layout(
        state,
        {
            **layout_of(module, WEIGHTS),
            **(layout_of(module, BEST) if 0 < best < n_done else {}),
            **{HISTORY + name: (torch.float64, (n_done,)) for name in columns},
            **_moments_layout(net.module_, module, moments),
        },
    )
    steps_per_epoch = count_steps(n_rows, net.batch_size, 1)
    _check_values(net.module_, state, n_done * steps_per_epoch)
    if stopping is not None and n_done - best >= stopping.patience:
        raise ValueError(
            f"it goes on after {n_done - best} epochs without a better one"
        )

    net.module_.load_state_dict(under(WEIGHTS, state))
    by_parameter = {}
    for name, moment in moments.items():
        parameter, _, kind = name.rpartition(".")
        by_parameter.setdefault(parameter, {})[kind] = moment
    set_moments(net.optimizer_, net.module_, by_parameter)
    net.epoch_, net.step_ = n_done, n_done * steps_per_epoch
    history = {name: state[HISTORY + name].tolist() for name in columns}
    for epoch in range(1, n_done + 1):
        net.history.new_epoch()
        net.history.record("epoch", epoch)
        for name, column in history.items():
            net.history.record(name, column[epoch - 1])
        beta = annealed_beta(epoch * steps_per_epoch, net.beta, net.n_annealing_steps)
        net.history.record("beta", beta)
        net.history.record("train_batch_count", steps_per_epoch)
    if stopping is not None:
        stopping.best_epoch_, stopping.misses_ = best, n_done - best
        if best:
            stopping.dynamic_threshold_ = history[SCORE][best - 1] + stopping.threshold
            weights = under(BEST if best < n_done else WEIGHTS, state)
            stopping.best_model_weights_ = {n: w.clone() for n, w in weights.items()}
    schedule = callbacks.get("lr_schedule")
    if isinstance(schedule, LRScheduler):  # other schedules depend on the step only
        for score in net.history[:, schedule.monitor]:
            schedule.lr_scheduler_.step(score)


def _moments_layout(module, weights, moments):
    """Layout of the moments; networks of the user's own need not train all weights."""
    present = {name.rpartition(".")[0] for name in moments}
    own = _own_networks(module)
    names = {n for n in _trained(module) if n in present or not n.startswith(own)}
    layout = moments_layout(names, weights)
    return {MOMENTS + name: one for name, one in layout.items()}


def _check_values(module, state, n_steps):
    """Raise a ValueError if a number cannot come from a training of `n_steps` steps."""
    trained, own = _trained(module), _own_networks(module)
    # Buffers of networks of the user's own may be infinite.
    finite = {n for n in module.state_dict() if n in trained or not n.startswith(own)}
    possible = {
        **{WEIGHTS + name: torch.isfinite for name in finite},
        **{BEST + name: torch.isfinite for name in finite},
        **{HISTORY + name: torch.isfinite for name in LOSSES},
        HISTORY + SCORE: lambda scores: ~torch.isposinf(scores),  # NaN is possible
    }
    moments = {
        "step": lambda step: (step >= 1) & (step <= n_steps) & (step == step.round()),
        "exp_avg": torch.isfinite,
        "exp_avg_sq": lambda squares: squares >= 0,  # may have become infinite
    }
    for name, tensor in state.items():
        check = possible.get(name)
        if name.startswith(MOMENTS):
            check = moments[name.rpartition(".")[2]]
        if check is not None and not check(tensor).all():
            raise ValueError(f"its tensor {name!r} holds impossible numbers")


def _trained(module):
    return {name for name, p in module.named_parameters() if p.requires_grad}


def _own_networks(module):
    """Prefixes of the names of the weights of networks of the user's own."""
    parts = module.named_modules()
    return tuple(f"{n}." for n, part in parts if isinstance(part, CustomNetwork))
