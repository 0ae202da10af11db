"""Dimension reduction, density and generation by a VAE (Kingma & Welling 2014)."""

import warnings
from numbers import Integral, Real

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import (
    check_is_fitted,
    check_non_negative,
    validate_data,
)

from skvae._base import BaseVAE, _is_variational
from skvae._training import column_means, column_variances, make_generator
from skvae._validation import check_codes, check_float32_range
from skvae.model_selection._sparse import canonical_csr
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
INITIAL_LOG_VARIANCE = 0.0


class VAETransformer(BaseVAE):
    r"""DOCSTRING
    """

    _parameter_constraints: dict = {
        **BaseVAE._parameter_constraints,
        "likelihood": [StrOptions(set(LIKELIHOODS))],
        "noise_variance": [
            StrOptions({"shared", "feature"}),
            Interval(Real, 0, None, closed="neither"),
        ],
        "encoder": [callable, None],
        "decoder": [callable, None],
        "beta": [Interval(Real, 0, None, closed="left")],
    }
    for _name in ("tied_weights", "initial_log_variance"):
        del _parameter_constraints[_name]

    def __init__(
        self,
        n_components=10,
        *,
        likelihood="gaussian",
        noise_variance="shared",
        hidden_layer_sizes=(128,),
        activation="tanh",
        encoder=None,
        decoder=None,
        variational=True,
        beta=1.0,
        annealing=0.25,
        dropout=0.0,
        hidden_dropout=0.0,
        learning_rate_init=0.003,
        lr_schedule="cosine",
        alpha=0.0,
        batch_size="auto",
        max_iter=100,
        tol=0.0,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        refit=False,
        warm_start=False,
        callbacks=None,
        device="auto",
        random_state=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.likelihood = likelihood
        self.noise_variance = noise_variance
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.encoder = encoder
        self.decoder = decoder
        self.variational = variational
        self.beta = beta
        self.annealing = annealing
        self.dropout = dropout
        self.hidden_dropout = hidden_dropout
        self.learning_rate_init = learning_rate_init
        self.lr_schedule = lr_schedule
        self.alpha = alpha
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.refit = refit
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, X_val=None):
        """Fit the model to rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows, within the range of the likelihood.
        y : Ignored
            Present by convention.
        X_val : {array-like, sparse matrix} of shape (n_val_samples, n_features), \
                default=None
            Validation rows. With them the weights of the epoch with the best bound on
            them are kept; with `early_stopping` the fit ends when it has not improved
            for `n_iter_no_change` epochs.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X is not finite or, where the likelihood asks for it, negative, or if
            training diverges. The estimator is then as before.

        Warns
        -----
        UserWarning
            If X holds values above 1 and the likelihood is "bernoulli".
        ConvergenceWarning
            If all latent dimensions have collapsed.
        """
        self._fit(X, X_val, None)
        if self.variational and (self.component_kl_ < COLLAPSED_KL).all():
            warnings.warn(
                f"All n_components={self.n_components} latent dimensions have "
                f"collapsed: the posterior of every row is the prior (KL under "
                f"{COLLAPSED_KL} nats each), and transform tells rows apart no more. "
                f"Lower beta (now {self.beta}), raise annealing (now "
                f"{self.annealing}), learning_rate_init (now "
                f"{self.learning_rate_init}) or max_iter (now {self.max_iter}), or "
                "look whether the features of X depend on one another at all.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def inverse_transform(self, Z):
        """Mean of p(x given z) for latent codes z.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components)
            Codes, as `transform` returns them, or draws from a standard normal.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features), float32
            In the units of the training data; for "multinomial" the share that each
            feature has of a row's counts.
        """
        check_is_fitted(self)
        Z = check_codes(Z, self._module.n_components)
        module = self._module
        return self._gather_rows(Z, lambda z: module.likelihood.mean(module.decode(z)))

    @available_if(_is_variational)
    @torch.no_grad()
    def sample(self, n_samples=1, *, random_state=None):
        """Draw rows from the model: z from the prior, then x from p(x given z).

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features), float32
            With the noise of the likelihood; ``inverse_transform`` of standard normal
            draws is without. A row of "multinomial" has as many counts as some
            training row had.
        """
        check_is_fitted(self)
        n_samples = check_scalar(n_samples, "n_samples", Integral, min_val=1)
        rng = check_random_state(random_state)
        device = self._module_device
        generator = make_generator(rng.randint(2**31 - 1), device=device)
        z = torch.empty(n_samples, self._module.n_components, device=device)
        z.normal_(generator=generator)
        samples = np.empty((n_samples, self.n_features_in_), dtype=np.float32)
        totals = self._draw_totals(n_samples, rng)
        for rows, _, outputs in self._map_rows(z.cpu().numpy(), self._module.decode):
            if totals is None:
                drawn = self._module.likelihood.sample(outputs, generator)
            else:
                row_totals = torch.from_numpy(totals[rows]).to(device)
                places = self._module.likelihood.sample(outputs, row_totals, generator)
                ones = outputs.new_ones(len(places[0]))
                drawn = torch.zeros_like(outputs)
                drawn.index_put_(places, ones, accumulate=True)
            samples[rows] = drawn.cpu().numpy()
        return samples

    @available_if(_is_variational)
    def score(self, X, y=None):
        """Mean log-probability of rows, by importance sampling; see `score_samples`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        y : Ignored
            Present by convention.

        Returns
        -------
        score : float
            In nats, greater is better.
        """
        return float(self.score_samples(X).mean(dtype=np.float64))

    @property
    def noise_variance_(self):
        """Variance of the gaussian noise, in the squared units of X."""
        check_is_fitted(self)
        if not isinstance(self._module.likelihood, Gaussian):
            raise AttributeError("Only the gaussian likelihood has a noise variance.")
        with torch.no_grad():
            variances = self._module.likelihood.noise_variances().cpu().numpy()
        return variances if len(variances) > 1 else float(variances[0])

    # Training

    def _check_rows(self, X, *, reset):
        X = validate_data(
            self, X, accept_sparse="csr", dtype=(np.float64, np.float32), reset=reset
        )
        check_float32_range(X)
        if LIKELIHOODS[self.likelihood].non_negative:
            check_non_negative(X, f"{type(self).__name__}({self.likelihood!r})")
        if self.likelihood == "bernoulli" and X.max() > 1:
            warnings.warn(
                f"X goes up to {X.max():.6g}, but the likelihood is 'bernoulli': what "
                "is above 1 is taken as 1. Scale X to [0, 1], as "
                "sklearn.preprocessing.MinMaxScaler does, or choose another "
                "likelihood.",
                UserWarning,
                stacklevel=4,
            )
            X = X.minimum(1.0) if sp.issparse(X) else np.minimum(X, 1.0)
        if sp.issparse(X) or self.likelihood == "multinomial":
            return canonical_csr(X)
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
            totals = np.rint(np.asarray(X.sum(axis=1)).ravel()).astype(np.int64)
            self._row_totals = np.unique(totals, return_counts=True)

    def _draw_totals(self, n_samples, rng):
        """Numbers of counts of rows to draw; None where the likelihood needs none."""
        if not isinstance(self._module.likelihood, Multinomial):
            return None
        values, frequencies = self._row_totals
        return rng.choice(values, n_samples, p=frequencies / frequencies.sum())

    def _run(self, X, n_epochs, validation=None, stop_early=False):
        if self.n_iter_ == 0:
            self._start_from(X)
        try:
            super()._run(X, n_epochs, validation, stop_early)
        finally:
            self._measure(X)

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
        if not all(torch.isfinite(p).all() for p in self._module.parameters()):
            raise ValueError(
                "Training has diverged: weights of the network are not finite. Lower "
                f"learning_rate_init (now {self.learning_rate_init}) or scale X."
            )
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
        return self._check_rows(X_val, reset=False), None

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
    def _widest_layer(self):
        return max(self.n_features_in_, self.n_components, *self.hidden_layer_sizes)

    def __sklearn_tags__(self):
        """Only the gaussian likelihood takes negative values."""
        tags = super().__sklearn_tags__()
        known = LIKELIHOODS.get(self.likelihood, Gaussian)
        tags.input_tags.positive_only = known.non_negative
        return tags
