"""The skorch net: batches and loss of this package in skorch's training loop."""

import math
from dataclasses import dataclass

import torch
from skorch import NeuralNet
from skorch.callbacks import EarlyStopping, EpochTimer

from skvae._nn import reused_buffers
from skvae._training._callbacks import BEST_WEIGHTS
from skvae._training._device import device_of, out_of_memory
from skvae._training._lazy_adam import LazyAdamW
from skvae._training._precision import products_in
from skvae._training._random import Stream, make_generator
from skvae._training._schedules import annealed_beta

# Names of the parameters without weight decay.
NEVER_DECAYED = ("*bias*", "*likelihood.*")


class DivergedError(ValueError):
    """Training has diverged, and would diverge again."""


@dataclass(frozen=True)
class Outcome:
    """Records of a training.

    Parameters
    ----------
    epochs : list of dict
        Records of the epochs that were completed, by name.
    best_epoch : int or None
        Epoch of the best validation score, from 1; None without validation.
    interrupted : bool
        Whether the user interrupted the training.
    first_loss : float or None
        Loss of the first step, before any update; None if an earlier process did it.
    """

    epochs: list
    best_epoch: int | None
    interrupted: bool
    first_loss: float | None = None


class VAENet(NeuralNet):
    """Train a VAE on `RowBatches`.

    It differs from skorch in three points: a batch is taken from the matrix at once
    rather than row by row; the loss comes from the module itself; and losses stay on
    an accelerator until the epoch ends, except for a check at every 64th step, for
    which the host has to wait.

    Parameters
    ----------
    module : torch.nn.Module
        On its device. Called with a batch and a generator, it returns the negative
        log-likelihood and the KL of each row, and further terms of the loss if any.
    seed : int
        Seed of shuffling, dropout and noise.
    beta : float
        Cap of the weight of the KL.
    n_annealing_steps : int
        Steps until the cap.
    precision : str, default="float32"
        Precision of matrix products; see `products_in`.
    first_epoch, first_step : int
        Numbers of epochs and steps that earlier runs of the same fit have done.
    training_of : str, default="the model"
        What is trained, for error messages.
    remedy : str, default="lower learning_rate_init or scale X"
        What to do if training diverges, for error messages.
    **kwargs
        As in `skorch.NeuralNet`.
    """

    recorded_last = "train_loss"  # what marks a completed epoch in the history

    def __init__(
        self,
        module,
        *,
        seed,
        beta,
        n_annealing_steps,
        precision="float32",
        first_epoch=0,
        first_step=0,
        training_of="the model",
        remedy="lower learning_rate_init or scale X",
        **kwargs,
    ):
        super().__init__(
            module, criterion=torch.nn.Identity, train_split=None, **kwargs
        )
        self.seed = seed
        self.beta = beta
        self.n_annealing_steps = n_annealing_steps
        self.precision = precision
        self.first_epoch = first_epoch
        self.first_step = first_step
        self.training_of = training_of
        self.remedy = remedy

    def get_default_callbacks(self):
        """Return only the timer, because `run_single_epoch` records the losses."""
        return [("epoch_timer", EpochTimer())]

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Set the counts of steps and epochs."""
        self.step_, self.epoch_ = self.first_step, self.first_epoch
        self.first_loss_ = None

    def get_dataset(self, X, y=None):
        """Return the batches, which serve as a dataset."""
        return X

    def get_iterator(self, dataset, training=False):
        """Return the batches, from which each epoch makes an iterator."""
        return dataset

    def train_step_single(self, batch, **fit_params):
        """Compute loss and gradients of a batch."""
        self._set_training(True)
        with products_in(self.precision, torch.device(self.device)):
            reconstruction, kl, *others = self.mean_terms(batch)
            loss = reconstruction + self.beta_at_step() * kl + sum(others)
            loss.backward()
        return {
            "loss": loss.detach(),
            "reconstruction": reconstruction.detach(),
            "kl": kl.detach(),
            "y_pred": None,
        }

    def mean_terms(self, batch):
        """Compute the means of the terms of the loss over the rows of a batch."""
        return (term.mean() for term in self.module_(batch, self.noise_))

    @property
    def noise_stream(self):
        """Stream from which the present epoch draws dropout and noise."""
        return Stream.NOISE, self.epoch_

    def was_interrupted(self, error):
        """Whether the user has interrupted the training, which `error` has ended."""
        # skorch's early stopping ends the loop with a KeyboardInterrupt too.
        return not any(
            isinstance(callback, EarlyStopping)
            and callback.misses_ >= callback.patience
            for _, callback in self.callbacks_
        )

    def beta_at_step(self):
        """Return the weight of the KL at the current step."""
        return annealed_beta(self.step_, self.beta, self.n_annealing_steps)

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Iterate over all rows once and record the means of the epoch.

        Raises
        ------
        DivergedError
            If a loss, or a weight at the end of the epoch, is not finite. On a CPU it
            is raised in the same step, elsewhere after up to 64 steps.
        """
        if iterator is None:
            return
        device = iterator.device
        self.noise_ = make_generator(self.seed, *self.noise_stream, device=device)
        order = make_generator(self.seed, Stream.SHUFFLE, self.epoch_)
        names = ("loss", "reconstruction", "kl")
        losses, sizes = [], []
        for batch in iterator.shuffled(self.batch_size, order):
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            losses.append(torch.stack([step[name] for name in names]))
            sizes.append(n_rows_of(batch))
            self.step_ += 1
            is_checked = len(losses) % _steps_between_checks(device) == 0
            if is_checked and not math.isfinite(step["loss"]):
                self._check_losses(torch.stack(losses)[:, 0])
            self.notify("on_batch_end", batch=batch, training=training, **step)
        losses = torch.stack(losses).cpu().double()  # some devices lack float64
        self._check_losses(losses[:, 0])
        self.finish_epoch()
        if self.epoch_ == self.first_epoch:
            self.first_loss_ = losses[0, 0].item()
        means = torch.tensor(sizes, dtype=torch.float64) @ losses / sum(sizes)
        self.history.record("beta", self.beta_at_step())
        self.history.record(f"{prefix}_batch_count", len(sizes))
        # The loss comes last: an epoch with it is complete.
        for name, mean in zip(names[::-1], means.tolist()[::-1], strict=True):
            self.history.record(f"{prefix}_{name}", mean)
        self.epoch_ += 1

    def _check_losses(self, losses):
        finite = torch.isfinite(losses)
        if not finite.all():
            batch = int((~finite).nonzero()[0, 0])
            raise self.divergence(
                f"The loss became {losses[batch].item()} in epoch {self.epoch_ + 1}, "
                f"batch {batch + 1}"
            )

    def finish_epoch(self):
        """Check the weights after the last step, before the epoch is recorded."""
        self.check_weights()

    def finish_training(self, outcome):
        """Return the outcome of the training, which has ended."""
        return outcome

    def check_weights(self):
        """Raise a DivergedError unless all weights are finite."""
        trained = (w.detach() for w in self.module_.parameters() if w.requires_grad)
        # A sum over an infinite value is infinite or NaN, and takes no memory.
        if not all(torch.isfinite(weight.sum()) for weight in trained):
            raise self.divergence(f"Weights became infinite in epoch {self.epoch_ + 1}")

    def divergence(self, what):
        """Make the error to raise if training has diverged, which `what` shows."""
        return DivergedError(
            f"{what}: training of {self.training_of} has diverged. The usual cause is "
            "a learning rate that is too high for this data, or input of very large "
            f"scale (the rate was {self.lr}): {self.remedy}."
        )


