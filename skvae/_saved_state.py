"""What fit has left on an estimator, as named tensors, and back from such tensors."""

import json
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from skvae._model_file import parse_json
from skvae._training import TrainingState
from skvae._vae_fit import VAEFit
from skvae.nn import FactorModel, Multinomial

WEIGHTS, MOMENTS = "module.", "moments."  # what the names of such tensors begin with
ADAM = ("step", "exp_avg", "exp_avg_sq")
FACTORIES = ("encoder", "decoder")  # of networks of the user's own


class Attribute(NamedTuple):
    """How a fitted attribute is saved.

    Widths of one name are equal, None is any. `restore` makes the attribute of its
    tensor.
    """

    dtype: torch.dtype
    shape: tuple
    restore: Callable


def _restore_ids(tensor):
    values = parse_json(tensor.numpy().tobytes())
    kinds = {type(value) for value in values} if isinstance(values, list) else set()
    ids = np.array(values) if len(kinds) == 1 and kinds <= {str, int, float} else None
    if ids is None or ids.dtype.kind not in "Uiuf":
        raise ValueError("its ids or names are neither all text nor all numbers")
    return ids


def _array(dtype, *shape):
    return Attribute(dtype, shape, torch.Tensor.numpy)


def _curve(width):
    return Attribute(torch.float64, (width,), torch.Tensor.tolist)


COUNT = Attribute(torch.int64, (), torch.Tensor.item)
NUMBER = Attribute(torch.float64, (), torch.Tensor.item)
IDS = Attribute(torch.uint8, (None,), _restore_ids)  # JSON, for text has any width

ATTRIBUTES = {
    "n_features_in_": COUNT,
    "feature_names_in_": IDS,
    "item_ids_": IDS,
    "n_iter_": COUNT,
    "beta_": NUMBER,
    "loss_curve_": _curve("epochs"),
    "reconstruction_curve_": _curve("epochs"),
    "kl_curve_": _curve("epochs"),
    "beta_curve_": _curve("epochs"),
    "objective_curve_": _curve(None),
    "validation_scores_": _curve(None),
    "best_iter_": COUNT,
    "best_validation_score_": NUMBER,
    "beta_path_.beta": _array(torch.float64, "searched"),
    "beta_path_.score": _array(torch.float64, "searched"),
    "component_kl_": _array(torch.float32, "components"),
    "user_factors_": _array(torch.float32, None, "components"),
    "item_factors_": _array(torch.float32, "features", "components"),
    "item_content_factors_": _array(torch.float32, "features", "components"),
    "_row_totals.values": _array(torch.int64, "totals"),
    "_row_totals.frequencies": _array(torch.int64, "totals"),
    "_state.seed": COUNT,
    "_state.n_epochs": COUNT,
    "_state.n_steps": COUNT,
}
# Present together or not at all.
OPTIONAL = (
    {"feature_names_in_"},
    {"item_ids_"},
    {"validation_scores_", "best_iter_", "best_validation_score_"},
    {"beta_path_.beta", "beta_path_.score"},
)


def tensors_of(estimator, item_ids):
    """Tensors of all that fit has left, by name. Weights are not copied.

    Parameters
    ----------
    estimator : BaseVAE or CollaborativeFit
        Fitted.
    item_ids : ndarray of shape (n_features_in_,) or None
        Ids of its columns.

    Returns
    -------
    tensors : dict of str to Tensor

    Raises
    ------
    ValueError
        If the module is not what the present parameters ask for. The message begins
        in the middle of a sentence, for the caller to name the estimator.
    """
    weights = dict(estimator._module.state_dict())
    for name, value in weights.items():
        if not isinstance(value, torch.Tensor):
            raise ValueError(
                f"{name} of a network of your own is no tensor but "
                f"{type(value).__name__}"
            )
    tensors = {WEIGHTS + name: tensor for name, tensor in weights.items()}
    for parameter, moments in (estimator._state.optimizer or {}).items():
        for name in ADAM:
            tensors[f"{MOMENTS}{parameter}.{name}"] = moments[name]
    attributes = _attributes(estimator)
    if item_ids is not None:
        attributes["item_ids_"] = item_ids
    for name, value in attributes.items():
        tensors[name] = _as_tensor(value, ATTRIBUTES[name])
    planned = _planned_module(estimator, estimator.n_features_in_, weights)
    _check_settings(estimator, planned)
    _check_layout(tensors, estimator, planned)
    return tensors


