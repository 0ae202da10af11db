"""A BLAS that takes other kernels for memory that is not aligned, imitated.

Some processors' libraries of linear algebra round differently where a matrix does not
begin at a multiple of 64 bytes: MKL on AMD, for one. With ``SKVAE_TEST_BLAS=alignment``
the tests run under this imitation (see `tests/conftest.py`), so that a test which
promises equal bits where no construction gives them fails on every machine.
"""

import threading

import torch
from torch.utils._python_dispatch import TorchDispatchMode

ALIGNMENT = 64  # bytes
aten = torch.ops.aten
PRODUCTS = {  # position of the two factors among the arguments
    aten.mm.default: 0,
    aten.mm.out: 0,
    aten.addmm.default: 1,
    aten.addmm.out: 1,
    aten.bmm.default: 0,
    aten.baddbmm.default: 1,
}
OF_ONE_MATRIX = {aten.linalg_cholesky_ex.default, aten.cholesky_solve.default}


class KernelsByAlignment(TorchDispatchMode):
    """Add rounding errors to the results for matrices that are not aligned."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run an operation, and round a product or a solution again."""
        kwargs = kwargs or {}
        if func in OF_ONE_MATRIX and args[0].ndim == 3:
            matrix = args[0]
            args = (matrix * _factors(matrix), *args[1:])
        result = func(*args, **kwargs)
        if func in PRODUCTS:
            first, second = args[PRODUCTS[func] : PRODUCTS[func] + 2]
            if first.layout == second.layout == torch.strided:
                unaligned = torch.maximum(_unaligned(first), _unaligned(second))
                scale = 2 * torch.finfo(result.dtype).eps
                sizes = first.abs() @ second.abs()  # of the terms of the sums
                result.add_(scale * unaligned.to(result.dtype) * sizes)
        return result


def take_kernels_by_alignment():
    """Imitate such a library in this thread, and in those that are started later."""
    run = threading.Thread.run

    def run_imitating(thread):
        with KernelsByAlignment():
            run(thread)

    threading.Thread.run = run_imitating
    KernelsByAlignment().__enter__()


def _unaligned(tensor):
    """1 for each matrix of a stack that is not aligned, else 0; one for a matrix."""
    if tensor.ndim == 2:
        return torch.tensor(float(tensor.data_ptr() % ALIGNMENT != 0))
    step = tensor.stride(0) * tensor.element_size()
    places = tensor.data_ptr() + step * torch.arange(tensor.shape[0])
    return (places % ALIGNMENT != 0).float()[:, None, None]


def _factors(tensor):
    return 1 + 2 * torch.finfo(tensor.dtype).eps * _unaligned(tensor).to(tensor.dtype)
