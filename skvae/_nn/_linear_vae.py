"""Linear VAE with a gaussian likelihood, given by leading components of the data."""

import math

import torch
from torch import nn


class LinearVAE(nn.Module):
    r"""Linear VAE at its optimum, on rows of interactions that are scaled.

    A row x of n interactions becomes :math:`a = n^{-u} D_{in} x`, and the model is
    :math:`a = W z + \epsilon` with :math:`W = V (\Lambda - \sigma^2 I)^{1/2}` (Tipping
    & Bishop 1999, eq. 7).

    Parameters
    ----------
    n_items, n_components : int
        Sizes of the components, all zero at first.
    user_exponent : float
        Exponent u of the number of interactions of a user.
    """

    def __init__(self, n_items, n_components, *, user_exponent):
        super().__init__()
        self.n_components = n_components
        self.user_exponent = user_exponent
        buffers = {
            "components": torch.zeros(n_items, n_components, dtype=torch.float32),
            "variances": torch.zeros(n_components, dtype=torch.float64),
            "noise_variance": torch.zeros((), dtype=torch.float64),
            "input_scale": torch.zeros(n_items, dtype=torch.float32),
            "output_scale": torch.zeros(n_items, dtype=torch.float32),
        }
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer)

    @property
    def weight_norms(self):
        """Norms of the columns of W."""
        return (self.variances - self.noise_variance).sqrt()

    def scaled(self, rows):
        """Scale a batch of `SparseRows`: a, for each row, in float64.

        A power in float32 would depend on the place of the row in the batch.
        """
        values = rows.values.double()
        per_user = power(rows.row_sums(values), -self.user_exponent)
        scale = self.input_scale.index_select(0, rows.indices) * rows.spread(per_user)
        return rows.with_values(values * scale)

    def encode(self, rows):
        """Mean of the posterior of z: (n_rows, n_components). Eq. 9 of the paper."""
        shrinkage = (self.weight_norms / self.variances).to(torch.float32)
        scaled = self.scaled(rows)
        scaled = scaled.with_values(scaled.values.to(torch.float32))
        return _project(scaled, self.components) * shrinkage

    def decode(self, codes):
        """Scores of all items: the means of a given z, scaled by item."""
        means = (codes * self.weight_norms.to(torch.float32)) @ self.components.T
        return means.mul_(self.output_scale)

    def scores(self, rows):
        """Scores of all items for a batch of `SparseRows`: (n_rows, n_items)."""
        return self.decode(self.encode(rows))

    @property
    def item_vectors(self):
        """Scores per unit of each code: (n_items, n_components)."""
        per_code = self.components * self.weight_norms.to(torch.float32)
        return per_code.mul_(self.output_scale[:, None])

    def log_prob(self, rows):
        """Log-density of each scaled row, shape (n_rows,), in float64.

        The covariance is W W' + sigma^2 I, with eigenvalues `variances` and, in the
        other directions, the noise variance.
        """
        # In float64, as the small noise divides a difference of close numbers.
        scaled = self.scaled(rows)
        squares = scaled.row_sums(scaled.values.square())
        coordinates = _project(scaled, self.components.double()).square()
        noise = self.noise_variance
        explained = coordinates @ (1.0 - noise / self.variances)
        n_rest = self.components.shape[0] - self.n_components
        log_determinant = self.variances.log().sum() + n_rest * noise.log()
        n_items = self.components.shape[0]
        distance = (squares - explained) / noise
        return -0.5 * (distance + log_determinant + n_items * math.log(2 * math.pi))


def _project(scaled, components):
    """Coordinates of scaled rows: (n_rows, n_components)."""
    return scaled.affine(components, components.new_zeros(components.shape[1]))


def power(values, exponent):
    """Raise positive values to a power; values of zero stay zero."""
    positive = values > 0
    return torch.where(positive, values.masked_fill(~positive, 1.0) ** exponent, 0.0)
