"""Linear layers and the multilayer perceptron that encoder and decoder are made of."""

from itertools import pairwise

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from skvae._nn._buffers import empty
from skvae._nn._sparse_rows import SparseRows

ACTIVATIONS = {
    "identity": lambda x: x,
    "logistic": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "silu": F.silu,
}

# torch's modules draw their initial weights from the global generator. The layers here
# use an explicit generator, so that fits in several threads are independent and the
# caller's generator is not changed.


def dropout(x, p, generator):
    """Zero each entry with probability `p` and scale the others by 1 / (1 - p).

    Without a `generator`, as in inference, return `x` unchanged.
    """
    if p == 0.0 or generator is None:
        return x
    keep = torch.empty_like(x).bernoulli_(1.0 - p, generator=generator)
    return x * keep.div_(1.0 - p)


class Linear(nn.Module):
    """Linear layer that takes dense rows or `SparseRows`.

    The weight has shape (n_in, n_out), so that the row of an input feature is
    contiguous for the sparse product. As in the authors' code of Liang et al. 2018,
    weights are uniform (Glorot & Bengio 2010) and biases normal with standard deviation
    0.001, truncated at two standard deviations.

    Parameters
    ----------
    n_in, n_out : int
        Widths of input and output.
    generator : torch.Generator
        Draws the initial weights, on the CPU.
    """

    def __init__(self, n_in, n_out, generator):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_in, n_out, dtype=torch.float32))
        nn.init.xavier_uniform_(self.weight, generator=generator)
        self.bias = small_bias(n_out, generator)

    def forward(self, x):
        """Map rows of shape (n_rows, n_in) to (n_rows, n_out)."""
        if isinstance(x, SparseRows):
            return x.affine(self.weight, self.bias)
        return affine(self.bias, x, self.weight)


def small_bias(n, generator):
    """Make a bias of shape (n,) with values near zero."""
    std = 0.001
    bias = nn.Parameter(torch.empty(n, dtype=torch.float32))
    nn.init.trunc_normal_(bias, std=std, a=-2 * std, b=2 * std, generator=generator)
    return bias


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
    """

    def __init__(self, sizes, *, activation, dropout, generator):
        super().__init__()
        self.activation = activation
        self.dropout = dropout
        self.layers = nn.ModuleList(
            Linear(n_in, n_out, generator) for n_in, n_out in pairwise(sizes)
        )

    def forward(self, x, generator=None):
        """Map (n_rows, sizes[0]) to (n_rows, sizes[-1]); dropout needs `generator`."""
        return self.output(self.hidden(x, generator))

    def hidden(self, x, generator=None):
        """Return the output of the last hidden layer, or `x` if there is none."""
        for layer in self.layers[:-1]:
            x = ACTIVATIONS[self.activation](layer(x))
            x = dropout(x, self.dropout, generator)
        return x

    def output(self, hidden):
        """Apply the last layer, which is linear."""
        return self.layers[-1](hidden)

    @property
    def output_weight(self):
        """Weight of the last layer, of shape (n_in, n_out)."""
        return self.layers[-1].weight

    def output_columns(self, rows):
        """Columns of `output_weight` that `SampledRows` have: (n_in, n_columns)."""
        return self.output_weight.index_select(1, rows.columns)

    @property
    def output_bias(self):
        """Bias of the last layer."""
        return self.layers[-1].bias


class TiedMLP(nn.Module):
    """Multilayer perceptron with the weights of another one, transposed.

    It has its own biases. If the buffer `output_scale`, of shape (n_out,), is not None,
    the weights of each output are multiplied by it.

    Parameters
    ----------
    layers : sequence of Linear
        Layers of the other perceptron, in its order. They are not registered again.
    activation, dropout, generator
        As in `MLP`.
    """

    def __init__(self, layers, *, activation, dropout, generator):
        super().__init__()
        self.activation = activation
        self.dropout = dropout
        self._layers = tuple(reversed(layers))  # a tuple is not registered again
        self.biases = nn.ParameterList(
            small_bias(layer.weight.shape[0], generator) for layer in self._layers
        )
        self.register_buffer("output_scale", None)

    def forward(self, x, generator=None):
        """Map rows from the output width of `layers` back to their input width."""
        return affine(self.biases[-1], self.hidden(x, generator), self.output_weight)

    def hidden(self, x, generator=None):
        """Return the output of the last hidden layer, or `x` if there is none."""
        for layer, bias in zip(self._layers[:-1], self.biases, strict=False):
            x = ACTIVATIONS[self.activation](affine(bias, x, layer.weight.T))
            x = dropout(x, self.dropout, generator)
        return x

    @property
    def output_weight(self):
        """Weight of the last layer, of shape (n_in, n_out)."""
        weight = self._layers[-1].weight.T
        return weight if self.output_scale is None else weight * self.output_scale

    def output_columns(self, rows):
        """Columns of `output_weight` that `SampledRows` have: (n_in, n_columns)."""
        weight = rows.take(self._layers[-1].weight).T
        if self.output_scale is None:
            return weight
        return weight * self.output_scale.index_select(0, rows.columns)

    @property
    def output_bias(self):
        """Bias of the last layer."""
        return self.biases[-1]


def affine(bias, x, weight):
    """Compute `bias + x @ weight` in float32, or in the precision of autocast."""
    if torch.is_autocast_enabled(x.device.type):
        return torch.addmm(bias, x, weight).to(weight.dtype)
    return _Affine.apply(bias, x, weight)


class _Affine(torch.autograd.Function):
    """Compute `bias + x @ weight`, with reused memory for the large results."""

    @staticmethod
    def forward(ctx, bias, x, weight):
        ctx.save_for_backward(x, weight)
        out = empty((x.shape[0], weight.shape[1]), like=x)
        return torch.addmm(bias, x, weight, out=out)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        x, weight = ctx.saved_tensors
        if weight.is_contiguous():
            grad_weight = empty(weight.shape, like=weight)
        else:  # a tied weight: the gradient gets the memory layout of the weight
            grad_weight = empty(weight.T.shape, like=weight).T
        torch.mm(x.T, grad_output, out=grad_weight)
        grad_x = grad_output @ weight.T if ctx.needs_input_grad[1] else None
        return grad_output.sum(dim=0), grad_x, grad_weight
