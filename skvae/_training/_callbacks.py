"""skorch callbacks: those of our own, and the list that a fit runs with."""

import torch
from sklearn.base import clone
from skorch.callbacks import Callback, EarlyStopping, LRScheduler, PrintLog
from skorch.utils import noop
from tqdm.auto import tqdm

BEST_WEIGHTS = "best_weights"  # name of the callback that keeps them


class ValidationScore(Callback):
    """Record ``score_function()`` as "valid_score" after each epoch.

    Parameters
    ----------
    score_function : callable
        Takes nothing and returns a float, greater is better.
    """

    def __init__(self, score_function):
        self.score_function = score_function

    def on_epoch_end(self, net, **kwargs):
        """Record the score."""
        net.history.record("valid_score", self.score_function())


class ProgressBar(Callback):
    """Show epochs done, the losses and the validation score in one line.

    Parameters
    ----------
    n_epochs : int
        Epochs planned.
    description : str
        What stands before the bar.
    """

    SHOWN = ("train_loss", "train_kl", "beta", "objective", "valid_score")

    def __init__(self, n_epochs, description):
        self.n_epochs = n_epochs
        self.description = description

    def on_train_begin(self, net, **kwargs):
        """Open the bar."""
        self.bar_ = tqdm(total=self.n_epochs, desc=self.description, unit="epoch")

    def on_epoch_end(self, net, **kwargs):
        """Move the bar on."""
        epoch = net.history[-1]
        shown = {name: epoch[name] for name in self.SHOWN if name in epoch}
        self.bar_.set_postfix({k: f"{v:.4g}" for k, v in shown.items()}, refresh=False)
        self.bar_.update(len(net.history) - self.bar_.n)  # some may have been resumed

    def on_train_end(self, net, **kwargs):
        """Close the bar."""
        self.bar_.close()


def make_callbacks(
    n_epochs,
    *,
    score_function,
    patience,
    tol,
    lr_schedule,
    callbacks,
    verbose,
    description,
    resume=None,
):
    """Put together the callbacks of a fit, in the order in which they are called.

    Parameters
    ----------
    n_epochs : int
        Epochs planned.
    score_function : callable or None
        Validation score, greater is better; None for no validation.
    patience : int or None
        Epochs without a better score after which training ends; None for no such end.
    tol : float
        What a better score must gain at least.
    lr_schedule : str, skorch callback or None
        "plateau" and callbacks stand here; "cosine" is the net's own.
    callbacks : sequence
        The caller's, cloned before skorch writes into them.
    verbose : int
        1 for a progress bar, more for a table by epoch.
    description : str
        What stands before the progress bar.
    resume : Resume or None, default=None
        Of a fit with a checkpoint.

    Returns
    -------
    callbacks : list of (str, Callback) or Callback
    """
    validated = score_function is not None
    made = []
    if validated:
        made.append(("validation_score", ValidationScore(score_function)))
    if verbose == 1:
        made.append(("progress", ProgressBar(n_epochs, description)))
    if lr_schedule == "plateau":
        made.append(("lr_schedule", _plateau_schedule(validated)))
    elif isinstance(lr_schedule, Callback):
        made.append(("lr_schedule", clone(lr_schedule, safe=False)))
    made += [clone(callback, safe=False) for callback in callbacks]
    if verbose > 1:
        made.append(("print_log", PrintLog()))
    if validated:
        # Behind those above, for it ends the loop before they have seen the epoch.
        made.append((BEST_WEIGHTS, _keep_best(patience or n_epochs + 1, tol)))
    if resume is not None:
        made.append(("resume", resume))
    return made


def _keep_best(patience, tol):
    return EarlyStopping(
        monitor="valid_score",
        lower_is_better=False,
        patience=patience,
        threshold=tol,
        threshold_mode="abs",
        load_best=True,
        sink=noop,
    )


def _plateau_schedule(validated):
    return LRScheduler(
        torch.optim.lr_scheduler.ReduceLROnPlateau,
        monitor="valid_score" if validated else "train_loss",
        mode="max" if validated else "min",
        factor=0.5,
        patience=5,
    )
