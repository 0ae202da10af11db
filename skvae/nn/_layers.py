"""Linear layers and the multilayer perceptron that encoder and decoder are made of."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

from skvae.nn._sparse_rows import SparseRows

ACTIVATIONS = {
    "identity": lambda x: x,
    "logistic": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "silu": F.silu,
}

# torch's modules draw their initial weights from the global generator. Here every
# layer is made empty and filled from an explicit one, so that fits in several threads
# do not mix and the caller's generator is left alone.


def dropout(x, p, generator):
    """Zero each entry with probability `p` and scale the others by 1 / (1 - p).

    Does nothing without a `generator`: that is how inference asks for no noise.
    """
    if p == 0.0 or generator is None:
        return x
    keep = torch.empty_like(x).bernoulli_(1.0 - p, generator=generator)
    return x * keep.div_(1.0 - p)


def linear(n_in, n_out, generator):
    """Make a linear layer with Glorot weights and biases near zero.

    As in the authors' code of Liang et al. 2018: weights uniform by Glorot & Bengio
    2010, biases normal with standard deviation 0.001, cut at two of them.
    """
    layer = skip_init(nn.Linear, n_in, n_out)
    nn.init.xavier_uniform_(layer.weight, generator=generator)
    _init_bias(layer.bias, generator)
    return layer


def _init_bias(bias, generator):
    std = 0.001
    nn.init.trunc_normal_(bias, std=std, a=-2 * std, b=2 * std, generator=generator)


class InputLinear(nn.Module):
    """Linear layer that takes dense rows or `SparseRows`.

    The weight has shape (n_in, n_out), so that the row of an input feature is
    contiguous for the sparse product.
    """

    def __init__(self, n_in, n_out, generator):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_in, n_out))
        self.bias = nn.Parameter(torch.empty(n_out))
        nn.init.xavier_uniform_(self.weight, generator=generator)
        _init_bias(self.bias, generator)

    def forward(self, x):
        """Map rows of shape (n_rows, n_in) to (n_rows, n_out)."""
        if isinstance(x, SparseRows):
            return x.matmul(self.weight) + self.bias
        return torch.addmm(self.bias, x, self.weight)


class MLP(nn.Module):
    """Multilayer perceptron with a linear output layer.

    Parameters
    ----------
    sizes : sequence of int
        Widths from input to output, at least two.
    activation : str
        Key of `ACTIVATIONS`, applied after each layer but the last.
    dropout : float
        Probability with which a hidden unit is dropped.
    generator : torch.Generator
        Draws the initial weights.
    reads_rows : bool, default=False
        The first layer reads data, which may be `SparseRows`.
    """

    def __init__(self, sizes, *, activation, dropout, generator, reads_rows=False):
        super().__init__()
        self.activation = activation
        self.dropout = dropout
        self.layers = nn.ModuleList(
            (InputLinear if reads_rows and i == 0 else linear)(n_in, n_out, generator)
            for i, (n_in, n_out) in enumerate(zip(sizes[:-1], sizes[1:], strict=True))
        )

    def forward(self, x, generator=None):
        """Map (n_rows, sizes[0]) to (n_rows, sizes[-1]); no `generator`, no noise."""
        *hidden, output = self.layers
        for layer in hidden:
            x = ACTIVATIONS[self.activation](layer(x))
            x = dropout(x, self.dropout, generator)
        return output(x)
