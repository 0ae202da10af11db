"""Checkpoints: the file from which an interrupted fit resumes (`checkpoint`)."""

import hashlib
import json
import os
import time
import warnings
from contextlib import contextmanager, suppress
from numbers import Integral

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.exceptions import InconsistentVersionWarning
from skorch.callbacks import Callback, EarlyStopping, LRScheduler, ParamMapper

from skvae._training._blocks import csr_of
from skvae._training._net import DivergedError
from skvae._training._resume import Resume, best_epoch, state_of
from skvae._version import __version__
from skvae.utils._tensor_file import (
    check_layout,
    read_tensor_file,
    under,
    write_tensor_file,
)

# Parameters that do not change what a fit learns, or that a file cannot describe.
NOT_COMPARED = {
    "callbacks",
    "checkpoint",
    "decoder",
    "device",
    "distributed",
    "encoder",
    "random_state",
    "verbose",
    "warm_start",
}
# skorch callbacks whose effect on training depends on earlier epochs.
STATEFUL = (EarlyStopping, LRScheduler, ParamMapper)
# After a write, this many times its duration passes before the next one.
WAIT = 10
# Types of the entries of a document, of its description of a fit, and of each data set.
DOCUMENT = {
    "checkpoint": int,
    "skvae_version": str,
    "fit": dict,
    "seed": int,
    "stage": str,
}
FIT = {
    "estimator": str,
    "parameters": dict,
    "random_state": (int, type(None)),
    "data": dict,
}
DATA = {"shape": list, "stored": int, "sha256": str}
OUTCOMES = "outcomes."  # prefix of the names of tensors with outcomes of stages
# Outcomes of each stage that another one follows: curves, scores first, and numbers.
CURVES = {"search": ("score", "beta"), "training": ("validation_scores_",)}
NUMBERS = {"search": ("best",), "training": ("best_iter_", "best_validation_score_")}


def check_checkpoint(estimator):
    """Raise a ValueError if a parameter cannot be used together with a checkpoint."""
    if estimator.checkpoint is None:
        return
    path = os.fsdecode(estimator.checkpoint)
    if not path or "\0" in path:
        raise ValueError(
            f"checkpoint={path!r} is not a path; pass the path of a file or of a "
            "folder, or None."
        )
    if estimator.warm_start:
        raise ValueError(
            "warm_start continues from the fitted model, but checkpoint resumes an "
            "interrupted fit; pass warm_start=False or checkpoint=None."
        )
    if isinstance(estimator.lr_schedule, Callback):
        raise ValueError(
            f"lr_schedule={estimator.lr_schedule!r} has a state that a checkpoint does "
            'not hold; pass "cosine", "plateau" or None, or checkpoint=None.'
        )
    for one in estimator.callbacks or ():
        callback = one[1] if isinstance(one, tuple) else one
        if isinstance(callback, STATEFUL):
            raise ValueError(
                f"callbacks holds {type(callback).__name__}, which has a state that a "
                "checkpoint does not hold; leave it out (early_stopping and "
                "lr_schedule are resumed), or pass checkpoint=None."
            )


