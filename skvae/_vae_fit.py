"""How a VAETransformer is fitted: its input, its module, where it starts from."""

import warnings

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.utils.validation import check_non_negative

from skvae._base import BaseVAE
from skvae._training import column_means, column_variances, count_row_totals
from skvae._validation import check_float32_range, check_input
from skvae.model_selection._sparse import canonical_csr, errors_naming
from skvae.nn import (
    VAE,
    Bernoulli,
    Gaussian,
    Multinomial,
    Poisson,
    elbo,
    kl_to_standard_normal,
)

LIKELIHOODS = {
    "gaussian": Gaussian,
    "bernoulli": Bernoulli,
    "multinomial": Multinomial,
    "poisson": Poisson,
}
# So many training rows say which latent dimensions are in use, and a KL below this
# many nats says that one is not.
MAX_KL_ROWS = 2000
COLLAPSED_KL = 0.01
VALIDATION_DRAWS = 16
INITIAL_LOG_VARIANCE = -2.0


class VAEFit(BaseVAE):
    """`BaseVAE` whose likelihood is chosen by name, all that is not public.

    The parameters are those of `VAETransformer`, its subclass.
    """

    def _check_rows(self, X, *, reset, likelihood=None):
        """Do as for `BaseVAE`; `likelihood` None is that of the fitted model."""
        if likelihood is None:
            likelihood = self.likelihood if reset else self._fitted_likelihood
        X = check_input(self, X, reset=reset)
        if LIKELIHOODS[likelihood].non_negative:
            check_non_negative(X, f"{type(self).__name__}({likelihood!r})")
        if sp.issparse(X) or likelihood == "multinomial":
            with errors_naming("X", X):
                X = canonical_csr(X)
        check_float32_range(X)
        # The maximum of a sparse matrix itself would sum the caller's duplicates.
        stored = X.data if sp.issparse(X) else X
        if likelihood == "bernoulli" and stored.max(initial=0.0) > 1:
            warnings.warn(
                f"X goes up to {stored.max():.6g}, but the likelihood is 'bernoulli': "
                "what is above 1 is taken as 1. Scale X to [0, 1], as "
                "sklearn.preprocessing.MinMaxScaler does, or choose another "
                "likelihood.",
                UserWarning,
                stacklevel=4,
            )
            X = X.minimum(1.0) if sp.issparse(X) else np.minimum(X, 1.0)
        return X

    def _check_settings(self):
        super()._check_settings()
        for name in ("encoder", "decoder"):
            if isinstance(getattr(self, name), torch.nn.Module):
                raise ValueError(
                    f"{name} is a torch.nn.Module, which a second fit would train on "
                    "from where the first ended; pass a factory, such as "
                    f"`{name}=lambda n_in, n_out: MyNetwork(n_in, n_out)`."
                )

    def _make_likelihood(self):
        if self.likelihood == "gaussian":
            return Gaussian(self.n_features_in_, self.noise_variance)
        return LIKELIHOODS[self.likelihood]()

    def _make_module(self, generator):
        return VAE(
            self.n_features_in_,
            self.n_components,
            hidden_layer_sizes=self.hidden_layer_sizes,
            activation=self.activation,
            likelihood=self._make_likelihood(),
            variational=self.variational,
            input_dropout=self.dropout,
            hidden_dropout=self.hidden_dropout,
            normalize=self.likelihood == "multinomial",
            tied_weights=False,
            initial_log_variance=INITIAL_LOG_VARIANCE,
            generator=generator,
            code_activation="identity",
            encoder=self.encoder,
            decoder=self.decoder,
        )

    def _remember_rows(self, X):
        if self.likelihood == "multinomial":
            self._row_totals = count_row_totals(X)

    def _draw_totals(self, n_samples, rng):
        """Numbers of counts of rows to draw; None where the likelihood needs none."""
        if not isinstance(self._module.likelihood, Multinomial):
            return None
        values, frequencies = self._row_totals
        return rng.choice(values, n_samples, p=frequencies / frequencies.sum())

    def _run(self, X, *args, **kwargs):
        try:
            if self.n_iter_ == 0:
                self._start_from(X)
            super()._run(X, *args, **kwargs)
            self._measure(X)
        except KeyboardInterrupt:
            self._measure(X)
            raise

    @torch.no_grad()
    def _start_from(self, X):
        """Let an untrained model give the means of the columns, whatever its code."""
        if self._module.log_variance is not None:
            self._module.log_variance.weight.zero_()
        means = column_means(X)
        if isinstance(self._module.likelihood, Gaussian):
            variances = column_variances(X, means)
            self._module.likelihood.start_from(means, variances)
        elif self.decoder is None:
            # As if one row more had half a count of everything: no mean is 0 or 1.
            means = (X.shape[0] * means + 0.5) / (X.shape[0] + 1)
            bias = self._module.decoder.layers[-1].bias
            bias += torch.from_numpy(self._module.likelihood.first_bias(means)).to(bias)

    def _measure(self, X):
        """Take in the KL of each latent dimension, on some of the training rows."""
        if not self.variational:
            vars(self).pop("component_kl_", None)
            return
        if X.shape[0] > MAX_KL_ROWS:
            rng = np.random.RandomState(self._state.seed)
            X = X[np.sort(rng.choice(X.shape[0], MAX_KL_ROWS, replace=False))]
        kl = self._gather_rows(
            X, lambda rows: kl_to_standard_normal(*self._module.posterior(rows))
        )
        self.component_kl_ = kl.mean(axis=0)

    # Validation

    def _split_validation(self, X, seed):
        n_val = int(np.ceil(self.validation_fraction * X.shape[0]))
        if n_val >= X.shape[0]:
            raise ValueError(
                f"No rows can be held out for validation: X has n_samples = "
                f"{X.shape[0]} and validation_fraction={self.validation_fraction}. "
                "Pass more data, X_val, or early_stopping=False."
            )
        order = np.random.RandomState(seed).permutation(X.shape[0])
        return X[np.sort(order[n_val:])], X[np.sort(order[:n_val])], None

    def _check_validation(self, X_val, y_val):
        likelihood = self._fitted_likelihood if self._goes_on else self.likelihood
        return self._check_rows(X_val, reset=False, likelihood=likelihood), None

    def _validation_score(self, X_val, y_val):
        """Mean bound on X_val; of a plain autoencoder, its mean log-likelihood."""
        self._module.eval()  # layers of the user's own may behave otherwise in training
        if self.variational:
            bounds = self._average(elbo, X_val, VALIDATION_DRAWS)
        else:
            module = self._module
            bounds = -self._gather_rows(
                X_val,
                lambda rows: module.likelihood.nll(
                    module.decode(module.encode(rows)), rows
                ),
            )
        return float(bounds.mean(dtype=np.float64))

    @property
    def _fitted_likelihood(self):
        """Name of the likelihood that the model has, whatever is set on it later."""
        return type(self._module.likelihood).__name__.lower()

    @property
    def _widest_layer(self):
        return max(max(weight.shape, default=1) for weight in self._module.parameters())

    def __sklearn_tags__(self):
        """Only the gaussian likelihood takes negative values."""
        tags = super().__sklearn_tags__()
        named = isinstance(self.likelihood, str)
        known = LIKELIHOODS.get(self.likelihood, Gaussian) if named else Gaussian
        tags.input_tags.positive_only = known.non_negative
        return tags
