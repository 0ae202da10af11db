"""Networks that are made by a factory of the user."""

import threading
from contextlib import contextmanager

import torch
from torch import nn

# torch's own modules draw from its default generators, which all threads share.
_DEFAULT_GENERATORS = threading.Lock()


@contextmanager
def default_generators_seeded(seed, device):
    """Seed torch's default generators in a block, and restore them afterwards.

    Parameters
    ----------
    seed : int
        Seed of the block.
    device : torch.device
        Device on which the block draws, in addition to the CPU.
    """
    on_gpu = device.type == "cuda"
    forked = torch.random.fork_rng(devices=[device] if on_gpu else [])
    with _DEFAULT_GENERATORS, forked:
        torch.default_generator.manual_seed(seed)
        if on_gpu:  # pragma: no cover - CUDA
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


class CustomNetwork(nn.Module):
    """A module made by a factory, with seeded randomness and a checked output.

    Initial weights, and noise such as that of `torch.nn.Dropout`, are drawn with a seed
    that comes from an explicit generator. The caller's generators are not changed.

    Parameters
    ----------
    factory : callable
        ``factory(n_in, n_out)`` returns a `torch.nn.Module` that maps dense rows of
        shape (n_rows, n_in) to (n_rows, n_out).
    n_in, n_out : int
        Widths of input and output.
    name : str
        Name of the factory in error messages.
    generator : torch.Generator
        Draws the seed of the initial weights.
    """

    def __init__(self, factory, n_in, n_out, *, name, generator):
        super().__init__()
        with default_generators_seeded(_draw_seed(generator), torch.device("cpu")):
            module = factory(n_in, n_out)
        if not isinstance(module, nn.Module):
            raise TypeError(
                f"{name}({n_in}, {n_out}) returned {type(module).__name__}; the "
                "factory must return a torch.nn.Module."
            )
        if torch.get_default_dtype() != torch.float32:
            module = module.float()  # rows and all other weights are of float32
        self.module = module
        self.n_out = n_out
        self.name = name

    def forward(self, x, generator=None):
        """Map (n_rows, n_in) to (n_rows, n_out); `generator` seeds its noise."""
        if generator is None:
            outputs = self.module(x)
        else:
            with default_generators_seeded(_draw_seed(generator), x.device):
                outputs = self.module(x)
        if outputs.shape != (x.shape[0], self.n_out):
            raise ValueError(
                f"The module of the factory {self.name} returned an output of shape "
                f"{tuple(outputs.shape)} for {x.shape[0]} rows; it must be "
                f"{(x.shape[0], self.n_out)}, the n_out that the factory was given."
            )
        return outputs


def _draw_seed(generator):
    seed = torch.empty((), dtype=torch.int64, device=generator.device)
    return int(seed.random_(2**31, generator=generator))