class Checkpoint:
    """Context manager that keeps the state of a fit in a file until the fit is done.

    A fit has up to three stages, which are separate trainings: "search", "training",
    "refit". The file holds the state of the current stage and the outcomes of those
    before it.

    Parameters
    ----------
    estimator : BaseVAE
        The estimator that is fitted, its parameters checked. If its `checkpoint` is
        None, nothing is read or written.
    seed : int
        Seed of the fit if it starts afresh.
    ranks : OneProcess
        The processes of the fit, the first of which reads and writes the file.
    **data : CSR matrix, RowsOnDisk, ndarray or None
        The data of the fit, checked, by the names of the arguments of `fit`.

    Attributes
    ----------
    seed : int
        Seed of the fit: that of the file if there is one.

    Raises
    ------
    ValueError
        If the file is of another fit or not a checkpoint, or its folder cannot be
        written to.
    OSError
        If it cannot be read.
    """

    def __init__(self, estimator, seed, ranks, **data):
        self.seed = seed
        self._path, self._stage, self._state, self._outcomes = None, None, None, {}
        self._kept = estimator.checkpoint is not None
        if not self._kept:
            return
        self._fit = describe_fit(estimator, seed, data)
        self._fit["data"]["X"] = _join(ranks.gather(self._fit["data"]["X"]))
        self._stages = _stages(estimator, data)
        self._max_iter, self._tol = estimator._plain("max_iter"), estimator.tol
        self._next_write = -np.inf
        found = ranks.from_first(lambda: self._open(estimator.checkpoint))
        self.seed, self._stage, self._state, self._outcomes = found

    def _open(self, path):
        """Take what is in the file, if there is one: what all processes need of it."""
        self._path = _file_of(path, self._fit)
        if os.path.exists(self._path):
            self._read()
        return self.seed, self._stage, self._state, self._outcomes

    def outcome(self, stage):
        """Return the outcome of a stage as passed to `finish`, or None if not done."""
        return self._outcomes.get(stage)

    def finish(self, stage, **outcome):
        """Record that a stage is done, and its outcome: numbers or lists of them."""
        self._outcomes[stage] = outcome

    def resume(self, stage):
        """Return the callback with which to run a stage; None without a checkpoint."""
        if not self._kept:
            return None
        state = self._state if stage == self._stage else None
        self._state = None
        n_epochs = self._max_iter
        if stage == "refit":
            n_epochs = int(self._outcomes["training"]["best_iter_"])
        return Resume(self._path, state, n_epochs, lambda net: self._write(stage, net))

    def __enter__(self):
        """Begin the training."""

    def __exit__(self, kind, error, traceback):
        """Remove the file if the fit is done, or would diverge again."""
        ended = kind is None or issubclass(kind, DivergedError)
        if ended and self._path is not None:
            with suppress(FileNotFoundError):
                os.remove(self._path)

    def _write(self, stage, net):
        started = time.monotonic()
        if self._path is None or started < self._next_write:
            return
        document = {
            "checkpoint": 1,
            "skvae_version": __version__,
            "fit": self._fit,
            "seed": self.seed,
            "stage": stage,
        }
        tensors = state_of(net)
        for done, outcome in self._outcomes.items():
            for name, values in outcome.items():
                values = torch.tensor(values, dtype=torch.float64)
                tensors[f"{OUTCOMES}{done}.{name}"] = values
        try:
            write_tensor_file(self._path, document, tensors)
        except OSError as error:
            warnings.warn(
                f"The checkpoint {self._path} could not be written ({error}); the fit "
                "continues, and tries again after later epochs.",
                RuntimeWarning,
                stacklevel=2,
            )
        ended = time.monotonic()
        self._next_write = ended + WAIT * (ended - started)

    def _read(self):
        with self._refused("is not a checkpoint"):
            document, tensors = read_tensor_file(self._path)
            if not _has(document, DOCUMENT) or not _describes_fit(document["fit"]):
                raise ValueError("it was not written by a fit with checkpoint")
        if differences := _differences(document["fit"], self._fit):
            raise ValueError(
                f"The checkpoint {self._path} is of another fit that was interrupted: "
                f"{'; '.join(differences)}. To resume that fit, restore what differs; "
                "to discard it, delete the file; to keep both, pass another path, or "
                "a folder, in which every fit has a file of its own."
            )
        if document["skvae_version"] != __version__:
            warnings.warn(
                InconsistentVersionWarning(
                    estimator_name=f"skvae.{self._fit['estimator']}",
                    current_sklearn_version=__version__,
                    original_sklearn_version=document["skvae_version"],
                ),
                stacklevel=2,
            )
        with self._refused("cannot be resumed"):
            self._take(document, tensors)

    def _take(self, document, tensors):
        """Take over what was read; raise a ValueError if this fit cannot have it."""
        seed, stage = document["seed"], document["stage"]
        if document["checkpoint"] != 1:
            raise ValueError(f"it states the format {document['checkpoint']}")
        given = self._fit["random_state"] is not None
        if seed != self.seed if given else not 0 <= seed < np.iinfo(np.int32).max:
            raise ValueError(f"the seed in it is {seed}")
        if stage not in self._stages:
            raise ValueError(f"this fit has no stage {stage!r}")
        outcomes = {n: t for n, t in tensors.items() if n.startswith(OUTCOMES)}
        done = self._stages[: self._stages.index(stage)]
        self._outcomes = _checked_outcomes(outcomes, done, self._max_iter, self._tol)
        self._state = {n: t for n, t in tensors.items() if n not in outcomes}
        self.seed, self._stage = seed, stage

    @contextmanager
    def _refused(self, what):
        """Name the file in the errors that its content causes."""
        try:
            yield
        except (LookupError, ValueError) as error:
            reason = str(error).rstrip(".")
            raise ValueError(
                f"{self._path} {what}: {reason}. Pass another path as checkpoint, or "
                "delete the file if it is not needed."
            ) from error


def _stages(estimator, data):
    """Stages of a fit, in their order."""
    stages = ["training"]
    if getattr(estimator, "beta", None) == "auto" and estimator.variational:
        stages.insert(0, "search")
    if estimator.refit and estimator._needs_validation and data.get("X_val") is None:
        stages.append("refit")  # on all rows, some of which had been held out
    return stages


def _has(value, types):
    """Whether a value is a dict with exactly these keys and types of values."""
    if not isinstance(value, dict) or value.keys() != types.keys():
        return False
    return all(
        isinstance(value[key], kind) and not isinstance(value[key], bool)
        for key, kind in types.items()
    )


def _describes_fit(fit):
    return _has(fit, FIT) and all(_has(one, DATA) for one in fit["data"].values())


