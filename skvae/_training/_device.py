"""The device to compute on."""

from contextlib import contextmanager
from itertools import chain

import torch


def check_device(device):
    """Raise a ValueError unless torch knows such a device, here or elsewhere."""
    if device == "auto":
        return
    try:
        torch.device(device)
    except RuntimeError as error:
        raise _unusable(device, error) from error


def resolve_device(device):
    """Turn the parameter `device` into a `torch.device` that exists on this machine.

    Parameters
    ----------
    device : str or torch.device
        "auto" is CUDA if there is a CUDA device, else the CPU.

    Returns
    -------
    device : torch.device

    Raises
    ------
    ValueError
        If torch does not know the name, or this machine does not have the device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved).cpu()  # meta tensors have no numbers
    except (RuntimeError, AssertionError, ImportError) as error:
        raise _unusable(device, error) from error
    return resolved


def _unusable(device, error):
    return ValueError(
        f"device={device!r} cannot be used on this machine "
        f'({str(error).splitlines()[0]}); pass "auto", "cpu" or a device that torch '
        "finds here."
    )


def device_of(module):
    """Device of a module, which holds at least one parameter or buffer."""
    return next(chain(module.parameters(), module.buffers())).device


# What the messages of errors say that are not a MemoryError, but mean that there is not
# enough memory on a CPU, or that a size is beyond the integers of numpy or torch.
NOT_ENOUGH_MEMORY = (
    "DefaultCPUAllocator",
    "Storage size calculation overflowed",
    "Overflow when unpacking",
    "array is too big",
    "Maximum allowed dimension exceeded",
    "too large to convert to C",
)


def lacks_memory(error):
    """Whether an error says that there is not enough memory, on a CPU or a device."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return any(reason in str(error) for reason in NOT_ENOUGH_MEMORY)


@contextmanager
def memory_advice(remedy):
    """Say what to do if the memory of the CPU does not suffice for the block.

    Parameters
    ----------
    remedy : str
        What to do, as the last part of a sentence.

    Raises
    ------
    MemoryError
        Instead of the errors of Python, numpy and torch.
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise  # these have advice of their own
    except (MemoryError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        if not lacks_memory(error):
            raise
        reason = (str(error).splitlines() or ["allocation failed"])[0].rstrip(".")
        raise MemoryError(
            f"There is not enough memory ({reason}): {remedy}."
        ) from error


def out_of_memory(what_to_do):
    """Make the error to raise if a device runs out of memory."""
    return torch.cuda.OutOfMemoryError(
        f"The device ran out of memory {what_to_do}. Other processes, or other models "
        "of this process, may use some of it."
    )
