"""The model of Collaborative VAE: item factors, and a VAE of the items' content."""

import torch
from torch import nn


class FactorModel(nn.Module):
    """Item factors, tied to the codes of the items' content.

    Factors and what goes with them are buffers: they move between devices and are
    saved and restored with the weights, but closed forms set them, not the optimiser.

    Parameters
    ----------
    n_items, n_components : int
        Sizes of the factors, all zero at first.
    content : skvae.nn.VAE or None
        Encodes what the items contain in as many dimensions; None for factors alone.
    a, b, lambda_u, lambda_v, lambda_r : float
        As of `CollaborativeVAE`.
    """

    def __init__(
        self, n_items, n_components, *, content, a, b, lambda_u, lambda_v, lambda_r
    ):
        super().__init__()
        self.content = content
        self.a, self.b = a, b
        self.lambda_u, self.lambda_v, self.lambda_r = lambda_u, lambda_v, lambda_r
        self.register_buffer("item_factors", torch.zeros(n_items, n_components))
        # What folds users in, and what takes the code of an unmet item to its factors.
        self.register_buffer("user_inverse", torch.zeros(n_components, n_components))
        self.register_buffer("item_shrinkage", torch.zeros(n_components, n_components))

    def forward(self, batch, generator):
        """Loss of the content of some items while the factors stand still.

        Parameters
        ----------
        batch : tuple (SparseRows or Tensor, Tensor of int64)
            Content of items, and which items they are.
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
