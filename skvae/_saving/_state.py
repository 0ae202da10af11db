"""The fitted state of an estimator as named tensors, and back.

Which attributes there are, each class says in its `_saved_attributes`.
"""

import torch
from torch import nn

from skvae._training import ADAM, TrainingState, moments_layout
from skvae.utils._tensor_file import check_layout, layout_of, under

WEIGHTS, MOMENTS = "module.", "moments."  # prefixes of the names of tensors
FACTORIES = ("encoder", "decoder")  # of networks of the user's own


def tensors_of(estimator, item_ids):
    """Tensors of the fitted state, by name. Weights are not copied.

    Parameters
    ----------
    estimator : ModuleEstimator
        Fitted.
    item_ids : ndarray of shape (n_features_in_,) or None
        Ids of its columns.

    Returns
    -------
    tensors : dict of str to Tensor

    Raises
    ------
    ValueError
        If the present parameters describe another module than the fitted one. The
        message is the second half of a sentence, for the caller to put the name of
        the estimator before it.
    """
    weights = dict(estimator._module.state_dict())
    for name, value in weights.items():
        if not isinstance(value, torch.Tensor):
            raise ValueError(
                f"{name} of a network of your own is not a tensor but a "
                f"{type(value).__name__}"
            )
    tensors = {WEIGHTS + name: tensor for name, tensor in weights.items()}
    training = getattr(estimator, "_state", None)  # only of what is trained in epochs
    moments_of = (training and training.optimizer) or {}
    for parameter, moments in moments_of.items():
        for name in ADAM:
            tensors[f"{MOMENTS}{parameter}.{name}"] = moments[name]
    attributes = _fitted_attributes(estimator)
    if item_ids is not None:
        attributes["item_ids_"] = item_ids
    for name, value in attributes.items():
        tensors[name] = estimator._saved_attributes[name].to_tensor(value)
    planned = _planned_module(estimator, estimator.n_features_in_, weights)
    _check_settings(estimator, planned)
    _check_layout(tensors, estimator, planned)
    return tensors


def state_from(estimator, tensors):
    """State of the estimator for which `tensors_of` returned these tensors.

    Parameters
    ----------
    estimator : ModuleEstimator
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
        If an estimator with these parameters has no such tensors. The message is the
        second half of a sentence, for the caller to put the name of the file before
        it.
    """
    n_features = estimator._saved_attributes["n_features_in_"]
    check_layout(
        {name: tensor for name, tensor in tensors.items() if name == "n_features_in_"},
        {"n_features_in_": (n_features.dtype, n_features.shape)},
    )
    n_features = tensors["n_features_in_"].item()
    weights = under(WEIGHTS, tensors)
    planned = _planned_module(estimator, n_features, weights)
    _check_layout(tensors, estimator, planned)
    state = _restored_attributes(estimator, tensors, n_features)
    moments = {}
    for name, tensor in under(MOMENTS, tensors).items():
        parameter, _, moment = name.rpartition(".")
        moments.setdefault(parameter, {})[moment] = tensor
    if "_state" in state:
        state["_state"] = TrainingState(**state["_state"], optimizer=moments or None)
    state["_module"] = _filled_module(estimator, n_features, weights, planned)
    return state


# The module


def _blank_module(estimator, n_features, weights, **factories):
    twin = type(estimator)(**{**estimator.get_params(deep=False), **factories})
    twin.n_features_in_ = n_features
    return twin._blank_module(weights)


def _planned_module(estimator, n_features, weights):
    """Module that the parameters describe, without memory and own networks."""
    own = _custom_networks(estimator)
    n_layers = len(getattr(estimator, "hidden_layer_sizes", ()))
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
    own = _custom_networks(estimator)
    if own:
        module = _blank_module(estimator, n_features, weights)
    check_layout(weights, layout_of(module.state_dict()))
    # Networks of the user's own may share weights, which assignment would separate.
    module.load_state_dict(weights, assign=not own)
    return module.eval()


def _custom_networks(estimator):
    return [name for name in FACTORIES if getattr(estimator, name, None) is not None]


def _check_settings(estimator, planned):
    """Raise if the fitted module has other settings than the parameters describe."""
    fitted, now = _settings(estimator._module), _settings(planned)
    for name, value in now.items():
        if fitted.get(name) != value:
            raise ValueError(
                f"its parameters were changed after fit: {name} of the fitted network "
                f"is {fitted.get(name)!r}, and by the parameters it would be {value!r}"
            )


def _settings(module):
    """Settings of a module and its parts, beside their weights: name -> value."""
    parts = {}
    for name, part in module.named_modules():
        if not _is_own(name + "."):
            parts[name] = part
            # Some likelihoods have no weights and are not modules.
            parts[f"{name}.likelihood"] = getattr(part, "likelihood", None)
    settings = {name: type(part).__name__ for name, part in parts.items()}
    for name, part in parts.items():
        for key, value in getattr(part, "__dict__", {}).items():
            if isinstance(value, (bool, int, float, str)) and key != "training":
                settings[f"{name}.{key}".strip(".")] = value
    return settings


# Attributes. One that is part of another has a dot in its name.


def _fitted_attributes(estimator):
    """Values of the saved attributes that the estimator has, by name."""
    fitted = dict(vars(estimator))
    if "_row_totals" in fitted:
        fitted["_row_totals"] = dict(
            zip(("values", "frequencies"), fitted["_row_totals"], strict=True)
        )
    found = {}
    for name in estimator._saved_attributes:
        whole, _, part = name.partition(".")
        value = fitted.get(whole)
        if part and value is not None:
            value = (value if isinstance(value, dict) else vars(value)).get(part)
        if value is not None:
            found[name] = value
    return found


def _restored_attributes(estimator, tensors, n_features):
    """Attributes from tensors of the right layout, parts put together."""
    state = {}
    for name, attribute in estimator._saved_attributes.items():
        if name not in tensors:
            continue
        try:
            value = attribute.restore(tensors[name])
        except ValueError as error:
            raise ValueError(f"{name} {error}") from error
        if name in ("feature_names_in_", "item_ids_") and len(value) != n_features:
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


# Layout: names, types and shapes of the tensors


def _check_layout(tensors, estimator, planned):
    """Raise unless the tensors are those of an estimator with the planned module."""
    attributes = estimator._saved_attributes
    groups = {attributes[name].group for name in tensors if name in attributes}
    required = [
        name
        for name, attribute in attributes.items()
        if attribute.needed(planned) and attribute.group in {None, *groups}
    ]
    expected = layout_of(planned.state_dict(), WEIGHTS)
    with_moments = {name.rpartition(".")[0] for name in under(MOMENTS, tensors)}
    moments = moments_layout(with_moments, under(WEIGHTS, tensors))
    expected |= {MOMENTS + name: layout for name, layout in moments.items()}
    n_features = tensors["n_features_in_"].item()
    widths = {"features": n_features, "components": planned.n_components}
    for name in sorted(required):
        dtype, shape = attributes[name].dtype, attributes[name].shape
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
    check_layout(packaged, expected)


def _is_own(name):
    """Whether a part of a module belongs to a network of the user's own."""
    return name.startswith(tuple(f"{factory}.module." for factory in FACTORIES))
