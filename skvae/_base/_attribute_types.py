"""Types of fitted attributes, with which each class lists those that are saved."""

import json
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from skvae.utils._tensor_file import parse_json


def always(module):
    """Whether an attribute is always there."""
    return True


class SavedAttribute(NamedTuple):
    """How a fitted attribute is written to a tensor and restored from it.

    Parameters
    ----------
    dtype : torch.dtype
        Type of the tensor.
    shape : tuple of (int, str or None)
        A name stands for the same width wherever it occurs; "features" and
        "components" are those of the estimator. None is any width.
    restore : callable
        Makes the attribute from the tensor.
    needed : callable, default=always
        Takes the module of the estimator and returns whether it has the attribute.
    group : str or None, default=None
        Attributes with the name of a group are optional: all of a group are there, or
        none.
    """

    dtype: torch.dtype
    shape: tuple
    restore: Callable
    needed: Callable = always
    group: str | None = None

    def to_tensor(self, value):
        """Make the tensor of a value."""
        if self.restore is _restore_ids:
            text = json.dumps(np.asarray(value).tolist(), allow_nan=False)
            return torch.frombuffer(bytearray(text.encode()), dtype=self.dtype)
        dtype = torch.empty(0, dtype=self.dtype).numpy().dtype
        return torch.from_numpy(np.require(value, dtype, ("C", "W")))


def count(**kwargs):
    """Describe a number that is not negative."""
    return SavedAttribute(torch.int64, (), _restore_count, **kwargs)


def number(**kwargs):
    """Describe a float."""
    return SavedAttribute(torch.float64, (), torch.Tensor.item, **kwargs)


def curve(width, **kwargs):
    """Describe a list of floats."""
    return SavedAttribute(torch.float64, (width,), torch.Tensor.tolist, **kwargs)


def array(dtype, *shape, **kwargs):
    """Describe an array."""
    return SavedAttribute(dtype, shape, torch.Tensor.numpy, **kwargs)


def ids(**kwargs):
    """Describe text or numbers, one for each feature; saved as JSON."""
    return SavedAttribute(torch.uint8, (None,), _restore_ids, **kwargs)


def _restore_count(tensor):
    value = tensor.item()
    if value < 0:
        raise ValueError(f"is {value}")
    return value


def _restore_ids(tensor):
    values = parse_json(tensor.numpy().tobytes())
    kinds = {type(value) for value in values} if isinstance(values, list) else set()
    found = None
    if len(kinds) == 1 and kinds <= {str, int, float}:
        # By itself, numpy would make floats of integers on both sides of 2**63.
        past_int64 = (
            kinds == {int} and min(values) >= 0 and 2**63 <= max(values) < 2**64
        )
        found = np.array(values, dtype=np.uint64 if past_int64 else None)
    if found is None or found.dtype.kind not in "Uiuf":
        raise ValueError("holds ids or names that are neither all text nor all numbers")
    return found
