"""Interrupt fits by SIGINT at random moments, and check the models they leave.

Called by test_divergence_and_interruption.py as ``interrupted_fits.py NAME``. It
prints for each fit when it was interrupted: "before" anything was learned, or after how
many epochs.
"""

import os
import random
import signal
import sys
import tempfile
import time
import traceback

import numpy as np
import torch
from sklearn.base import clone

from skvae import CollaborativeVAE, MultVAERecommender, VAETransformer, save_model
from skvae.datasets import make_interactions

N_INTERRUPTIONS, MAX_INTERRUPTIONS = 6, 60
X = make_interactions(300, 80, random_state=0).matrix
WORDS = np.random.default_rng(0).poisson(0.5, (80, 30)).astype(float)
SHARED = {"random_state": 0, "early_stopping": True, "refit": True}
CASES = {
    "mult": (MultVAERecommender(8, max_iter=12, beta="auto", **SHARED), {}),
    "vae": (VAETransformer(3, max_iter=12, likelihood="poisson", **SHARED), {}),
    "content": (
        CollaborativeVAE(
            6, hidden_layer_sizes=(9,), layer_epochs=8, batch_size=20, **SHARED
        ),
        {"item_features": WORDS},
    ),
    "factors": (CollaborativeVAE(6, max_iter=30, **SHARED), {}),
}


def look_at(model, parameters):
    """Describe the model that an interrupted fit left; raise if it is not usable."""
    if "_module" not in vars(model):
        assert set(vars(model)) == parameters
        return "before"
    assert np.isfinite(model.transform(X)).all()
    if hasattr(model, "recommend"):
        assert (model.recommend(X, 3) >= 0).all()
    if isinstance(model, CollaborativeVAE):
        np.testing.assert_array_equal(model.transform(X), model.user_factors_)
    else:
        assert len(model.loss_curve_) == model.n_iter_
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, f"{folder}/model")  # all that belongs to a fit is there
    return str(model.n_iter_)


def fit_in_child(model, data):
    """Fork a process that fits, and checks the model if it is interrupted.

    Returns
    -------
    child : int
        Its process.
    outcome : int
        Pipe to which it writes what `look_at` returns, or "ended".
    """
    outcome, tell = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            parameters = set(vars(model))
            os.write(tell, b" ")
            model.fit(X, **data)
            os.write(tell, b"ended")
            status = 0
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            os.write(tell, look_at(model, parameters).encode())
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(tell)
    os.read(outcome, 1)
    return child, outcome


def main(name):
    model, data = CASES[name]
    clone(model).fit(X, **data)  # what a first fit imports is there
    started = time.monotonic()
    clone(model).fit(X, **data)
    duration = time.monotonic() - started
    moments, found = random.Random(name), []
    # On a busy machine all may come before or after the training: then there are more.
    while len(found) < N_INTERRUPTIONS or len(set(found) - {"before", "ended"}) < 2:
        if len(found) == MAX_INTERRUPTIONS:
            raise SystemExit(f"None of {len(found)} came while it trained.")
        child, outcome = fit_in_child(clone(model), data)
        time.sleep(moments.uniform(0, duration))
        os.kill(child, signal.SIGINT)
        _, status = os.waitpid(child, 0)
        if status:
            raise SystemExit(f"A fit of {name} has left what cannot be used.")
        found.append(os.read(outcome, 100).decode())
        os.close(outcome)
    print(*found)


if __name__ == "__main__":
    # Jobs in the background of a shell ignore the signal.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    main(sys.argv[1])
