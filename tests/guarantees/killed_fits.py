"""Repeat a fit with a checkpoint, each time killed at a random moment.

Called by test_checkpoint.py as ``killed_fits.py CASE FOLDER``. It ends when a fit has
ended before it was killed, and has saved its model.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.base import clone
from skorch.callbacks import Callback

from skvae import MultVAERecommender, VAETransformer, save_model
from skvae._training import _checkpoint
from skvae.datasets import make_interactions

X = make_interactions(150, 60, random_state=0).matrix
REAL = np.random.default_rng(0).normal(size=(150, 12))
SHARED = {"random_state": 0, "max_iter": 25}
STOPPING = {"early_stopping": True, "n_iter_no_change": 6, "lr_schedule": "plateau"}
CASES = {
    "plain": (MultVAERecommender(8, **SHARED), X),
    "stopping": (MultVAERecommender(8, **SHARED, **STOPPING, refit=True), X),
    "search": (
        MultVAERecommender(
            8, hidden_layer_sizes=(9,), **SHARED, **STOPPING, refit=True, beta="auto"
        ),
        X,
    ),
    "sampled": (MultVAERecommender(8, **SHARED, n_sampled_items=5), X),
    "gaussian": (VAETransformer(3, **SHARED, **STOPPING, refit=True), REAL),
}


class Slow(Callback):
    """Slow down each epoch, and record the epochs trained in this process."""

    def __init__(self, path):
        self.path = path

    def on_epoch_begin(self, net, **kwargs):
        with open(self.path, "a") as file:
            file.write(f"{os.getpid()} {len(net.history)}\n")
        time.sleep(0.01)


def fit_in_child(case, folder):
    """Fork a process that fits and saves the model; return its id."""
    if child := os.fork():
        return child
    model, data = CASES[case]
    _checkpoint.WAIT = 0  # every epoch is written
    slow = Slow(folder / "epochs")
    model.set_params(checkpoint=folder / "checkpoint", callbacks=[slow]).fit(data)
    save_model(model, folder / "model", omit="callbacks")
    os._exit(0)


def main(case, folder):
    model, data = CASES[case]
    clone(model).set_params(max_iter=1).fit(data)  # what a first fit imports is there
    moments = random.Random(case)
    status = None
    while status is None or os.WIFSIGNALED(status):
        child = fit_in_child(case, folder)
        time.sleep(moments.uniform(0.1, 0.6))
        os.kill(child, signal.SIGKILL)  # to no effect if it has ended
        _, status = os.waitpid(child, 0)
    raise SystemExit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1], Path(sys.argv[2]))
