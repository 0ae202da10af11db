"""Bounds and log-probabilities of rows, for the estimators around a VAE."""

import numpy as np
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skvae._inference import ModuleInference
from skvae._training import make_generator
from skvae.metrics._validation import check_positive_int
from skvae.nn import antithetic_noise, elbo, importance_weighted_log_prob

EVALUATION = 4  # stream of random numbers; see make_generator


def is_variational(estimator):
    if estimator.variational:
        return True
    raise AttributeError(
        f"A plain autoencoder has no distribution: {type(estimator).__name__} needs "
        "variational=True for this."
    )


class VAEInference(ModuleInference):
    """Mixin for an estimator whose `_module` is a `skvae.nn.VAE`.

    It has `_check_rows`, a parameter `variational` and the `_state` of training.
    """

    @available_if(is_variational)
    def elbo(self, X, *, n_draws=16):
        """Evidence lower bound of each row, with the KL at its full weight.

        A lower bound of log p(x) whatever beta the model was trained with: Kingma &
        Welling 2014, eq. 3.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        n_draws : int, default=16
            Draws from the posterior over which the expectation is taken. They are the
            same for all rows and in every call, so that the result is deterministic.

        Returns
        -------
        elbo : ndarray of shape (n_samples,), float32
            In nats.
        """
        return self._over_draws(elbo, X, n_draws)

    @available_if(is_variational)
    def score_samples(self, X, *, n_draws=64):
        """Estimate the log-probability of each row by importance sampling.

        The bound of Burda et al. 2016, eq. 8, rises with `n_draws` toward log p(x).

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        n_draws : int, default=64
            Draws from the posterior: the same for all rows and in every call, so that
            the result is deterministic.

        Returns
        -------
        log_prob : ndarray of shape (n_samples,), float32
            In nats.
        """
        return self._over_draws(importance_weighted_log_prob, X, n_draws)

    def _over_draws(self, function, X, n_draws):
        check_is_fitted(self)
        check_positive_int("n_draws", n_draws)
        X = self._check_rows(X, reset=False)
        log_prob = self._average(function, X, n_draws)
        finite = np.isfinite(log_prob)
        if not finite.all():
            row = int(np.flatnonzero(~finite)[0])
            raise ValueError(
                f"The log-probability of row {row} of X is {log_prob[row]}: values "
                f"up to {X[[row]].max():.3g} are too great for the model to compute "
                "with in float32; scale X."
            )
        return log_prob

    def _average(self, function, X, n_draws):
        """Apply a function of `skvae.nn` to checked rows, on noise that stays."""
        generator = make_generator(self._state.seed, EVALUATION)
        noise = antithetic_noise(n_draws, self._module.n_components, generator)
        noise = noise.to(self._module_device)
        return self._gather_rows(X, lambda rows: function(self._module, rows, noise))
