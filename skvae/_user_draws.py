"""Draws of users from a Mult-VAE."""

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skvae._training import MAX_TOTAL, count_row_totals, make_generator
from skvae._vae_inference import is_variational
from skvae.metrics._validation import check_positive_int
from skvae.model_selection._sparse import errors_naming


class UserDrawsMixin:
    """`sample` for an estimator around a VAE whose likelihood is `Multinomial`."""

    @available_if(is_variational)
    def sample(self, n_samples=1, *, n_interactions=None, random_state=None):
        """Draw users from the model: z from the prior, then items from p(x given z).

        Parameters
        ----------
        n_samples : int, default=1
            Number of users.
        n_interactions : int or array-like of shape (n_samples,), default=None
            Number N of interactions of each user. None draws it from the numbers that
            the training users had.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws.

        Returns
        -------
        X : csr_array of shape (n_samples, n_items), float32
            Counts. The multinomial draws with replacement, so that an item may come
            more than once.
        """
        check_is_fitted(self)
        check_positive_int("n_samples", n_samples)
        rng = check_random_state(random_state)
        totals = self._draw_totals(n_samples, n_interactions, rng)
        device = self._module_device
        generator = make_generator(rng.randint(2**31 - 1), device=device)
        z = torch.empty(n_samples, self._module.n_components, device=device)
        z.normal_(generator=generator)

        numpy_generator = np.random.default_rng(rng.randint(2**31 - 1))
        counts = [
            self._draw_counts(logits, totals[rows], generator, numpy_generator)
            for rows, _, logits in self._map_rows(z.cpu().numpy(), self._module.decode)
        ]
        return sp.csr_array(sp.vstack(counts))

    def _draw_counts(self, logits, totals, generator, numpy_generator):
        """Draw rows with these logits and numbers of interactions: CSR, float32."""
        if totals.max() > logits.shape[1]:
            # Not one by one: rows of counts may have millions of them.
            shares = torch.softmax(logits.double(), dim=1).cpu().numpy()
            counts = numpy_generator.multinomial(totals, shares)
            return sp.csr_array(counts.astype(np.float32))
        users, items = self._module.likelihood.sample(
            logits, torch.from_numpy(totals).to(logits.device), generator
        )
        places = users.cpu().numpy(), items.cpu().numpy()
        ones = np.ones(len(places[0]), dtype=np.float32)
        return sp.csr_array((ones, places), shape=logits.shape)

    def _draw_totals(self, n_samples, n_interactions, rng):
        """Numbers of interactions of `n_samples` users to draw: int64 array."""
        if n_interactions is None:
            values, frequencies = self._row_totals
            return rng.choice(values, n_samples, p=frequencies / frequencies.sum())
        with errors_naming("n_interactions", n_interactions):
            totals = np.asarray(n_interactions)
        fits = totals.shape in ((), (n_samples,)) and totals.dtype.kind in "iu"
        if not fits or (totals < 0).any() or (totals > MAX_TOTAL).any():
            raise ValueError(
                f"n_interactions={n_interactions!r} must be an integer from 0 to "
                f"2**53, or one for each of n_samples={n_samples} samples."
            )
        return np.broadcast_to(totals, (n_samples,)).astype(np.int64)

    def _remember_rows(self, X):
        self._row_totals = count_row_totals(X)
