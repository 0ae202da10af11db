"""The weight of the KL and the learning rate as functions of the step."""

import math
from numbers import Integral


def annealing_steps(annealing, planned_steps):
    """Return the number of steps until beta reaches its cap.

    Parameters
    ----------
    annealing : float in [0, 1] or int
        A fraction of the planned steps, or a number of steps.
    planned_steps : int
        Steps of the whole fit.

    Returns
    -------
    n_steps : int
    """
    if isinstance(annealing, Integral):
        return int(annealing)
    return math.ceil(annealing * planned_steps)


def annealed_beta(step, cap, n_annealing_steps):
    """Weight of the KL at a step (from 0): it rises linearly to `cap` and stays there.

    Liang et al. 2018, section 2.2.2. Without annealing steps it is `cap` throughout.
    """
    if step >= n_annealing_steps:
        return cap
    return cap * step / n_annealing_steps


def cosine_factor(step, planned_steps):
    """Factor of the learning rate at a step: half a cosine from 1 to 0.

    Loshchilov & Hutter 2017, eq. 5, without restarts. Past the planned steps it
    stays at the factor of the last one, so that training that goes on still learns.
    """
    step = min(step, planned_steps - 1)
    return 0.5 * (1.0 + math.cos(math.pi * step / planned_steps))
