"""The device to compute on."""

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
    except (RuntimeError, AssertionError, NotImplementedError) as error:
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


def out_of_memory(what_to_do):
    """Make the error to raise if a device runs out of memory."""
    return torch.cuda.OutOfMemoryError(
        f"The device ran out of memory {what_to_do}. Other processes, or other models "
        "of this process, may use some of it."
    )
