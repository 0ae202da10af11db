"""Torch module of CollaborativeVAE: item factors, and a VAE of the items' content."""

import torch
from torch import nn

from skvae._collaborative._als import half_step
from skvae._training import device_of, map_rows


class FactorModel(nn.Module):
    """Item factors, tied to the codes of the items' content.

    Factors and the matrices derived from them are buffers: they move between devices
    and are saved with the weights, but closed forms set them, not the optimiser.

    Parameters
    ----------
    n_items, n_components : int
        Sizes of the factors, all zero at first.
    content : VAE or None
        Encodes the content of items in `n_components` dimensions; None for a model
        with factors only.
    a, b, lambda_u, lambda_v, lambda_r : float
        As in `CollaborativeVAE`.
    """

    def __init__(
        self, n_items, n_components, *, content, a, b, lambda_u, lambda_v, lambda_r
    ):
        super().__init__()
        self.n_components = n_components
        self.content = content
        self.a, self.b = a, b
        self.lambda_u, self.lambda_v, self.lambda_r = lambda_u, lambda_v, lambda_r
        # The inverse folds in users. The shrinkage turns the codes of items without
        # interactions into factors.
        for name, n_rows in (
            ("item_factors", n_items),
            ("user_inverse", n_components),
            ("item_shrinkage", n_components),
        ):
            zeros = torch.zeros(n_rows, n_components, dtype=torch.float32)
            self.register_buffer(name, zeros)

    def forward(self, batch, generator):
        """Compute the loss of the content of some items, with the factors fixed.

        Parameters
        ----------
        batch : tuple (SparseRows or Tensor, Tensor of int64)
            Content of items, and their indices.
        generator : torch.Generator
            Draws dropout and noise, on the device of the batch.

        Returns
        -------
        nll, kl, pull : Tensor of shape (n_rows,)
            Weighted negative log-likelihood, KL divergence, and the expectation under
            the posterior of lambda_v / 2 times the squared distance from the factors
            (as in Li & She 2017, with the draw z integrated out).
        """
        rows, items = batch
        mean, log_variance = self.content.posterior(rows, generator)
        nll, kl = self.content.losses(rows, mean, log_variance, generator)
        distance = (self.item_factors[items] - mean).square()
        if log_variance is not None:
            distance = distance + log_variance.exp()
        return self.lambda_r * nll, kl, 0.5 * self.lambda_v * distance.sum(dim=1)

    def encode(self, features):
        """Encode checked content: codes on the device, (n_rows, n_components)."""
        content = self.content.eval()
        width = max(layer.weight.shape[0] for layer in content.encoder.layers)
        parts = map_rows(features, content.encode, device=device_of(self), width=width)
        return torch.cat([codes for _, _, codes in parts])

    def fold_in(self, rows):
        """Compute the factors of the users with these rows: (n_rows, n_components)."""
        return half_step(
            rows,
            self.item_factors,
            a=self.a,
            b=self.b,
            regularization=self.lambda_u,
            inverse=self.user_inverse,
        )

    @property
    def item_vectors(self):
        """Copy of the factors of the items."""
        return self.item_factors.clone()

    def iter_scores(self, X, factors=None):
        """Yield (slice, batch, scores) over the rows of a checked X.

        `factors` are those of the items to score, of shape (n_items, n_components);
        None for the items of the model.
        """
        if factors is None:
            factors = self.item_factors
        return map_rows(
            X,
            lambda rows: self.fold_in(rows) @ factors.T,
            device=device_of(self),
            width=max(factors.shape),
        )