def state_from(estimator, tensors):
    """State of an estimator whose `tensors_of` gave these tensors.

    Parameters
    ----------
    estimator : BaseVAE or CollaborativeFit
        Not fitted, with its parameters.
    tensors : dict of str to Tensor
        All are checked before a module is made that takes memory.

    Returns
    -------
    state : dict
        For ``estimator.__setstate__``.

    Raises
    ------
    ValueError
        If an estimator with these parameters has no such tensors. The message begins
        in the middle of a sentence, for the caller to name the file.
    """
    _check_tensors(
        {name: tensor for name, tensor in tensors.items() if name == "n_features_in_"},
        {"n_features_in_": (COUNT.dtype, COUNT.shape)},
    )
    n_features = tensors["n_features_in_"].item()
    weights = _under(WEIGHTS, tensors)
    planned = _planned_module(estimator, n_features, weights)
    _check_layout(tensors, estimator, planned)
    state = _restored_attributes(tensors, n_features)
    moments = {}
    for name, tensor in _under(MOMENTS, tensors).items():
        parameter, _, moment = name.rpartition(".")
        moments.setdefault(parameter, {})[moment] = tensor
    state["_state"] = TrainingState(**state["_state"], optimizer=moments or None)
    state["_module"] = _filled_module(estimator, n_features, weights, planned)
    return state


# The module


def _blank_module(estimator, n_features, weights, **factories):
    twin = type(estimator)(**{**estimator.get_params(deep=False), **factories})
    twin.n_features_in_ = n_features
    return twin._blank_module(weights)


def _planned_module(estimator, n_features, weights):
    """Module that the parameters ask for, without memory and networks of one's own."""
    own = _own_networks(estimator)
    n_layers = len(estimator.hidden_layer_sizes)
    if len(own) < len(FACTORIES) and n_layers > len(weights):
        raise ValueError(
            f"there are {n_layers} hidden layers and {len(weights)} tensors of weights"
        )
    stand_ins = dict.fromkeys(own, lambda n_in, n_out: nn.Module())
    with torch.device("meta"):
        return _blank_module(estimator, n_features, weights, **stand_ins)


def _filled_module(estimator, n_features, weights, planned):
    """Module with these weights: the planned one, or one with the user's networks."""
    module = planned
    own = _own_networks(estimator)
    if own:
        module = _blank_module(estimator, n_features, weights)
    _check_tensors(weights, _layout(module.state_dict()))
    # Networks of the user's own may share weights, which assignment would part.
    module.load_state_dict(weights, assign=not own)
    return module.eval()


def _own_networks(estimator):
    return [name for name in FACTORIES if getattr(estimator, name, None) is not None]


def _check_settings(estimator, planned):
    """Raise if the fitted module is set up otherwise than the parameters say now."""
    fitted, now = _settings(estimator._module), _settings(planned)
    for name, value in now.items():
        if fitted.get(name) != value:
            raise ValueError(
                f"its parameters were changed after fit: {name} of the fitted network "
                f"is {fitted.get(name)!r}, and by the parameters it would be {value!r}"
            )


def _settings(module):
    """What a module and its parts are set to, beside their weights: name -> value."""
    parts = {}
    for name, part in module.named_modules():
        if not _is_own(name + "."):
            parts[name] = part
            # Some likelihoods have no weights and are no modules.
            parts[f"{name}.likelihood"] = getattr(part, "likelihood", None)
    settings = {name: type(part).__name__ for name, part in parts.items()}
    for name, part in parts.items():
        for key, value in getattr(part, "__dict__", {}).items():
            if isinstance(value, (bool, int, float, str)) and key != "training":
                settings[f"{name}.{key}".strip(".")] = value
    return settings


# Attributes


def _attributes(estimator):
    """Attributes that fit has left, by the names of `ATTRIBUTES`."""
    fitted = dict(vars(estimator))
    if "_row_totals" in fitted:
        names = ("_row_totals.values", "_row_totals.frequencies")
        fitted.update(zip(names, fitted["_row_totals"], strict=True))
    for name in ("beta_path_", "_state"):
        parts = fitted.get(name, {})
        parts = parts if isinstance(parts, dict) else vars(parts)
        fitted.update((f"{name}.{part}", value) for part, value in parts.items())
    return {name: fitted[name] for name in ATTRIBUTES if name in fitted}


