"""Fits that the processes of a group run, and what they leave."""

import hashlib
import os
import signal
import time

import numpy as np
import torch
from skorch.callbacks import Callback, EarlyStopping

from skvae._training import RowBatches, join_ranks

CURVES = (
    "loss_curve_",
    "reconstruction_curve_",
    "kl_curve_",
    "beta_curve_",
    "validation_scores_",
)


class At(Callback):
    """Do something in one process at the end of a step (both counted from 0)."""

    def __init__(self, rank, step, what):
        self.rank = rank
        self.step = step
        self.what = what

    def on_batch_end(self, net, **kwargs):
        if (net.ranks.rank, net.step_) == (self.rank, self.step):
            ACTIONS[self.what]()


class AtEpoch(At):
    """Do something in one process at the end of an epoch (from 1)."""

    def on_batch_end(self, net, **kwargs):
        pass

    def on_epoch_end(self, net, **kwargs):
        if (net.ranks.rank, len(net.history)) == (self.rank, self.step):
            ACTIONS[self.what]()


def fail():
    raise ValueError("this process fails")


def leave():
    raise KeyboardInterrupt  # as callbacks of skorch end a training


ACTIONS = {
    "fail": fail,
    "leave": leave,
    "interrupt": lambda: os.kill(os.getpid(), signal.SIGINT),
    "die": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "sleep": lambda: time.sleep(20),
}


class StopInOne(EarlyStopping):
    """Early stopping of the caller's own, in the second process alone."""

    def on_epoch_end(self, net, **kwargs):
        if net.ranks.rank == 1 and len(net.history) == 2:
            self.misses_ = self.patience
            raise KeyboardInterrupt


def left_by(model):
    """Describe a fitted model: the digest of its weights, its curves and numbers."""
    digest = hashlib.sha256()
    for weight in model._module.state_dict().values():
        digest.update(weight.numpy().tobytes())
    left = {name: getattr(model, name) for name in CURVES if hasattr(model, name)}
    for name in ("n_iter_", "best_iter_", "beta_"):
        left[name] = getattr(model, name, None)
    if hasattr(model, "component_kl_"):
        left["component_kl_"] = model.component_kl_.tolist()
    if hasattr(model, "_row_totals"):
        left["totals"] = [part.tolist() for part in model._row_totals]
    left["parameters"] = set(vars(model)) - {"callbacks"}
    return {"weights": digest.hexdigest(), **left}


def fit(rank, model, rows, **data):
    """Fit a model to the rows of this process, and describe what it leaves.

    `rows` lists the matrices of the processes. In `data` are further arguments of fit
    by rank.
    """
    return left_by(model.fit(rows[rank], **data.get(rank, {})))


def fit_with_validation(rank, model, rows, validation):
    """Fit with a validation set, which the first process alone has."""
    return left_by(model.fit(rows[rank], **(validation if rank == 0 else {})))


def fit_and_look(rank, model, rows):
    """Fit a model; describe what it leaves although the fit raises an exception."""
    before = set(vars(model))
    try:
        model.fit(rows[rank])
    except (KeyboardInterrupt, ValueError, RuntimeError) as error:
        learned = hasattr(model, "_module")
        left = left_by(model) if learned else set(vars(model)) - before
        return type(error).__name__, str(error), left
    return None, "", left_by(model)


def partial_fits(rank, model, rows):
    """Call partial_fit twice."""
    return left_by(model.partial_fit(rows[rank]).partial_fit(rows[rank]))


def fits_in_turn(rank, model, rows):
    """Fit twice with warm_start."""
    model.set_params(warm_start=True).fit(rows[rank])
    return left_by(model.fit(rows[rank]))


def assert_same(results):
    """All processes have left the same, bit by bit."""
    for one in results[1:]:
        np.testing.assert_equal(one, results[0])


class BatchNorm(torch.nn.Sequential):
    """An encoder with statistics of batches, and a weight that is not used."""

    def __init__(self, n_in, n_out):
        super().__init__(torch.nn.BatchNorm1d(n_in), torch.nn.Linear(n_in, n_out))
        self.unused = torch.nn.Parameter(torch.ones(3))


class Lazy(torch.nn.LazyLinear):
    """An encoder whose weights have no shape before the first batch."""

    def __init__(self, n_in, n_out):
        super().__init__(n_out)


def gradients(rank, model, X):
    """Gradients of the first step, from the same weights in all."""
    ranks = join_ranks("replicated")
    model._ranks = ranks
    net = model._make_net(X.shape[0], 1)
    generator = torch.Generator().manual_seed(0)
    batch = next(RowBatches(X, "cpu", ranks=ranks).shuffled(31, generator))
    net.noise_, net.step_ = None, 0
    net.train_step_single(batch)
    return [one.grad.numpy() for one in model._module.parameters()]
