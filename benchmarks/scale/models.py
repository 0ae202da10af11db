"""The models that are measured on very large catalogues, and a clock of their fits."""

import math
import time
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from skorch.callbacks import Callback

from skvae import CollaborativeVAE, LinearVAERecommender, MultVAERecommender

N_COMPONENTS, N_SAMPLED_ITEMS = 64, 5000
SLOW_START = 5  # first steps that do not count


class Clock(Callback):
    """Record the processor seconds of epochs, and of the parts of each step.

    The first part takes the batch, the second computes the gradients, and the third is
    that of the optimiser. After `max_steps` it interrupts the fit, which keeps what it
    has learned.
    """

    def __init__(self, max_steps=None):
        self.max_steps = max_steps
        self.epochs, self.interrupted = [], False

    def on_train_begin(self, net, **kwargs):
        """Start."""
        self.steps, self.columns = [], []

    def on_epoch_begin(self, net, dataset_train=None, **kwargs):
        """Start an epoch."""
        self.steps_per_epoch = math.ceil(len(dataset_train) / net.batch_size)
        self.epoch_start = self.last = time.process_time()

    def on_batch_begin(self, net, batch=None, **kwargs):
        """Take the time at which the batch is there."""
        self.taken = time.process_time()
        self.columns.append(batch.n_columns)

    def on_grad_computed(self, net, **kwargs):
        """Take the time at which the gradients are there."""
        self.computed = time.process_time()

    def on_batch_end(self, net, **kwargs):
        """Record the step."""
        now = time.process_time()
        self.steps.append(np.diff([self.last, self.taken, self.computed, now]))
        self.last = now
        if len(self.steps) == self.max_steps:
            self.interrupted = True
            raise KeyboardInterrupt

    def on_epoch_end(self, net, **kwargs):
        """Record the epoch."""
        self.epochs.append(time.process_time() - self.epoch_start)

    def median_step(self):
        """Median seconds of the parts of a step: (3,)."""
        return np.median(self.steps[SLOW_START:], axis=0)


class ImplicitALS:
    """ALS of implicit, in one thread, with the methods of a recommender."""

    def __init__(self, n_iterations=1):
        self.n_iterations = n_iterations

    def fit(self, X):
        from implicit.cpu.als import AlternatingLeastSquares

        self.times = []
        self.model = AlternatingLeastSquares(
            N_COMPONENTS, iterations=self.n_iterations, num_threads=1, random_state=0
        )
        self.model.fit(
            sp.csr_matrix(X),
            show_progress=False,
            callback=lambda *_: self.times.append(time.process_time()),
        )
        return self

    def transform(self, X):
        users = np.arange(X.shape[0])
        return self.model.recalculate_user(users, sp.csr_matrix(X))

    def recommend(self, X, n_items):
        users = np.arange(X.shape[0])
        rows = sp.csr_matrix(X)
        return self.model.recommend(users, rows, n_items, recalculate_user=True)[0]


class Model(NamedTuple):
    """How to make and measure a model.

    A model that passes over the data `n_default` times by default does `n_done` here.
    """

    title: str
    make: object  # a function of a clock
    passes: str = ""
    n_done: int = 0
    n_default: int = 0


def linear(clock):
    return LinearVAERecommender(N_COMPONENTS, device="cpu", random_state=0)


def mult_vae(clock):
    return MultVAERecommender(
        N_COMPONENTS,
        n_sampled_items=N_SAMPLED_ITEMS,
        max_iter=MODELS["mult-vae"].n_done,
        callbacks=[clock],
        device="cpu",
        random_state=0,
    )


def collaborative(clock):
    return CollaborativeVAE(
        N_COMPONENTS,
        max_iter=MODELS["collaborative"].n_done,
        callbacks=[clock],
        device="cpu",
        random_state=0,
    )


def implicit(clock):
    return ImplicitALS(MODELS["implicit"].n_done)


MODELS = {
    "linear": Model("LinearVAERecommender", linear),
    "mult-vae": Model(
        f"MultVAERecommender, {N_SAMPLED_ITEMS:,} sampled items",
        mult_vae,
        "epochs",
        1,
        5,
    ),
    "collaborative": Model(
        "CollaborativeVAE without content", collaborative, "rounds", 2, 10
    ),
    "implicit": Model("ALS of implicit", implicit, "iterations", 3, 15),
}
