"""Reuse the memory of large CPU tensors in the next training steps."""

import math
import weakref
from contextlib import contextmanager
from contextvars import ContextVar

import torch

# The memory of smaller tensors is reused by malloc itself.
MIN_POOLED_BYTES = 2**20

_pool = ContextVar("pool", default=None)


class _Pool:
    """Arrays that return to the pool when the tensor that uses them is freed."""

    def __init__(self):
        self._unused = []

    def empty(self, shape):
        """Return an uninitialised float32 tensor."""
        n_values = math.prod(shape)
        sizes = [memory.size for memory in self._unused]
        fitting = [i for i, size in enumerate(sizes) if size >= n_values]
        if fitting:
            memory = self._unused.pop(min(fitting, key=sizes.__getitem__))
        else:
            if sizes:  # replace one, so that tensors of varying sizes do not add up
                self._unused.pop(max(range(len(sizes)), key=sizes.__getitem__))
            # torch aligns its memory. A BLAS may choose its kernel by the alignment.
            memory = torch.empty(n_values, dtype=torch.float32).numpy()
        view = memory[:n_values]  # the tensor keeps a reference to this object
        weakref.finalize(view, self._unused.append, memory)
        return torch.from_numpy(view).view(shape)


@contextmanager
def reused_buffers():
    """Let `empty` reuse the memory of its freed tensors within this block.

    malloc returns large arrays to the system, and allocating them again causes a page
    fault for every 4 KiB.
    """
    token = _pool.set(_Pool())
    try:
        yield
    finally:
        _pool.reset(token)


def empty(shape, like):
    """Make an uninitialised tensor of a shape, with the device and dtype of `like`."""
    pool = _pool.get()
    on_cpu = like.device.type == "cpu" and like.dtype == torch.float32
    if pool is None or not on_cpu or 4 * math.prod(shape) < MIN_POOLED_BYTES:
        return like.new_empty(shape)
    return pool.empty(shape)
