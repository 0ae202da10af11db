"""skorch callbacks of the package, and the list of callbacks of a fit."""

import time
import warnings

from skorch.callbacks import Callback, EarlyStopping, PrintLog
from skorch.utils import noop
from tqdm.auto import tqdm

from skvae._training._schedules import make_lr_schedule

# A fit that would take longer warns of it, after so many steps.
LONG_FIT_SECONDS, STEPS_TO_ESTIMATE = 3600, 5
BEST_WEIGHTS = "best_weights"  # name of the callback that keeps them
# Names of the callbacks that a fit makes itself; "epoch_timer" is skorch's.
CALLBACK_NAMES = {
    BEST_WEIGHTS,
    "epoch_timer",
    "long_fit",
    "lr_schedule",
    "print_log",
    "progress",
    "resume",
    "validation_score",
}


class ValidationScore(Callback):
    """Record ``score_function()`` as "valid_score" after each epoch.

    Parameters
    ----------
    score_function : callable
        Takes no arguments and returns a float, greater is better.
    """

    def __init__(self, score_function):
        self.score_function = score_function

    def on_epoch_end(self, net, **kwargs):
        """Record the score."""
        net.history.record("valid_score", self.score_function())


class ProgressBar(Callback):
    """Show the steps done, the time left, the losses and the validation score.

    The likelihood and the KL are shown apart, as their weighted sum rises with beta.

    Parameters
    ----------
    n_epochs : int
        Planned epochs.
    steps_per_epoch : int
        Steps of an epoch.
    description : str
        Text before the bar.
    """

    # Without the numbers of steps, so that 80 columns hold the time and the losses.
    FORMAT = "{l_bar}{bar}| [{elapsed}<{remaining}{postfix}]"
    # Record of an epoch -> its name in the bar, which narrow terminals cut at its end.
    SHOWN = {
        "valid_score": "score",
        "objective": "objective",
        "train_reconstruction": "nll",
        "train_kl": "kl",
    }

    def __init__(self, n_epochs, steps_per_epoch, description):
        self.n_epochs = n_epochs
        self.steps_per_epoch = steps_per_epoch
        self.description = description

    def on_train_begin(self, net, **kwargs):
        """Open the bar."""
        self.bar_ = tqdm(
            total=self.n_epochs * self.steps_per_epoch,
            desc=self._description(0),
            bar_format=self.FORMAT,
        )

    def on_batch_end(self, net, **kwargs):
        """Advance the bar by a step, without waiting for the loss."""
        self.bar_.update()

    def on_epoch_end(self, net, **kwargs):
        """Show the losses of the epoch."""
        epoch = net.history[-1]
        shown = {name: epoch[key] for key, name in self.SHOWN.items() if key in epoch}
        self.bar_.set_postfix({k: f"{v:.4g}" for k, v in shown.items()}, refresh=False)
        n_done = len(net.history)  # some may have been resumed
        self.bar_.set_description(self._description(n_done), refresh=False)
        self.bar_.update(n_done * self.steps_per_epoch - self.bar_.n)

    def on_train_end(self, net, **kwargs):
        """Close the bar."""
        self.bar_.close()

    def _description(self, n_done):
        return f"{self.description}, epoch {n_done}/{self.n_epochs}"


class LongFitWarning(Callback):
    """Warn of a training that would take more than an hour, after a few steps.

    Parameters
    ----------
    n_epochs : int
        Planned epochs.
    steps_per_epoch : int
        Steps of an epoch.
    """

    def __init__(self, n_epochs, steps_per_epoch):
        self.n_epochs = n_epochs
        self.steps_per_epoch = steps_per_epoch

    def on_train_begin(self, net, **kwargs):
        """Start to count."""
        self.n_done_ = 0

    def on_batch_end(self, net, **kwargs):
        """Estimate the time once, without the first step, which is slower."""
        self.n_done_ += 1
        if self.n_done_ == 1:
            self.started_ = time.perf_counter()
        elif self.n_done_ == 1 + STEPS_TO_ESTIMATE:
            seconds = (time.perf_counter() - self.started_) / STEPS_TO_ESTIMATE
            # The present epoch is in the history; others may have been resumed.
            n_epochs = self.n_epochs - len(net.history) + 1
            n_steps = n_epochs * self.steps_per_epoch
            if seconds * n_steps > LONG_FIT_SECONDS:
                faster = ", precision='bfloat16' or a GPU as device"
                at_best = net.precision != "float32" or net.device.type != "cpu"
                warnings.warn(
                    f"Training of {net.training_of} will take about "
                    f"{seconds * n_steps / 3600:.1f} hours, for {n_steps} steps of "
                    f"{seconds:.2g} s. Fewer epochs, components, hidden units or rows"
                    f"{'' if at_best else faster} shorten it. It can be interrupted, "
                    "and keeps what it has learned until then.",
                    UserWarning,
                    stacklevel=2,
                )


def check_callbacks(callbacks):
    """Raise a ValueError unless `callbacks` holds skorch callbacks, named or not."""
    for callback in callbacks or ():
        named = (
            isinstance(callback, tuple)
            and len(callback) == 2
            and isinstance(callback[0], str)
        )
        if named and callback[0] in CALLBACK_NAMES:
            raise ValueError(
                f"callbacks holds a callback named {callback[0]!r}, which is the name "
                "of a callback that the fit uses itself; choose another name."
            )
        if not isinstance(callback[1] if named else callback, Callback):
            raise ValueError(
                f"callbacks holds {callback!r}; pass skorch callbacks or pairs of "
                "a name and a callback."
            )


def make_callbacks(
    n_epochs,
    *,
    planned_steps,
    steps_per_epoch,
    verbose,
    description,
    first_step=0,
    lr_schedule=None,
    score_function=None,
    patience=None,
    tol=0.0,
    callbacks=(),
    resume=None,
):
    """Make the callbacks of a fit, in the order in which they are called.

    Parameters
    ----------
    n_epochs : int
        Planned epochs.
    planned_steps : int
        Steps that the learning-rate schedule spans.
    steps_per_epoch : int
        Steps of an epoch.
    verbose : int
        1 for a progress bar, more for a table with a line for each epoch.
    description : str
        Text before the progress bar.
    first_step : int, default=0
        Step at which the learning-rate schedule starts.
    lr_schedule : str, skorch callback or None, default=None
        As in `make_lr_schedule`.
    score_function : callable or None, default=None
        Validation score, greater is better; None for no validation.
    patience : int or None, default=None
        Epochs without a better score after which training ends; None for no limit.
    tol : float, default=0.0
        Improvement that makes a score a better one.
    callbacks : sequence, default=()
        Callbacks of the caller. They are not copied, so that they keep what they learn.
    resume : Resume or None, default=None
        Callback of a fit with a checkpoint.

    Returns
    -------
    callbacks : list of (str, Callback) or Callback
    """
    validated = score_function is not None
    made = [("long_fit", LongFitWarning(n_epochs, steps_per_epoch))]
    if validated:
        made.append(("validation_score", ValidationScore(score_function)))
    if verbose == 1:
        made.append(("progress", ProgressBar(n_epochs, steps_per_epoch, description)))
    schedule = make_lr_schedule(
        lr_schedule, planned_steps, validated=validated, first_step=first_step
    )
    if schedule is not None:
        made.append(("lr_schedule", schedule))
    made += callbacks
    if verbose > 1:
        made.append(("print_log", PrintLog()))
    if validated:
        # After those above, because it may end the loop before later callbacks run.
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
