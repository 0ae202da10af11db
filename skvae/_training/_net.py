"""The skorch net: our batches and the ELBO inside skorch's loop, hooks and history."""

import torch
from skorch import NeuralNet
from skorch.callbacks import EarlyStopping, EpochTimer

from skvae._training._device import out_of_memory
from skvae._training._precision import products_in
from skvae._training._random import make_generator
from skvae._training._schedules import annealed_beta, cosine_factor
from skvae.nn import reused_buffers

SHUFFLE, NOISE = 1, 2  # streams of random numbers; see make_generator


class VAENet(NeuralNet):
    """Train a `skvae.nn.VAE` on `RowBatches`.

    What differs from skorch: a batch is cut from the matrix at once rather than row
    by row, the loss comes from the module itself, and losses stay on the device until
    the epoch ends, for each look at one would make the host wait.

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
        ValueError
            If a loss is not finite; told when the epoch ends, naming the batch.
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
            self.notify("on_batch_end", batch=batch, training=training, **step)
        losses = torch.stack(losses).double().cpu()
        self._check_finite(losses[:, 0])
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

    def _check_finite(self, losses):
        finite = torch.isfinite(losses)
        if finite.all():
            return
        batch = int((~finite).nonzero()[0, 0])
        raise ValueError(
            f"The training loss became {losses[batch].item()} in epoch "
            f"{self.epoch_ + 1}, batch {batch + 1}. The usual cause is a learning "
            "rate that is too high for this data, or input of very large scale: "
            f"lower learning_rate_init (now {self.lr}) or scale X."
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
    """
    interrupted = False
    net.notify("on_train_begin", X=batches, y=None)
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
    return interrupted


def _n_rows(batch):
    if isinstance(batch, tuple):  # rows and their index
        batch = batch[0]
    return batch.shape[0] if isinstance(batch, torch.Tensor) else batch.n_rows
