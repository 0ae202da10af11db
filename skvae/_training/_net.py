"""The skorch net: our batches and the ELBO inside skorch's loop, hooks and history."""

import math

import torch
from skorch import NeuralNet
from skorch.callbacks import EarlyStopping, EpochTimer

from skvae._training._device import out_of_memory
from skvae._training._precision import products_in
from skvae._training._random import make_generator
from skvae._training._schedules import annealed_beta, cosine_factor
from skvae.nn import reused_buffers

SHUFFLE, NOISE = 1, 2  # streams of random numbers; see make_generator


class DivergedError(ValueError):
    """Training has diverged, and would again if it were run again."""


class VAENet(NeuralNet):
    """Train a `skvae.nn.VAE` on `RowBatches`.

    What differs from skorch: a batch is cut from the matrix at once rather than row
    by row, the loss comes from the module itself, and losses stay on an accelerator
    until the epoch ends, but for a look at every 64th, for which the host must wait.

    Parameters
    ----------
    module : skvae.nn.VAE or other torch module
        On its device. Called with a batch and a generator, it returns the negative
        log-likelihood and the KL of each row, and further terms of the loss if any.
    seed : int
        Seed of shuffling, dropout and noise.
    planned_steps : int
        Steps that the learning-rate schedule runs over.
    beta : float
        Cap of the KL's weight.
    n_annealing_steps : int
        Steps until the cap.
    cosine : bool
        Let the learning rate fall along a cosine.
    precision : str, default="float32"
        Of matrix products; see `products_in`.
    first_epoch, first_step : int
        Where an earlier run of the same fit ended.
    training_of : str, default="the model"
        What errors say was trained.
    remedy : str, default="lower learning_rate_init or scale X"
        What to do where training diverges.
    **kwargs
        As of `skorch.NeuralNet`.
    """

    def __init__(
        self,
        module,
        *,
        seed,
        planned_steps,
        beta,
        n_annealing_steps,
        cosine,
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
        self.planned_steps = planned_steps
        self.beta = beta
        self.n_annealing_steps = n_annealing_steps
        self.cosine = cosine
        self.precision = precision
        self.first_epoch = first_epoch
        self.first_step = first_step
        self.training_of = training_of
        self.remedy = remedy

    def get_default_callbacks(self):
        """Only the timer: losses are recorded by `run_single_epoch`."""
        return [("epoch_timer", EpochTimer())]

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Take up the count of steps and epochs."""
        self.step_, self.epoch_ = self.first_step, self.first_epoch

    def get_dataset(self, X, y=None):
        """Our batches are a dataset already."""
        return X

    def get_iterator(self, dataset, training=False):
        """Our batches are an iterator too, made afresh in each epoch."""
        return dataset

    def train_step_single(self, batch, **fit_params):
        """Compute loss and gradients of a batch."""
        self._set_training(True)
        with products_in(self.precision, torch.device(self.device)):
            terms = self.module_(batch, self.noise_)
            reconstruction, kl, *others = (term.mean() for term in terms)
            loss = reconstruction + self.beta_at_step() * kl + sum(others)
            loss.backward()
        return {
            "loss": loss.detach(),
            "reconstruction": reconstruction.detach(),
            "kl": kl.detach(),
            "y_pred": None,
        }

    def beta_at_step(self):
        """Weight of the KL at the present step."""
        return annealed_beta(self.step_, self.beta, self.n_annealing_steps)

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Go over all rows once and record the means of the epoch.

        Raises
        ------
        DivergedError
            If a loss is not finite, or the weights when the epoch ends. On a CPU it is
            raised at once, elsewhere after up to 64 steps.
        """
        if iterator is None:
            return
        device = iterator.device
        self.noise_ = make_generator(self.seed, NOISE, self.epoch_, device=device)
        order = make_generator(self.seed, SHUFFLE, self.epoch_)
        names = ("loss", "reconstruction", "kl")
        losses, sizes = [], []
        for batch in iterator.shuffled(self.batch_size, order):
            self.notify("on_batch_begin", batch=batch, training=training)
            if self.cosine:
                self._set_learning_rate()
            step = step_fn(batch, **fit_params)
            losses.append(torch.stack([step[name] for name in names]))
            sizes.append(_n_rows(batch))
            self.step_ += 1
            looks_now = len(losses) % _steps_between_looks(device) == 0
            if looks_now and not math.isfinite(step["loss"]):
                self._check_losses(torch.stack(losses)[:, 0])
            self.notify("on_batch_end", batch=batch, training=training, **step)
        losses = torch.stack(losses).cpu().double()  # some devices lack float64
        self._check_losses(losses[:, 0])
        self.check_weights()
        means = torch.tensor(sizes, dtype=torch.float64) @ losses / sum(sizes)
        for name, mean in zip(names, means.tolist(), strict=True):
            self.history.record(f"{prefix}_{name}", mean)
        self.history.record("beta", self.beta_at_step())
        self.history.record(f"{prefix}_batch_count", len(sizes))
        self.epoch_ += 1

    def _set_learning_rate(self):
        learning_rate = self.lr * cosine_factor(self.step_, self.planned_steps)
        for group in self.optimizer_.param_groups:
            group["lr"] = learning_rate

    def _check_losses(self, losses):
        finite = torch.isfinite(losses)
        if not finite.all():
            batch = int((~finite).nonzero()[0, 0])
            raise self._divergence(
                f"The loss became {losses[batch].item()} in epoch {self.epoch_ + 1}, "
                f"batch {batch + 1}"
            )

    def check_weights(self):
        """Raise a DivergedError unless all weights are finite."""
        trained = (w.detach() for w in self.module_.parameters() if w.requires_grad)
        # A sum over an infinite value is infinite or NaN, and takes no memory.
        if not all(torch.isfinite(weight.sum()) for weight in trained):
            raise self._divergence(f"Weights grew infinite in epoch {self.epoch_ + 1}")

    def _divergence(self, what):
        return DivergedError(
            f"{what}: training of {self.training_of} has diverged. The usual cause is "
            "a learning rate that is too high for this data, or input of very large "
            f"scale (the rate was {self.lr}): {self.remedy}."
        )


def train(net, batches, n_epochs):
    """Run epochs until they are done or early stopping ends them.

    Parameters
    ----------
    net : VAENet
        Initialised.
    batches : RowBatches
        Training rows.
    n_epochs : int
        At most so many.

    Returns
    -------
    interrupted : bool
        Whether the user interrupted; the net then holds what it has learned.

    Raises
    ------
    torch.cuda.OutOfMemoryError
        If the memory of a device does not suffice; it says what to lower.
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
    except KeyboardInterrupt:
        # skorch's early stopping ends the loop with this exception too.
        interrupted = not any(
            isinstance(callback, EarlyStopping)
            and callback.misses_ >= callback.patience
            for _, callback in net.callbacks_
        )
    net.notify("on_train_end", X=batches, y=None)
    if interrupted:
        net.check_weights()  # which an epoch does when it ends
    return interrupted


def _steps_between_looks(device):
    """Steps from one look at the loss to the next, for which an accelerator waits."""
    return 1 if device.type == "cpu" else 64


def _n_rows(batch):
    if isinstance(batch, tuple):  # rows and their index
        batch = batch[0]
    return batch.shape[0] if isinstance(batch, torch.Tensor) else batch.n_rows
