"""Save fitted estimators to files whose loading runs no code, and load them."""

import os
from collections.abc import Iterable
from contextlib import contextmanager
from typing import Any

from sklearn.utils.validation import check_is_fitted

from skvae._base._module import ModuleEstimator
from skvae._collaborative_vae import CollaborativeVAE
from skvae._linear_vae import LinearVAERecommender
from skvae._mult_vae import MultVAERecommender
from skvae._saving._parameters import (
    LOCAL,
    OMITTABLE,
    check_omit,
    parameters_from,
    plain_parameters,
)
from skvae._saving._state import state_from, tensors_of
from skvae._training import default_modes, resolve_device
from skvae._vae_transformer import VAETransformer
from skvae._version import __version__
from skvae.datasets._encoding import check_known_ids
from skvae.utils._tensor_file import read_tensor_file, write_tensor_file
from skvae.utils._typing import ArrayLike

ESTIMATORS = {
    estimator.__name__: estimator
    for estimator in (
        CollaborativeVAE,
        LinearVAERecommender,
        MultVAERecommender,
        VAETransformer,
    )
}
DOCUMENT = {
    "estimator": str,
    "skvae_version": str,
    "parameters": dict,
    "omitted": list,
    "output": dict,
}
CONTAINERS = ("default", "pandas", "polars")  # of set_output


@default_modes()
def save_model(
    estimator: ModuleEstimator,
    path: str | os.PathLike[str],
    *,
    item_ids: ArrayLike | None = None,
    omit: Iterable[str] = (),
) -> None:
    """Save a fitted estimator to one file, whose loading runs no code.

    The file holds the parameters as JSON and everything that was learned as tensors,
    including the state of training: after :func:`load_model` the estimator returns the
    same results, and `warm_start` and `partial_fit` continue the training.

    A crash while saving leaves the old file at `path`, if there was one: the new file
    replaces it only when it is complete and on the disk. A temporary file that is left
    beside it is removed by the next call for the same path.

    Parameters
    ----------
    estimator : CollaborativeVAE, LinearVAERecommender, MultVAERecommender or \
            VAETransformer
        Fitted.
    path : str or path-like
        Path of the file. The usual suffix is ``.safetensors``, the format of the file.
        If the file exists, the new one keeps its mode. If it is a symbolic link, the
        link is kept and the file that it points to is replaced.
    item_ids : array-like of shape (`n_features_in_`,), default=None
        Ids of the columns of `X`, as text or as numbers, such as the ``item_ids`` of
        :func:`skvae.datasets.load_interactions`. The loaded estimator has them as
        ``item_ids_``. None takes the ids that the estimator was loaded with, if any.
    omit : iterable of str, default=()
        Parameters to leave out, which must then be passed to :func:`load_model`:
        "callbacks", "decoder", "device", "encoder", "lr_schedule" or "random_state".
        Needed for those that are objects and not numbers or text.

    Raises
    ------
    OSError
        If the file cannot be written, or if `path` is a folder, a device, a pipe or a
        socket.
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    TypeError
        If it is of another class, including classes derived from these.
    ValueError
        If parameters hold objects and are not in `omit`, are out of range, or were
        changed after fit such that they describe another network; if `item_ids` are
        not one for each column.

    See Also
    --------
    load_model : Load a saved estimator.
    joblib.dump : For pipelines, searches and your own classes. Such a file can run any
        code when it is loaded.

    Notes
    -----
    Three things are not kept: metadata requests (`set_fit_request` and similar),
    attributes that you set yourself, and `checkpoint` and `memory`, which are paths on
    this machine and None after loading; a fit unpickles what it finds in the cache
    `memory`, so a file must not name it. NumPy numbers among the parameters become
    Python numbers.

    The moments of the optimiser make the file three times as large as the weights of
    the network, except for :class:`CollaborativeVAE`, which has none.

    The file has the format of https://github.com/huggingface/safetensors, so that its
    tensors can be read without skvae. A SHA-256 of its content reveals damage; it does
    not prove who wrote the file.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skvae import MultVAERecommender, load_model, save_model
    >>> from skvae.datasets import load_interactions
    >>> from skvae.model_selection import look_up_ids
    >>> data = load_interactions(
    ...     {"who": ["eva", "eva", "kim"], "what": ["tea", "jam", "jam"]},
    ...     user="who", item="what",
    ... )
    >>> model = MultVAERecommender(2, random_state=0).fit(data.matrix)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "model.safetensors"
    ...     save_model(model, path, item_ids=data.item_ids)
    ...     served = load_model(path)
    >>> kim = data.matrix[[1]]
    >>> look_up_ids(served.recommend(kim, n_items=1), served.item_ids_).tolist()
    [['tea']]
    """
    name = type(estimator).__name__
    if type(estimator) not in ESTIMATORS.values():
        raise TypeError(
            f"save_model was given {type(estimator).__module__}.{name}; it takes "
            f"{', '.join(ESTIMATORS)}, but not classes derived from them. Save others "
            "with joblib.dump, and load such files only from sources that you trust."
        )
    check_is_fitted(estimator)
    omit = check_omit(estimator, omit)
    document = {
        "estimator": name,
        "skvae_version": __version__,
        "parameters": plain_parameters(estimator, omit),
        "omitted": omit,
        "output": getattr(estimator, "_sklearn_output_config", {}),
    }
    estimator._validate_params()
    estimator._check_settings()
    if item_ids is None:
        item_ids = getattr(estimator, "item_ids_", None)
    if item_ids is not None:
        item_ids = _check_item_ids(item_ids, estimator.n_features_in_)
    try:
        _check_document(document)
        tensors = tensors_of(estimator, item_ids)
    except ValueError as error:
        raise ValueError(
            f"This {name} cannot be saved: {error}. Restore what was changed after "
            "fit, or use joblib.dump."
        ) from error
    write_tensor_file(os.fsdecode(path), document, tensors)


