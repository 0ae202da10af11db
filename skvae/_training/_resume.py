"""Save the state of a net as named tensors, and restore it in another process."""

import torch
from skorch.callbacks import Callback, LRScheduler

from skvae._training._callbacks import BEST_WEIGHTS
from skvae._training._state import get_moments, set_moments

WEIGHTS, MOMENTS, BEST, HISTORY = "module.", "moments.", "best.", "history."
# Records of past epochs that callbacks read, or that estimators keep as curves.
RECORDED = (
    "train_loss",
    "train_reconstruction",
    "train_kl",
    "beta",
    "train_batch_count",
    "valid_score",
)


class Resume(Callback):
    """Restore a state when training begins, and pass the net on after each epoch.

    It is called after all other callbacks, which have then processed the epoch. The
    epoch in which early stopping ends the loop is not passed on: a resumed fit repeats
    it and ends there again.

    Parameters
    ----------
    state : dict of str to Tensor or None
        State that `state_of` returned; None to start from the net as it is.
    save : callable
        Function that is called with the net.
    """

    def __init__(self, state, save):
        self.state = state
        self.save = save

    def on_train_begin(self, net, **kwargs):
        """Restore the state.

        Raises
        ------
        ValueError
            If it is the state of another network.
        """
        if self.state is None:
            return
        try:
            put_state(net, self.state)
        except (LookupError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(
                f"The checkpoint does not hold the state of this network ({error}). "
                "Pass the factories of networks that it was written with, or delete it."
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
    for name in RECORDED:
        if name in net.history[-1]:
            column = [epoch[name] for epoch in net.history]
            state[HISTORY + name] = torch.tensor(column, dtype=torch.float64)
    state["progress"] = torch.tensor([net.epoch_, net.step_])
    stopping = dict(net.callbacks_).get(BEST_WEIGHTS)
    if stopping is not None:
        # The threshold is infinite until a score is not NaN.
        state["stopping"] = torch.tensor(
            [stopping.best_epoch_, stopping.misses_, stopping.dynamic_threshold_],
            dtype=torch.float64,
        )
        if 0 < stopping.best_epoch_ < len(net.history):  # else the module has them
            best = stopping.best_model_weights_
            state.update((BEST + name, value) for name, value in best.items())
    return state


def put_state(net, state):
    """Set the state of a net at the beginning of its training.

    Parameters
    ----------
    net : VAENet
        Net whose callbacks have begun. It has the same module and the same settings as
        the net that was passed to `state_of`.
    state : dict of str to Tensor
        State that `state_of` returned.
    """
    weights = _under(WEIGHTS, state)
    net.module_.load_state_dict(weights)
    moments = {}
    for name, moment in _under(MOMENTS, state).items():
        parameter, _, kind = name.rpartition(".")
        moments.setdefault(parameter, {})[kind] = moment
    set_moments(net.optimizer_, net.module_, moments)
    net.epoch_, net.step_ = state["progress"].tolist()
    columns = {name: c.tolist() for name, c in _under(HISTORY, state).items()}
    for place in range(net.epoch_):
        net.history.new_epoch()
        net.history.record("epoch", place + 1)
        for name, column in columns.items():
            net.history.record(name, column[place])
    callbacks = dict(net.callbacks_)
    if BEST_WEIGHTS in callbacks:
        _put_stopping(callbacks[BEST_WEIGHTS], state, weights)
    schedule = callbacks.get("lr_schedule")
    if isinstance(schedule, LRScheduler):  # other schedules depend on the step only
        for score in net.history[:, schedule.monitor]:
            schedule.lr_scheduler_.step(score)


def _put_stopping(stopping, state, weights):
    best_epoch, misses, threshold = state["stopping"].tolist()
    stopping.best_epoch_, stopping.misses_ = int(best_epoch), int(misses)
    stopping.dynamic_threshold_ = threshold
    if best_epoch:
        best = _under(BEST, state) or weights
        stopping.best_model_weights_ = {n: w.clone() for n, w in best.items()}


def _under(prefix, tensors):
    """Select tensors whose names begin with a prefix, which is removed."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
