"""Inference with a torch module by batches of rows, and the module in a pickle."""

import warnings
from itertools import chain

import torch
from sklearn.exceptions import InconsistentVersionWarning
from torch.nn import functional as F

from skvae._training import RowBatches, copy_to_cpu, out_of_memory, resolve_device
from skvae._version import __version__
from skvae.nn import SparseRows

# Numbers in one tensor of inference.
INFERENCE_BATCH_SIZE = 2**22
# Kernels for whole vectors treat the tail rows of a batch differently: every batch of
# inference is filled up with empty rows, so that a row's place changes no bit.
ROW_MULTIPLE = 16


class ModuleInference:
    """Mixin for an estimator that holds a torch module in `_module` once it is fitted.

    It has a parameter `device` too, and may hold the state of training in `_state`.
    """

    def _gather_rows(self, X, function, width=None):
        """Apply `function` to all rows by batches and join the results in an array."""
        parts = [part.cpu() for _, _, part in self._map_rows(X, function, width)]
        return torch.cat(parts).numpy()

    @torch.no_grad()
    def _map_rows(self, X, function, width=None):
        """Yield (slice, batch, function(batch)) over all rows, without noise.

        `width` is that of the widest tensor which the function makes of a row. Where
        the memory of a device does not suffice, batches are halved.
        """
        batches = RowBatches(X, self._module_device)
        size = _inference_rows(width or self._widest_layer)
        start = 0
        while start < len(batches):
            rows = slice(start, min(start + size, len(batches)))
            try:
                batch = batches.take(rows)
                result = function(_pad_rows(batch))
            except torch.cuda.OutOfMemoryError as error:
                if size == ROW_MULTIPLE:
                    raise out_of_memory(
                        f"with {size} rows at once; use device='cpu', or a device with "
                        "more free memory"
                    ) from error
                size = max(size // 2 // ROW_MULTIPLE, 1) * ROW_MULTIPLE
                continue
            yield rows, batch, result[: rows.stop - rows.start]
            start = rows.stop

    @property
    def _widest_layer(self):
        """Width of the widest tensor of inference, which bounds the rows of a batch."""
        return self.n_features_in_

    @property
    def _module_device(self):
        return next(chain(self._module.parameters(), self._module.buffers())).device

    def __sklearn_is_fitted__(self):
        """A module stands: after fit, partial_fit, or an interrupted fit."""
        return hasattr(self, "_module")

    def __getstate__(self):
        """Leave the device behind: a model trained on a GPU loads without one."""
        state = {**super().__getstate__(), "_skvae_version": __version__}
        if "_module" in state:
            state["_module"] = copy_to_cpu(state["_module"])
            state["_state"] = copy_to_cpu(state["_state"])
        return state

    def __setstate__(self, state):
        """Take up the device again, where this machine has it."""
        state = dict(state)
        version = state.pop("_skvae_version", "unknown")
        if version != __version__:
            warnings.warn(
                InconsistentVersionWarning(
                    estimator_name=f"skvae.{type(self).__name__}",
                    current_sklearn_version=__version__,
                    original_sklearn_version=version,
                ),
                stacklevel=2,
            )
        super().__setstate__(state)
        if "_module" in state:
            try:
                device = resolve_device(self.device)
            except ValueError:
                device = torch.device("cpu")
            self._module.to(device)


def _inference_rows(width):
    """Rows in a batch of inference: a multiple of `ROW_MULTIPLE`, at least one."""
    rows = INFERENCE_BATCH_SIZE // width // ROW_MULTIPLE
    return max(rows, 1) * ROW_MULTIPLE


def _pad_rows(batch):
    """Fill a batch up to a multiple of `ROW_MULTIPLE` with rows of zeros."""
    if isinstance(batch, SparseRows):
        return batch.pad_rows(-(-batch.n_rows // ROW_MULTIPLE) * ROW_MULTIPLE)
    return F.pad(batch, (0, 0, 0, -batch.shape[0] % ROW_MULTIPLE))
