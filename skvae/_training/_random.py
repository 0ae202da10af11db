"""Seeds and explicit torch generators; the caller's global state is never touched."""

from enum import IntEnum

import numpy as np
import torch
from sklearn.utils import check_random_state


class Stream(IntEnum):
    """Purposes for which a fit draws random numbers, each from a separate stream.

    The values are part of what a seed means: changing one changes the results of
    every fit that uses the stream.
    """

    SHUFFLE = 1
    NOISE = 2  # dropout, and draws from the posterior
    INITIAL_WEIGHTS = 3  # or, in factorization without content, the initial factors
    EVALUATION = 4  # draws of `elbo` and `score_samples`
    LAYERS = 5  # pre-training of CollaborativeVAE, layer by layer
    CONTENT = 6  # pre-training of its whole content model
    ROUNDS = 8


def draw_seed(random_state):
    """Draw the seed of a fit from scikit-learn's `random_state`: an int below 2**31."""
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def make_generator(seed, *stream, device="cpu"):
    """Make a generator for one purpose.

    Parameters
    ----------
    seed : int
        Seed of the fit.
    *stream : int
        Purpose of the numbers: a `Stream`, and further integers such as the epoch.
        Different streams give independent numbers; the same stream gives the same
        numbers. An epoch therefore draws the same numbers whether or not the epochs
        before it ran in this process.
    device : torch.device or str, default="cpu"
        Device on which the numbers are drawn.

    Returns
    -------
    generator : torch.Generator
    """
    state = np.random.SeedSequence([seed, *stream]).generate_state(1, np.uint64)[0]
    return torch.Generator(device=device).manual_seed(int(state >> np.uint64(1)))


def stream_seed(seed, *stream):
    """Derive the seed of one of the trainings that a fit consists of."""
    return int(np.random.SeedSequence([seed, *stream]).generate_state(1)[0] >> 1)