def _restored_attributes(tensors, n_features):
    """Attributes from tensors of the right layout; what has parts is put together."""
    state = {}
    for name, attribute in ATTRIBUTES.items():
        if name not in tensors:
            continue
        value = attribute.restore(tensors[name])
        if attribute is COUNT and value < 0:
            raise ValueError(f"{name} is {value}")
        if attribute is IDS and len(value) != n_features:
            raise ValueError(f"{name} has {len(value)} entries for {n_features} items")
        whole, _, part = name.partition(".")
        if part:
            state.setdefault(whole, {})[part] = value
        else:
            state[name] = value
    if "_row_totals" in state:
        state["_row_totals"] = tuple(state["_row_totals"].values())
    if "feature_names_in_" in state:
        state["feature_names_in_"] = state["feature_names_in_"].astype(object)
    return state


def _as_tensor(value, attribute):
    if attribute is IDS:
        text = json.dumps(np.asarray(value).tolist(), allow_nan=False)
        return torch.frombuffer(bytearray(text.encode()), dtype=IDS.dtype)
    dtype = torch.empty(0, dtype=attribute.dtype).numpy().dtype
    return torch.from_numpy(np.require(value, dtype, ("C", "W")))


# Layout: which tensors there are, of which types and shapes


def _check_layout(tensors, estimator, planned):
    """Raise unless an estimator with the planned module has just these tensors."""
    required = {
        "n_features_in_",
        "n_iter_",
        "loss_curve_",
        "reconstruction_curve_",
        "kl_curve_",
        *(name for name in ATTRIBUTES if name.startswith("_state.")),
    }
    if isinstance(planned, FactorModel):
        required |= {"objective_curve_", "user_factors_", "item_factors_"}
        if planned.content is not None:
            required.add("item_content_factors_")
    else:
        required |= {"beta_", "beta_curve_"}
        if isinstance(planned.likelihood, Multinomial):
            required |= {"_row_totals.values", "_row_totals.frequencies"}
        if isinstance(estimator, VAEFit) and planned.variational:
            required.add("component_kl_")
    for names in OPTIONAL:
        if not names.isdisjoint(tensors):
            required |= names

    expected = _layout(planned.state_dict(), WEIGHTS)
    expected |= _moments_layout(tensors)
    n_features = tensors["n_features_in_"].item()
    widths = {"features": n_features, "components": estimator.n_components}
    for name in sorted(required):
        dtype, shape, _ = ATTRIBUTES[name]
        found = tensors[name].shape if name in tensors else ()
        if len(found) == len(shape):
            shape = tuple(
                found_width if width is None else widths.setdefault(width, found_width)
                for width, found_width in zip(shape, found, strict=True)
            )
        expected[name] = (dtype, shape)
    packaged = {
        name: tensor
        for name, tensor in tensors.items()
        if not (name.startswith(WEIGHTS) and _is_own(name.removeprefix(WEIGHTS)))
    }
    _check_tensors(packaged, expected)


def _is_own(name):
    """Whether this part of a module belongs to a network of the user's own."""
    return name.startswith(tuple(f"{factory}.module." for factory in FACTORIES))


def _layout(tensors, prefix=""):
    return {prefix + name: (t.dtype, tuple(t.shape)) for name, t in tensors.items()}


def _moments_layout(tensors):
    """Layout of the moments of each parameter that has any: like the parameter."""
    expected = {}
    for parameter in {name.rpartition(".")[0] for name in _under(MOMENTS, tensors)}:
        like = tensors.get(WEIGHTS + parameter)
        if like is not None:
            layout = (like.dtype, tuple(like.shape))
            for name in ADAM:
                one = (torch.float32, ()) if name == "step" else layout
                expected[f"{MOMENTS}{parameter}.{name}"] = one
    return expected


def _check_tensors(tensors, expected):
    found = _layout(tensors)
    for what, names in {
        "lacks": expected.keys() - found.keys(),
        "has no place for": found.keys() - expected.keys(),
    }.items():
        if names:
            raise ValueError(f"it {what} the tensor {min(names)!r}")
    for name, (dtype, shape) in expected.items():
        if found[name] != (dtype, shape):
            raise ValueError(
                f"its tensor {name!r} has the type and shape {found[name]}, where "
                f"its parameters ask for {(dtype, shape)}"
            )


def _under(prefix, tensors):
    """Tensors whose names begin with a prefix, by the rest of their names."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
