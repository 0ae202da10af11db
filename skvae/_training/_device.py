"""Which device to compute on."""

import torch


def resolve_device(device):
    """Turn the parameter `device` into a `torch.device` that exists on this machine.

    Parameters
    ----------
    device : str or torch.device
        "auto" is CUDA when there is a CUDA device, else the CPU.

    Returns
    -------
    device : torch.device

    Raises
    ------
    ValueError
        If the name is not torch's, or the device is not on this machine.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved).cpu()  # "meta" has nothing to give back
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f"device={device!r} cannot be used on this machine "
            f'({str(error).splitlines()[0]}); pass "auto", "cpu" or a device that '
            "torch finds here."
        ) from error
    return resolved
