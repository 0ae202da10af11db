"""Precision of the matrix products of training."""

from contextlib import contextmanager

import torch

PRECISIONS = ("float32", "tf32", "bfloat16")


@contextmanager
def products_in(precision, device):
    """Compute matrix products at a precision; sums, losses and weights stay float32.

    Parameters
    ----------
    precision : {"float32", "tf32", "bfloat16"}
        "tf32" rounds factors to 10 bits of mantissa on CUDA devices that support it,
        and is float32 elsewhere. It is a setting of the whole process, which is
        restored afterwards. "bfloat16" rounds factors and results to 7 bits, by
        torch's autocast.
    device : torch.device
        Device on which the products are computed.
    """
    if precision == "bfloat16":
        with torch.autocast(device.type, dtype=torch.bfloat16):
            yield
        # Autocast keeps the rounded weights until the outermost block ends, and the
        # caller may have entered one. The next step has other weights.
        torch.clear_autocast_cache()
    elif precision == "tf32" and device.type == "cuda":
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)
    else:
        yield
