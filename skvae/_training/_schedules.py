"""Schedules: the weight of the KL and the learning rate as functions of the step."""

import math
import sys
from numbers import Integral

import torch
from sklearn.base import clone
from skorch.callbacks import Callback, LRScheduler

# Names of schedules of the learning rate; see `make_lr_schedule`.
LR_SCHEDULES = ("cosine", "plateau")
# Factor of the learning rate in `partial_fit` after the planned epochs: a few epochs on
# new rows alone learn what is new in them, and hardly change the other results.
FACTOR_AFTER_PLAN = 0.1


def count_steps(n_rows, batch_size, n_epochs):
    """Number of steps of a fit of `n_epochs` epochs."""
    return n_epochs * -(-n_rows // batch_size)


def annealing_steps(annealing, planned_steps):
    """Return the number of steps until beta reaches its cap.

    Parameters
    ----------
    annealing : float in [0, 1] or int
        A fraction of the planned steps, or a number of steps.
    planned_steps : int
        Steps of the whole fit.

    Returns
    -------
    n_steps : int
    """
    if isinstance(annealing, Integral):
        return min(int(annealing), sys.maxsize)
    return math.ceil(annealing * planned_steps)


def annealed_beta(step, cap, n_annealing_steps):
    """Weight of the KL at a step (from 0): it rises linearly to `cap` and stays there.

    Liang et al. 2018, section 2.2.2. Without annealing steps it is `cap` throughout.
    """
    if step >= n_annealing_steps:
        return cap
    return cap * step / n_annealing_steps


def cosine_factor(step, planned_steps):
    """Factor of the learning rate at a step: half a cosine from 1 to 0.

    Loshchilov & Hutter 2017, eq. 5. After the planned steps it is
    `FACTOR_AFTER_PLAN`, so that a training which continues still learns.
    """
    if step >= planned_steps:
        return FACTOR_AFTER_PLAN
    return 0.5 * (1.0 + math.cos(math.pi * step / planned_steps))


class CosineSchedule(Callback):
    """Decrease the learning rate of a net along half a cosine.

    Parameters
    ----------
    planned_steps : int
        Steps of the schedule.
    first_step : int, default=0
        Step of the net at which the schedule starts.
    """

    def __init__(self, planned_steps, first_step=0):
        self.planned_steps = planned_steps
        self.first_step = first_step

    def on_batch_begin(self, net, **kwargs):
        """Set the rate of the step."""
        step = net.step_ - self.first_step
        rate = net.lr * cosine_factor(step, self.planned_steps)
        for group in net.optimizer_.param_groups:
            group["lr"] = rate


def make_lr_schedule(lr_schedule, planned_steps, *, validated, first_step=0):
    """Make the callback for a value of the parameter `lr_schedule`.

    Parameters
    ----------
    lr_schedule : {"cosine", "plateau"}, skorch callback or None
        As in the estimators. A callback of the caller is cloned.
    planned_steps : int
        Steps of the whole fit.
    validated : bool
        Whether there is a validation score; if not, "plateau" monitors the loss.
    first_step : int, default=0
        Step of the net at which the schedule starts.

    Returns
    -------
    callback : Callback or None
    """
    if lr_schedule == "cosine":
        return CosineSchedule(planned_steps, first_step)
    if lr_schedule == "plateau":
        return LRScheduler(
            torch.optim.lr_scheduler.ReduceLROnPlateau,
            monitor="valid_score" if validated else "train_loss",
            mode="max" if validated else "min",
            factor=0.5,
            patience=5,
        )
    return None if lr_schedule is None else clone(lr_schedule, safe=False)
