"""Parameters of an estimator as JSON holds them, and those that are left out."""

import math

import numpy as np

# What may be no plain value, and so may be left out of a file.
OMITTABLE = (
    "callbacks",
    "decoder",
    "device",
    "encoder",
    "lr_schedule",
    "memory",
    "random_state",
)
# What belongs to a machine and not to a model: never in a file.
LOCAL = ("checkpoint",)
PLAIN = (bool, int, float, str, type(None))


def check_omit(estimator, omit):
    """Names of parameters to leave out, sorted; raise unless that can be."""
    omit = sorted({omit} if isinstance(omit, str) else set(omit))
    possible = [n for n in OMITTABLE if n in estimator.get_params(deep=False)]
    if unknown := [name for name in omit if name not in possible]:
        raise ValueError(
            f"omit holds {', '.join(map(repr, unknown))}; of "
            f"{type(estimator).__name__} it may hold {', '.join(possible)}."
        )
    return omit


def plain_parameters(estimator, omit):
    """Parameters as JSON holds them, those of `omit` and `LOCAL` left out.

    Parameters
    ----------
    estimator : BaseEstimator
        Whose.
    omit : list of str
        Checked by `check_omit`.

    Returns
    -------
    parameters : dict of str to object
        Tuples are mappings with the one key "tuple"; lists are lists.

    Raises
    ------
    ValueError
        If there are others that JSON cannot hold, with their names.
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
    """Parameters of which `plain_parameters` made this."""
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
