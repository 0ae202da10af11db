"""Whether training has made a model worse, which finite losses may hide."""

import numpy as np
import torch

from skvae._nn import kl_to_standard_normal
from skvae._training._batches import map_rows
from skvae._training._device import device_of
from skvae._training._ranks import ONE_PROCESS
from skvae.datasets import RowsOnDisk

# Share of the loss of the first step by which that of an ordinary last epoch may exceed
# it, because steps differ in their rows and noise.
NOISE = 0.1
# Steps after which a model should have recovered from its first ones, which may lead
# away from a constant model that is the best already, as for constant rows.
N_STEPS = 100
# Rows on disk for which the objective is computed: all might take hours.
N_ROWS = 1000


def check_improved(net, X, outcome, start, ranks=ONE_PROCESS):
    """Raise a DivergedError if a VAE is far worse than before its training.

    A VAE starts near the constant model, which every useful one surpasses. Nothing is
    computed where the loss of the last epoch is not far above that of the first step,
    as in ordinary training.

    Parameters
    ----------
    net : VAENet
        Net that has trained a `VAE`.
    X : CSR matrix, RowsOnDisk or ndarray of shape (n_rows, n_features)
        Rows on which it was trained. Of rows on disk, `N_ROWS` serve for the check.
    outcome : Outcome
        Outcome of the training.
    start : callable
        Returns the `VAE` as it was before the training.
    ranks : OneProcess, default=ONE_PROCESS
        The processes of the training.

    Raises
    ------
    DivergedError
        If the objective on X, at the present beta and without noise, is more than twice
        that at the start, and greater by a nat, if it is a density for each feature.
        After fewer than `N_STEPS` steps it may rise by more, as an optimiser that
        moves each weight by up to the learning rate in a step has not settled yet.
    """
    if outcome.interrupted or not outcome.epochs:
        return
    trained, beta = net.module_, net.beta_at_step()
    first, last = outcome.first_loss, outcome.epochs[-1]["train_loss"]
    if first is not None and last <= first + NOISE * _size(trained, first):
        return
    if isinstance(X, RowsOnDisk):
        X = X[np.linspace(0, len(X) - 1, min(N_ROWS, len(X)), dtype=np.int64)]
    # Weights of networks of the user's own may have no shape before they are used.
    width = max(max(weight.shape, default=1) for weight in trained.parameters())
    untrained = start().to(device_of(trained))
    before = ranks.average(_objective(untrained, X, beta, width), X.shape[0])
    after = ranks.average(_objective(trained, X, beta, width), X.shape[0])
    n_steps = sum(epoch["train_batch_count"] for epoch in outcome.epochs)
    allowed = _size(trained, before) * max(1.0, N_STEPS / n_steps) ** 4
    if not after <= before + allowed:  # NaN is no less
        raise net.divergence(
            f"The loss without noise rose from {before:.4g} to {after:.4g}"
        )


def _size(module, loss):
    """Size of a loss, apart from the part that the units of X determine."""
    size = abs(loss - module.likelihood.loss_of_units(module.n_features))
    # It may be near zero, for a density and for constant rows: a nat counts too.
    return max(size, 1.0 if module.likelihood.non_negative else module.n_features)


def _objective(module, X, beta, width):
    """Mean loss of the rows of X for codes at the posterior mean."""
    if X.shape[0] == 0:
        return 0.0
    module.eval()

    def losses(rows):
        mean, log_variance = module.posterior(rows)
        loss = module.likelihood.nll(module.decode(mean), rows)
        if log_variance is not None:
            kl = kl_to_standard_normal(mean, log_variance).sum(dim=1)
            loss = loss + beta * kl
        return loss

    parts = map_rows(X, losses, device=device_of(module), width=width)
    return torch.cat([loss.cpu() for _, _, loss in parts]).double().mean().item()
