"""Seeds and explicit torch generators: the caller's global state is never touched."""

import numpy as np
import torch
from sklearn.utils import check_random_state


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
        What the numbers are for, such as (kind, epoch): other streams give
        independent numbers, the same stream the same ones. So an epoch draws what it
        draws whether or not those before it ran in this process.
    device : torch.device or str, default="cpu"
        Where the numbers are drawn.

    Returns
    -------
    generator : torch.Generator
    """
    state = np.random.SeedSequence([seed, *stream]).generate_state(1, np.uint64)[0]
    return torch.Generator(device=device).manual_seed(int(state >> np.uint64(1)))
