"""Modes of torch that the caller has set, kept away from what is computed."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from skvae._training._device import memory_advice


@contextmanager
def default_modes() -> Iterator[None]:
    """Compute with the modes that torch has by default; use it as a decorator too.

    They are whether gradients are computed, inference mode, autocast and the default
    device. All of them belong to the thread. The default dtype belongs to the process,
    which other threads compute in: it is left as it is, and every tensor that is made
    names its dtype.
    """
    with ExitStack() as modes:
        modes.enter_context(torch.inference_mode(False))  # enables gradients too
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                modes.enter_context(torch.autocast(device, enabled=False))
        # A device that is set slows every call of torch.
        if torch.empty(0).device.type != "cpu":
            modes.enter_context(torch.device("cpu"))
        yield


@contextmanager
def computation(remedy: str = "pass fewer rows at a time") -> Iterator[None]:
    """Compute with the default modes, and say `remedy` if memory does not suffice.

    Public methods use it as a decorator.
    """
    with default_modes(), memory_advice(remedy):
        yield
