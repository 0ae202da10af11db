"""The model of Collaborative VAE: factors, and a VAE of what the items contain."""

import torch
from torch import nn


class FactorModel(nn.Module):
    """User and item factors, the latter tied to the codes of the items' content.

    Factors are buffers: they move between devices and are saved and restored with the
    weights, but closed forms set them, not the optimiser.

    Parameters
    ----------
    n_users, n_items, n_components : int
        Sizes of the factors, all zero at first.
    content : skvae.nn.VAE or None
        Encodes what the items contain in as many dimensions; None for factors alone.
    lambda_r : float
        Weight of the content's negative log-likelihood in the loss.
    lambda_v : float
        Weight of the distance between an item's factors and the code of its content.
    """

    def __init__(
        self,
        n_users,
        n_items,
        n_components,
        *,
        content=None,
        lambda_r=1.0,
        lambda_v=1.0,
    ):
        super().__init__()
        self.content = content
        self.lambda_r = lambda_r
        self.lambda_v = lambda_v
        self.register_buffer("user_factors", torch.zeros(n_users, n_components))
        self.register_buffer("item_factors", torch.zeros(n_items, n_components))
        self.register_buffer("content_factors", torch.zeros(n_items, n_components))
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
            (Li & She 2017, eq. 10, with the draw z integrated out).
        """
        rows, items = batch
        mean, log_variance = self.content.posterior(rows, generator)
        nll, kl = self.content.losses(rows, mean, log_variance, generator)
        distance = (self.item_factors[items] - mean).square()
        if log_variance is not None:
            distance = distance + log_variance.exp()
        return self.lambda_r * nll, kl, 0.5 * self.lambda_v * distance.sum(dim=1)