@default_modes()
def load_model(path: str | os.PathLike[str], **parameters: Any) -> Any:
    """Load an estimator that was saved by `save_model`.

    The file cannot run code, and nothing is unpickled: it holds parameters and numbers
    of one of the estimators of this package. All are checked before memory is
    allocated for a network. Another process may replace the file in the meantime.

    Parameters
    ----------
    path : str or path-like
        The file.
    **parameters
        The parameters that were in `omit` when the model was saved; all of them must
        be passed. In addition `device`, for any model: the device to compute on. If
        this machine does not have the device in the file, the CPU is used.

    Returns
    -------
    estimator : CollaborativeVAE, LinearVAERecommender, MultVAERecommender or \
            VAETransformer
        The estimator as it was saved. If ids of the items were saved with it, it has
        them as ``item_ids_``, until it is fitted afresh.

    Raises
    ------
    OSError
        If the file cannot be opened, FileNotFoundError if there is none; or if it is a
        folder, a device, a pipe or a socket.
    ValueError
        If the file was not written by `save_model`, is damaged or inconsistent, or is
        truncated while it is read; if `parameters` lacks one that was left out, or has
        another one.

    Warns
    -----
    sklearn.exceptions.InconsistentVersionWarning
        If the file was written by another version of skvae.

    See Also
    --------
    save_model : Save an estimator.

    Notes
    -----
    `recommend` returns -1 if there are no more items for a user. As an index, -1 would
    select the last id, so translate by ``look_up_ids(items, model.item_ids_)``
    (:func:`skvae.model_selection.look_up_ids`).

    Your own factories (`encoder`, `decoder`) are called as in fit, with the widths in
    the file, and the networks that they return get the weights in the file.

    Examples
    --------
    >>> import os, tempfile
    >>> from sklearn.datasets import load_digits
    >>> from skvae import VAETransformer, load_model, save_model
    >>> X = load_digits().data / 16
    >>> vae = VAETransformer(2, max_iter=2, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(vae, os.path.join(folder, "digits.safetensors"))
    ...     loaded = load_model(os.path.join(folder, "digits.safetensors"))
    >>> bool((loaded.transform(X) == vae.transform(X)).all())
    True
    """
    path = os.fsdecode(path)
    with _refused(path):
        document, tensors = read_tensor_file(path)
        _check_document(document)
    omitted = set(document["omitted"])
    if missing := sorted(omitted - parameters.keys()):
        raise ValueError(
            f"{path} was saved without {', '.join(missing)}; pass it to load_model, as "
            f"in load_model(path, {missing[0]}=...)."
        )
    if surplus := sorted(parameters.keys() - omitted - {"device"}):
        raise ValueError(
            f"load_model was given {', '.join(surplus)}, but for {path} it takes only "
            f"{', '.join(sorted(omitted | {'device'}))}; use set_params after "
            "the model is loaded."
        )
    if "device" in parameters:
        resolve_device(parameters["device"])
    with _refused(path):
        saved = parameters_from(document["parameters"])
        estimator = ESTIMATORS[document["estimator"]](**{**saved, **parameters})
        estimator._validate_params()
        estimator._check_settings()
        state = state_from(estimator, tensors)
    if document["output"]:
        estimator.set_output(**document["output"])
    estimator.__setstate__({**state, "_skvae_version": document["skvae_version"]})
    return estimator


@contextmanager
def _refused(path):
    """Turn the errors that bad content of a file causes into a ValueError."""
    try:
        yield
    except (LookupError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).rstrip(".")
        raise ValueError(f"{path} cannot be loaded: {reason}.") from error


def _check_document(document):
    """Check the document of a file, without the values of the parameters."""
    if not isinstance(document, dict) or document.keys() != DOCUMENT.keys():
        raise ValueError(f"its document does not have exactly {sorted(DOCUMENT)}")
    for name, kind in DOCUMENT.items():
        if not isinstance(document[name], kind):
            raise ValueError(f"its {name} is not a {kind.__name__}")
    if document["estimator"] not in ESTIMATORS:
        raise ValueError(
            f"it holds a {document['estimator']!r}, and load_model loads only "
            f"{', '.join(ESTIMATORS)}"
        )
    known = ESTIMATORS[document["estimator"]]._get_param_names()
    omitted = document["omitted"]
    for name in LOCAL:
        if document["parameters"].get(name) is not None:
            raise ValueError(
                f"it holds the parameter {name!r}, which is a path on one machine"
            )
    if unknown := [name for name in document["parameters"] if name not in known]:
        raise ValueError(f"{document['estimator']} has no parameter {unknown[0]!r}")
    for name in omitted:
        if name not in known or name not in OMITTABLE or name in document["parameters"]:
            raise ValueError(f"it cannot leave out the parameter {name!r}")
    if document["output"] not in ({}, *({"transform": name} for name in CONTAINERS)):
        raise ValueError(f"its output is set to {document['output']!r}")


def _check_item_ids(item_ids, n_features):
    ids = check_known_ids(item_ids, "item")
    if len(ids) != n_features:
        raise ValueError(
            f"item_ids has {len(ids)} entries but the model was fitted with "
            f"{n_features} columns (items); pass one for each."
        )
    if ids.dtype.kind == "O":
        raise ValueError(
            f"item_ids holds a text of {max(map(len, ids)):,} characters, so the "
            f"loaded array of {len(ids):,} ids would be too large; shorten that id."
        )
    if ids.dtype.kind not in "Uiuf":
        raise ValueError(
            f"item_ids is of type {ids.dtype}; pass text or numbers, for instance with "
            ".astype(str)."
        )
    return ids
