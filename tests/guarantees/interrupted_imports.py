"""Interrupt the first fit of a process by SIGINT while it imports, then fit again.

Called by test_divergence_and_interruption.py as ``interrupted_imports.py NAME``, in a
process that has not fitted before. It prints
"fitted" for each second fit that succeeds.
"""

import os
import signal
import sys
import traceback

import numpy as np
import torch

from skvae import CollaborativeVAE, MultVAERecommender, VAETransformer
from skvae.datasets import make_interactions

MOMENTS = [1, 20, 300]  # number of modules that the fit has begun to import
X = make_interactions(60, 40, random_state=0).matrix
SMALL = {"n_components": 3, "max_iter": 2, "random_state": 0}
CASES = {
    "mult": (MultVAERecommender(**SMALL), {}),
    "bfloat16": (MultVAERecommender(**SMALL, precision="bfloat16"), {}),
    "vae": (VAETransformer(**SMALL), {}),
    "content": (CollaborativeVAE(**SMALL), {"item_features": np.ones((40, 4))}),
}


class Interrupting:
    """Finder of no modules, which interrupts the process at the given number."""

    def __init__(self, at):
        self.at = at
        self.n_seen = 0

    def find_spec(self, *args):
        self.n_seen += 1
        if self.n_seen == self.at:
            signal.raise_signal(signal.SIGINT)


def fit_twice(model, data, at):
    parameters = set(vars(model))
    hook = Interrupting(at)
    sys.meta_path.insert(0, hook)
    try:
        model.fit(X, **data)
    except KeyboardInterrupt:
        assert set(vars(model)) == parameters  # nothing was learned
    else:
        raise AssertionError(f"The fit imported {hook.n_seen} modules.")
    sys.meta_path.remove(hook)
    assert np.isfinite(model.fit(X, **data).transform(X)).all()


def main(name):
    model, data = CASES[name]
    assert "torch._dynamo" not in sys.modules
    for at in MOMENTS:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                fit_twice(model, data, at)
                print("fitted", flush=True)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        os.waitpid(child, 0)


if __name__ == "__main__":
    # Jobs in the background of a shell ignore the signal.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    main(sys.argv[1])