def _checked_outcomes(tensors, stages, max_iter, tol):
    """Outcomes of the stages that are done, from their tensors.

    Raises
    ------
    ValueError
        If a stage cannot have ended with such numbers.
    """
    expected = {}
    for stage in stages:
        prefix = f"{OUTCOMES}{stage}."
        length = tensors[prefix + CURVES[stage][0]].numel()
        for name in CURVES[stage]:
            expected[prefix + name] = (torch.float64, (length,))
        for name in NUMBERS[stage]:
            expected[prefix + name] = (torch.float64, ())
    check_layout(tensors, expected)
    outcomes = {}
    for stage in stages:
        found = under(f"{OUTCOMES}{stage}.", tensors)
        found = {name: tensor.tolist() for name, tensor in found.items()}
        scores = found[CURVES[stage][0]]
        best = best_epoch(scores, tol)
        if stage == "search":
            follows = found["beta"][best - 1] == found["best"]
            possible = len(scores) == max_iter and all(
                0 <= b <= 1 for b in found["beta"]
            )
        else:
            numbers = best, scores[best - 1]
            follows = numbers == (found["best_iter_"], found["best_validation_score_"])
            possible = len(scores) <= max_iter
        if not (best and possible and follows and scores[best - 1] < np.inf):
            raise ValueError(f"it holds impossible outcomes of the stage {stage!r}")
        outcomes[stage] = found
    return outcomes


def describe_fit(estimator, seed, data):
    """Describe a fit, to distinguish it from others, with values that JSON can hold."""
    parameters = {
        name: _plain(value)
        for name, value in estimator.get_params(deep=False).items()
        if name not in NOT_COMPARED
    }
    seeded = isinstance(estimator.random_state, Integral)
    return {
        "estimator": type(estimator).__name__,
        "parameters": parameters,
        # Without an int, a fit that is started again draws another seed.
        "random_state": int(estimator.random_state) if seeded else None,
        "data": {n: _data_description(X) for n, X in data.items() if X is not None},
    }


def _plain(value):
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, (bool, int, float, str, type(None))):
        return value
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _data_description(X):
    """Shape, number of stored values, and hash of the content of a matrix."""
    digest, n_stored = hashlib.sha256(), 0
    for part in csr_of(X):
        if sp.issparse(part):
            # The integer type of the indices does not matter.
            indices = [part.indptr.astype(np.int64), part.indices.astype(np.int64)]
            arrays = [*indices, part.data]
        else:
            arrays = [part]
        for array in arrays:
            digest.update(f"{array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
        n_stored += int(arrays[-1].size)
    return {
        "shape": list(X.shape),
        "stored": n_stored,
        "sha256": digest.hexdigest(),
    }


def _join(parts):
    """Describe the rows of all processes, given the description of those of each."""
    if len(parts) == 1:
        return parts[0]
    digests = "".join(part["sha256"] for part in parts)
    return {
        "shape": [sum(part["shape"][0] for part in parts), parts[0]["shape"][1]],
        "stored": sum(part["stored"] for part in parts),
        "sha256": hashlib.sha256(digests.encode()).hexdigest(),
    }


def _differences(there, here):
    """List the differences between two descriptions of fits as texts."""
    said = []
    for name in ("estimator", "random_state"):
        if there[name] != here[name]:
            said.append(f"{name} was {there[name]!r} and is {here[name]!r} now")
    for name in sorted({*there["parameters"], *here["parameters"]}):
        was, now = there["parameters"].get(name), here["parameters"].get(name)
        if json.dumps(was) != json.dumps(now):  # annealing=1 is not annealing=1.0
            said.append(f"{name} was {was!r} and is {now!r} now")
    for name in sorted({*there["data"], *here["data"]}):
        was, now = there["data"].get(name), here["data"].get(name)
        if was == now:
            continue
        if was is None or now is None:
            said.append(f"{name} was {'not ' if was is None else ''}given then")
        elif was["shape"] != now["shape"] or was["stored"] != now["stored"]:
            said.append(
                f"{name} was of shape {tuple(was['shape'])} with {was['stored']} "
                f"values and is of {tuple(now['shape'])} with {now['stored']} now"
            )
        else:
            said.append(f"{name} has other values, or the same in another order")
    return said


def _file_of(path, fit):
    """Return the file of a fit: the path, or in a folder a file named after the fit."""
    path = os.path.realpath(os.fsdecode(path))
    folder = os.path.dirname(path)
    if os.path.isdir(path):
        digest = hashlib.sha256(json.dumps(fit).encode()).hexdigest()
        folder, name = path, f"{fit['estimator']}-{digest[:16]}.safetensors"
        path = os.path.join(folder, name)
    if os.path.lexists(path) and not os.path.isfile(path):
        raise ValueError(
            f"checkpoint={path!r} is not a regular file; pass another path."
        )
    if not (os.path.isdir(folder) and os.access(folder, os.W_OK)):
        raise ValueError(
            f"checkpoint={path!r} cannot be written: {folder} is not a folder, or not "
            "writable; create it, or pass another path."
        )
    return path
