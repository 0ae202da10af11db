"""Parameters of an estimator as JSON, and those that are left out of a file."""

import math

import numpy as np

# Parameters that may hold objects, and so may be left out of a file.
OMITTABLE = (
    "callbacks",
    "decoder",
    "device",
    "encoder",
    "lr_schedule",
    "random_state",
)
# What belongs to one machine, which is never in a file: a fit unpickles what it finds
# in the cache `memory`, removes the file `checkpoint`, and waits for the processes of
# `distributed`.
LOCAL = ("checkpoint", "distributed", "memory")
PLAIN = (bool, int, float, str, type(None))


def check_omit(estimator, omit):
    """Names of parameters to leave out, sorted; raise if one cannot be left out."""
    omit = sorted({omit} if isinstance(omit, str) else set(omit))
    possible = [n for n in OMITTABLE if n in estimator.get_params(deep=False)]
    if unknown := [name for name in omit if name not in possible]:
        raise ValueError(
            f"omit holds {', '.join(map(repr, unknown))}; of "
            f"{type(estimator).__name__} it may hold {', '.join(possible)}."
        )
    return omit


def plain_parameters(estimator, omit):
    """Parameters as JSON can hold them, without those of `omit` and `LOCAL`.

    Parameters
    ----------
    estimator : BaseEstimator
        Estimator with the parameters.
    omit : list of str
        Checked by `check_omit`.

    Returns
    -------
    parameters : dict of str to object
        Tuples are mappings with the one key "tuple"; lists are lists.

    Raises
    ------
    ValueError
        If JSON cannot hold one of the others. The error names them.
    """
    plain, refused = {}, {}
    for name, value in estimator.get_params(deep=False).items():
        if name in omit or name in LOCAL:
            continue
        try:
            plain[name] = _to_json(value)
        except TypeError:
            refused[name] = value
    if refused:
        shown = ", ".join(f"{name}={value!r}" for name, value in refused.items())
        advice = "Set it to a plain value, or use joblib.dump."
        if refused.keys() <= set(OMITTABLE):
            advice = (
                f"Leave it out with omit={(*omit, *refused)}, and pass it to "
                "load_model as keyword."
            )
        raise ValueError(f"A model file cannot hold {shown}. {advice}")
    return plain


def parameters_from(plain):
    """Parameters for which `plain_parameters` returned this."""
    return {name: _from_json(value) for name, value in plain.items()}


def _to_json(value):
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        values = [_to_json(one) for one in value]
        return {"tuple": values} if isinstance(value, tuple) else values
    if type(value) not in PLAIN or (type(value) is float and not math.isfinite(value)):
        raise TypeError(type(value))
    return value


def _from_json(value):
    if isinstance(value, dict):
        if value.keys() != {"tuple"} or not isinstance(value["tuple"], list):
            raise ValueError(f"a parameter holds the keys {sorted(value)}")
        return tuple(_from_json(value["tuple"]))
    if isinstance(value, list):
        return [_from_json(one) for one in value]
    return value
