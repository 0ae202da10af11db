"""The rounds of CollaborativeVAE: an epoch of content, then both half-steps."""

import numpy as np
import scipy.sparse as sp
import torch

from skvae._als import half_step, inverse_cholesky, objective, shrinkage
from skvae._training import RowBatches, VAENet


class FactorNet(VAENet):
    """Train a `FactorModel`: an epoch of content, then both half-steps.

    Parameters
    ----------
    module : skvae.nn.FactorModel
        On its device.
    sweep : callable
        Takes nothing, does the half-steps in place and returns the objective of the
        factors.
    **kwargs
        As of `VAENet`.
    """

    def __init__(self, module, *, sweep, **kwargs):
        super().__init__(module, **kwargs)
        self.sweep = sweep

    def initialize_optimizer(self, *args, **kwargs):
        """Make none where there is nothing for it to do."""
        if self.module_.content is None:
            self.optimizer_ = None
            return self
        return super().initialize_optimizer(*args, **kwargs)

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Train on the content once, then do the half-steps.

        Raises
        ------
        ValueError
            If a loss or the objective is not finite.
        """
        if iterator is None:
            return
        total = 0.0
        if self.module_.content is None:
            self.epoch_ += 1
        else:
            super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
            epoch = self.history[-1]
            total = epoch["train_reconstruction"] + self.beta * epoch["train_kl"]
            total *= len(iterator)
        total += self.sweep()
        if not np.isfinite(total):
            raise ValueError(
                f"The objective became {total} in round {self.epoch_}: the factors "
                "have grown past all bounds. Scale X or item_features, or pass "
                "greater lambda_u and lambda_v."
            )
        self.history.record("objective", total)


class Sweep:
    """The half-steps of a round, on interactions that stay on the device.

    Parameters
    ----------
    model : skvae.nn.FactorModel
        On its device; its buffers are set in place.
    X : CSR of shape (n_users, n_items)
        Interactions.
    encode : callable or None
        Takes nothing and returns the content factors, (n_items, n_components).
    """

    def __init__(self, model, X, encode):
        self.model = model
        device = model.item_factors.device
        self.users = RowBatches(X, device).take(slice(0, X.shape[0]))
        by_item = sp.csr_array(X.T)
        self.items = RowBatches(by_item, device).take(slice(0, X.shape[1]))
        self.encode = encode
        self.prior = None  # the content factors
        self.user_factors = None

    @torch.no_grad()
    def start(self, generator):
        """Set factors to begin with: the content's, or small random ones."""
        model = self.model
        if self.encode is None:
            noise = torch.randn(model.item_factors.shape, generator=generator)
            model.item_factors.copy_(noise / noise.shape[1] ** 0.5)
        else:
            model.item_factors.copy_(self.encode())
        self._solve_users()
        self._set_shrinkage()

    @torch.no_grad()
    def __call__(self):
        """Solve for the items, then for the users, and return the objective."""
        model = self.model
        if self.encode is not None:
            self.prior = self.encode()
        self._set_shrinkage()
        model.item_factors.copy_(
            half_step(
                self.items,
                self.user_factors,
                a=model.a,
                b=model.b,
                regularization=model.lambda_v,
                prior=self.prior,
            )
        )
        self._solve_users()
        return objective(
            self.users,
            self.user_factors,
            model.item_factors,
            a=model.a,
            b=model.b,
            lambda_rows=model.lambda_u,
            lambda_columns=model.lambda_v,
            prior=self.prior,
        )

    def _solve_users(self):
        model = self.model
        shared = {"b": model.b, "regularization": model.lambda_u}
        model.user_inverse.copy_(inverse_cholesky(model.item_factors, **shared))
        self.user_factors = half_step(
            self.users,
            model.item_factors,
            a=model.a,
            **shared,
            inverse=model.user_inverse,
        )

    def _set_shrinkage(self):
        model = self.model
        model.item_shrinkage.copy_(
            shrinkage(self.user_factors, b=model.b, regularization=model.lambda_v)
        )