def make_net(
    module,
    *,
    net_class=VAENet,
    optimizer=LazyAdamW,
    weight_decay,
    verbose,
    **kwargs,
):
    """Make an initialised net for a module.

    Parameters
    ----------
    module : torch.nn.Module
        The module to train, on its device.
    net_class : type, default=VAENet
        `VAENet` or a subclass.
    optimizer : type, default=LazyAdamW
        Optimiser with a fused kernel.
    weight_decay : float
        Decay of weights. Biases and parameters of a likelihood do not decay.
    verbose : int
        More than 1 for a line for each epoch.
    **kwargs
        Further parameters of the net: ``lr`` and the callbacks among them.

    Returns
    -------
    net : VAENet
    """
    device = device_of(module)
    if any(True for _ in module.parameters()):
        kwargs |= {
            "optimizer": optimizer,
            "optimizer__fused": device.type in ("cpu", "cuda"),
            "optimizer__weight_decay": weight_decay,
            "optimizer__param_groups": [
                (pattern, {"weight_decay": 0.0}) for pattern in NEVER_DECAYED
            ],
        }
    net = net_class(module, device=device, verbose=int(verbose > 1), **kwargs)
    return net.initialize()


def train(net, batches, n_epochs):
    """Run epochs until they are done or early stopping ends them.

    Parameters
    ----------
    net : VAENet
        Initialised.
    batches : RowBatches
        Training rows.
    n_epochs : int
        Number of epochs at most.

    Returns
    -------
    outcome : Outcome
        If the user interrupted the training, the net keeps what it had learned.

    Raises
    ------
    torch.cuda.OutOfMemoryError
        If a device runs out of memory. The message says which parameters to lower.
    DivergedError
        If training diverges.
    """
    interrupted = False
    n_before = len(net.history)
    net.notify("on_train_begin", X=batches, y=None)
    n_epochs -= len(net.history) - n_before  # a callback may have resumed a fit
    try:
        with reused_buffers():
            net.fit_loop(batches, epochs=n_epochs)
    except torch.cuda.OutOfMemoryError as error:
        raise out_of_memory(
            f"in training with {net.batch_size} rows in a batch; lower batch_size, "
            "n_components or hidden_layer_sizes, or use device='cpu'"
        ) from error
    except KeyboardInterrupt as error:
        interrupted = net.was_interrupted(error)
    net.notify("on_train_end", X=batches, y=None)
    if interrupted:
        net.check_weights()  # as at the end of an epoch
    best = dict(net.callbacks_).get(BEST_WEIGHTS)
    outcome = Outcome(
        epochs=[epoch for epoch in net.history if net.recorded_last in epoch],
        best_epoch=(best is not None and best.best_epoch_) or None,
        interrupted=interrupted,
        first_loss=net.first_loss_,
    )
    return net.finish_training(outcome)


def _steps_between_checks(device):
    """Steps between checks of the loss, each of which synchronises the device."""
    return 1 if device.type == "cpu" else 64


def n_rows_of(batch):
    """Return the number of rows of a batch."""
    if isinstance(batch, tuple):  # rows and their index
        batch = batch[0]
    return batch.shape[0] if isinstance(batch, torch.Tensor) else batch.n_rows
