"""The floor: the time of only the arithmetic of Mult-VAE, on fixed arrays.

The floor has the matrix products of a training step, the loss with its gradient, and
one fused step of the optimiser. It does not make batches, and it has no noise, dropout,
activations, biases or automatic differentiation. A training loop cannot be faster than
this unless it does less work or has a lower precision.
"""

import time

import numpy as np
import torch

from benchmarks.speed.contestant import serve

N_TRIALS = 5  # of each part


class BareArithmetic:
    """The floor of an epoch, and of a ranking for all users."""

    def __init__(self, X, settings):
        torch.set_num_threads(settings.threads)
        self.settings = settings
        self.n_users = settings.n_users or X.shape[0]
        order = np.random.default_rng(0).permutation(X.shape[0])
        sizes = (settings.hidden, settings.latent)
        self.floor = Floor(X[order[: settings.batch_size]], *sizes)
        self.n_steps, rest = settings.n_batches, 0
        if self.n_steps is None:
            self.n_steps, rest = divmod(X.shape[0], settings.batch_size)
        self.last = Floor(X[order[:rest]], *sizes) if rest else None

    def epoch_sparse(self):
        return self._epoch(sparse=True)

    def epoch_dense(self):
        return self._epoch(sparse=False)

    def _epoch(self, sparse):
        for _ in range(self.n_steps):
            self.floor.step(sparse)
        if self.last is not None:
            self.last.step(sparse)
        return {"count": self.n_steps + (self.last is not None)}

    def rank(self):
        """Compute scores and choose the best items, seen or not, batch by batch."""
        n_batches = -(-self.n_users // self.settings.batch_size)
        for _ in range(n_batches):
            self.floor.rank(self.settings.n_items)
        return {"count": n_batches * self.settings.batch_size}

    def parts(self):
        """Return the shortest time of each part of a step."""
        parts = {
            "first layer, sparse": lambda: self.floor.first_layer(True),
            "first layer, dense": lambda: self.floor.first_layer(False),
            "its gradient, sparse": lambda: self.floor.first_gradient(True),
            "its gradient, dense": lambda: self.floor.first_gradient(False),
            "layers between": self.floor.inner_products,
            "output layer": self.floor.output_layer,
            "its gradients": self.floor.output_gradients,
            "loss": self.floor.loss,
            "optimiser": self.floor.optimizer,
        }
        return {"parts": {name: shortest(part) for name, part in parts.items()}}


class Floor:
    """The bare operations of an I-hidden-latent-hidden-I network on one batch.

    Parameters
    ----------
    rows : scipy CSR of shape (batch_size, n_items)
        The batch.
    hidden, latent : int
        Widths.
    """

    def __init__(self, rows, hidden, latent):
        n_rows, n_items = rows.shape
        self.rows = _as_torch(rows)
        self.transposed = _as_torch(rows.T.tocsr())
        self.dense = torch.from_numpy(rows.toarray())
        self.totals = self.dense.sum(dim=1, keepdim=True)
        entries = rows.tocoo()
        self.places = torch.from_numpy(entries.row * np.int64(n_items) + entries.col)
        self.counts = torch.from_numpy(entries.data)
        # Small weights, so that the softmax does not underflow to denormal numbers.
        sizes = {
            "first": (n_items, hidden),
            "mean": (hidden, latent),
            "log_variance": (hidden, latent),
            "back": (latent, hidden),
            "last": (hidden, n_items),
        }
        self.weights = {name: 0.01 * torch.randn(size) for name, size in sizes.items()}
        self.gradients = {name: torch.empty(size) for name, size in sizes.items()}
        self.hidden = torch.randn(n_rows, hidden)
        self.latent = torch.randn(n_rows, latent)
        self.slope_hidden = torch.randn(n_rows, hidden)
        self.slope_latent = torch.randn(n_rows, latent)
        self.logits = 0.01 * torch.randn(n_rows, n_items)
        self.slope = torch.empty(n_rows, n_items)
        self.out_hidden = torch.empty(n_rows, hidden)
        self.out_latent = torch.empty(n_rows, latent)
        parameters = [torch.nn.Parameter(w.clone()) for w in self.weights.values()]
        for parameter in parameters:
            parameter.grad = 1e-3 * torch.randn_like(parameter)
        self.adam = torch.optim.Adam(parameters, fused=True)

    def first_layer(self, sparse):
        """Multiply the batch with the first layer's weights."""
        _product(
            self.rows if sparse else self.dense,
            self.weights["first"],
            self.out_hidden,
        )

    def first_gradient(self, sparse):
        """Multiply the transposed batch with the gradient of the first layer."""
        _product(
            self.transposed if sparse else self.dense.T,
            self.slope_hidden,
            self.gradients["first"],
        )

    def inner_products(self):
        """Multiply through the layers between first and last, forward and backward."""
        for name in ("mean", "log_variance"):
            torch.mm(self.hidden, self.weights[name], out=self.out_latent)
            torch.mm(self.hidden.T, self.slope_latent, out=self.gradients[name])
            torch.mm(self.slope_latent, self.weights[name].T, out=self.out_hidden)
        torch.mm(self.latent, self.weights["back"], out=self.out_hidden)
        torch.mm(self.latent.T, self.slope_hidden, out=self.gradients["back"])
        torch.mm(self.slope_hidden, self.weights["back"].T, out=self.out_latent)

    def output_layer(self):
        """Compute the logits, which is the largest product of inference too."""
        torch.mm(self.hidden, self.weights["last"], out=self.logits)

    def output_gradients(self):
        """Multiply the gradient of the logits with both factors of the last product."""
        torch.mm(self.slope, self.weights["last"].T, out=self.out_hidden)
        torch.mm(self.hidden.T, self.slope, out=self.gradients["last"])

    def loss(self):
        """Compute the multinomial loss and its gradient with respect to the logits."""
        torch.softmax(self.logits, dim=1, out=self.slope)
        logsumexp = self.logits.amax(dim=1) - self.slope.amax(dim=1).log()
        observed = self.logits.view(-1).index_select(0, self.places) @ self.counts
        loss = self.totals[:, 0] @ logsumexp - observed
        self.slope.mul_(self.totals)
        self.slope.view(-1).index_add_(0, self.places, self.counts, alpha=-1)
        return loss

    def optimizer(self):
        """Do one step of fused Adam for all weights."""
        self.adam.step()

    def step(self, sparse):
        """Do all parts of a training step."""
        self.first_layer(sparse)
        self.inner_products()
        self.output_layer()
        self.loss()
        self.output_gradients()
        self.first_gradient(sparse)
        self.optimizer()

    def rank(self, n_items):
        """Compute the scores, and choose the best items of each row."""
        self.forward()
        first = self.logits.shape[1] - n_items
        best = np.argpartition(self.logits.numpy(), first, axis=1)[:, first:]
        scores = np.take_along_axis(self.logits.numpy(), best, axis=1)
        return np.take_along_axis(best, np.argsort(-scores, axis=1), axis=1)

    def forward(self):
        """Compute the scores only, with the mean of the posterior as the code."""
        self.first_layer(sparse=True)
        torch.mm(self.hidden, self.weights["mean"], out=self.out_latent)
        torch.mm(self.latent, self.weights["back"], out=self.out_hidden)
        self.output_layer()


def _product(matrix, dense, out):
    # For a sparse matrix, `torch.mm` with `out` writes the result two more times.
    torch.addmm(out, matrix, dense, beta=0, out=out)


def _as_torch(matrix):
    parts = (matrix.indptr, matrix.indices, matrix.data)
    return torch.sparse_csr_tensor(*map(torch.from_numpy, parts), matrix.shape)


def shortest(function):
    """Return the shortest time of `N_TRIALS` calls, in seconds."""
    times = []
    for _ in range(N_TRIALS):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    serve(BareArithmetic)
