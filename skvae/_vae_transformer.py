"""Dimension reduction, density and generation by a VAE (Kingma & Welling 2014)."""

import os
import warnings
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, check_non_negative
from skorch.callbacks import Callback

from skvae._base._attribute_types import array
from skvae._base._vae import BaseVAE, is_variational
from skvae._nn import LIKELIHOODS, Generators, elbo, kl_to_standard_normal
from skvae._training import computation, device_of, starting_outputs
from skvae.utils._sparse import canonical_csr
from skvae.utils._typing import ArrayLike, MatrixLike, NDArray, RandomState
from skvae.utils._validation import (
    check_codes,
    check_float32_range,
    check_input,
    check_positive_int,
    errors_naming,
)

MAX_KL_ROWS = 2000  # training rows over which `component_kl_` is averaged
COLLAPSED_KL = 0.01  # nats below which a latent dimension is not in use
VALIDATION_DRAWS = 16
INITIAL_LOG_VARIANCE = -2.0


def _is_variational_module(module):
    return module.variational


class VAETransformer(BaseVAE):
    r"""Reduce dimensions, estimate density and generate by a variational autoencoder.

    An encoder maps a row x to a normal distribution over a few latent dimensions z, a
    decoder maps z to a distribution of x, and both are trained to raise a lower bound
    of log p(x) [1]_. `transform` returns the mean of the former, `inverse_transform`
    the mean of the latter, `score_samples` the log-probability, and `sample` new rows.

    With ``variational=False`` it is an autoencoder, with `dropout` a denoising one.

    Parameters
    ----------
    n_components : int, default=10
        Width of the latent code. Dimensions that the data does not need fall out of
        use during training: see `component_kl_`.

    likelihood : {"gaussian", "bernoulli", "multinomial", "poisson"}, default="gaussian"
        Distribution of x given z. "gaussian" for real values such as standardised
        features, and for pixels whose grey levels matter; "bernoulli" for zeros and
        ones or values in [0, 1] (larger values are clipped, with a warning); "poisson"
        for counts; "multinomial" for counts of which only the shares in a row matter.

    noise_variance : {"shared", "feature"} or float, default="shared"
        Variance of the gaussian noise: "shared" learns one for all features, as in
        probabilistic PCA, "feature" one for each, as in factor analysis; a float is a
        fixed one in the squared units of `X`. With "shared", features of large
        variance have more influence, as in PCA; with "feature" the units of the
        features do not matter.

    hidden_layer_sizes : array-like of int, default=(256,)
        Widths of the hidden layers of the encoder; the decoder has them in reverse.
        () makes a linear model: with the gaussian likelihood, probabilistic PCA [2]_.

    activation : {"identity", "logistic", "tanh", "relu", "silu"}, default="relu"
        Activation of the hidden layers; the code has none. Of tanh, silu and relu, the
        last gave the codes of digits that served a linear classifier best.

    encoder, decoder : callable, default=None
        Factories ``(n_in, n_out) -> torch.nn.Module`` of networks of your own, which
        map float32 rows (n_rows, n_in) to (n_rows, n_out) and replace the perceptrons.
        The encoder has ``n_out = 2 * n_components``: mean, then log-variance
        (`n_components` for an autoencoder); the decoder returns the parameters of the
        likelihood: means in standard units, log-odds, log-rates or logits.

    variational : bool, default=True
        Whether the code is a distribution.

    beta : float, default=1.0
        Weight of the KL divergence once it is annealed. At 1 the loss is the negative
        bound. There is no "auto": 1 is always the best by the bound on validation
        rows. Choose it by the use of the codes: for codes that a classifier reads,
        less than 1 may be better (0.3 for digits).

    annealing : float or int, default=0.25
        How long the weight of the KL rises linearly to `beta`: a float is a fraction
        of the planned `max_iter` epochs, an int a number of steps. It keeps latent
        dimensions from collapsing before the decoder uses them.

    dropout : float, default=0.35
        Probability with which an entry of the encoder's input is dropped.

    hidden_dropout : float, default=0.0
        Probability with which a hidden unit is dropped.

    learning_rate_init : float, default=0.01
        Initial learning rate of AdamW. It is high because the schedule decreases it.

    lr_schedule : {"cosine", "plateau"}, skorch LRScheduler or None, default="cosine"
        "cosine" decreases the learning rate to zero over the planned `max_iter`
        epochs; "plateau" halves it when the validation score (without validation, the
        training loss) has not improved for five epochs; None keeps it constant.

    alpha : float, default=0.0
        Decoupled weight decay of AdamW, on weights; not on biases or the noise.

    batch_size : int or "auto", default="auto"
        Rows in a step, at most: the rows are divided into steps of equal sizes. "auto"
        takes 500, or a tenth of the rows if that is less, so that an epoch has at least
        ten steps.

    max_iter : int, default=100
        Number of epochs, and the planned length that `annealing` and "cosine" refer
        to.

    tol : float, default=0.0
        Improvement of the validation score that counts as better.

    early_stopping : bool, default=False
        Whether to hold out rows for validation, stop when the mean bound on them has
        not improved by `tol` for `n_iter_no_change` epochs, and keep the weights of
        the best epoch.

    validation_fraction : float, default=0.1
        Share of the rows held out by `early_stopping` if `fit` is given no `X_val`.

    n_iter_no_change : int, default=10
        Epochs without a better validation score after which early stopping ends the
        fit.

    refit : bool, default=False
        Whether to train again on all data, including what was held out, for the
        number of epochs found best.

    warm_start : bool, default=False
        Whether `fit` continues from the previous fit, with its weights, optimiser
        state and annealing, instead of starting afresh. The learning-rate schedule
        starts again, over the next `max_iter` epochs.

    checkpoint : str or path-like, default=None
        File in which `fit` saves its state, so that the same call resumes a fit that
        was interrupted in any way, with the same bits on the same machine with the
        same number of threads, and of processes if `distributed`. The file is removed
        when the fit is done or has diverged. In a folder, every fit has a file of its
        own, as searches need. None saves nothing. See the Notes of
        :class:`MultVAERecommender`.

    distributed : {"replicated", "sharded"} or None, default=None
        Whether `fit` and `partial_fit` train one model together with the other
        processes of the group of `torch.distributed` that is initialised, each of
        which makes the same call. "replicated": all have the same rows; "sharded":
        each has rows of its own, or none; a validation set must then be passed, in
        the first process. None fits in this process alone.

    callbacks : list of skorch callbacks, default=None
        Callbacks, or pairs of a name and a callback. They are not copied, so that
        after the fit they hold what they have learned; searches clone them together
        with the estimator. An `EarlyStopping` among them may end the fit.

    device : str or torch.device, default="auto"
        Device to compute on. "auto" takes a CUDA device if there is one.

    precision : {"float32", "tf32", "bfloat16"}, default="float32"
        Precision of the matrix products of training; weights, losses and all
        inference are float32. "tf32" rounds factors to 10 bits of mantissa on CUDA
        devices and is float32 elsewhere, "bfloat16" rounds them to 7 bits. Both are
        meant for GPUs.

    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, the order of rows, dropout, noise and what is
        held out. With an int, fits on one machine and device with one number of
        threads give the same bits.

    verbose : int, default=0
        1 shows a progress bar, 2 a line for each epoch.

    Attributes
    ----------
    component_kl_ : ndarray of shape (n_components,)
        Mean KL divergence of each latent dimension, in nats, over up to 2000 training
        rows. A dimension near 0 is not in use. Not for autoencoders.

    noise_variance_ : float or ndarray of shape (`n_features_in_`,)
        Variance of the gaussian noise, in the squared units of `X`.

    n_iter_ : int
        Number of epochs done, over all warm starts and calls of `partial_fit`.

    beta_ : float
        Weight of the KL after annealing; 0 for an autoencoder.

    loss_curve_ : list of float
        Mean training loss of a row in each epoch, in nats.

    reconstruction_curve_ : list of float
        Its negative log-likelihood part.

    kl_curve_ : list of float
        Mean KL divergence of a row in each epoch, not weighted by beta.

    beta_curve_ : list of float
        Weight of the KL at the end of each epoch.

    validation_scores_ : list of float
        Mean bound of the validation rows after each epoch (of an autoencoder, their
        log-likelihood). Only with validation.

    best_validation_score_ : float
        Greatest of them. Only with validation.

    best_iter_ : int
        Epoch whose weights were kept, counted from 1. Only with validation.

    n_features_in_ : int
        Number of features.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if `X` was a dataframe with string column names.

    See Also
    --------
    sklearn.decomposition.PCA : The linear case in closed form.
    MultVAERecommender : The same model for users and items.

    Notes
    -----
    The loss of a row x, under one draw z from the posterior q, is

    .. math:: -\log p(x | z) + \beta \, KL(q(z | x) \| N(0, I)),

    equation 10 of [1]_. For the gaussian likelihood the network works on rows that are
    centred and scaled, by one number, or feature by feature if the noise is; bounds
    and log-probabilities are in the units of `X` nevertheless, and a dropped input is
    at its mean. It computes in float32, so that a standard deviation below a millionth
    of the mean is lost.

    A checkpoint does not compare the factories `encoder` and `decoder`, but the shapes
    of their weights.

    References
    ----------
    .. [1] D. P. Kingma, M. Welling, "Auto-Encoding Variational Bayes", ICLR 2014,
       https://arxiv.org/abs/1312.6114
    .. [2] J. Lucas, G. Tucker, R. Grosse, M. Norouzi, "Don't Blame the ELBO! A Linear
       VAE Perspective on Posterior Collapse", NeurIPS 2019,
       https://arxiv.org/abs/1911.02469

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skvae import VAETransformer
    >>> X = load_digits().data / 16
    >>> vae = VAETransformer(2, max_iter=10, random_state=0).fit(X)
    >>> vae.transform(X).shape
    (1797, 2)
    >>> vae.sample(3, random_state=0).shape
    (3, 64)
    >>> bool(vae.score(X) > vae.elbo(X).mean())
    True
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
    }

    _saved_attributes = {
        **BaseVAE._saved_attributes,
        "component_kl_": array(
            torch.float32, "components", needed=_is_variational_module
        ),
    }

    def __init__(
        self,
        n_components: int = 10,
        *,
        likelihood: str = "gaussian",
        noise_variance: str | float = "shared",
        hidden_layer_sizes: Sequence[int] = (256,),
        activation: str = "relu",
        encoder: Callable[[int, int], torch.nn.Module] | None = None,
        decoder: Callable[[int, int], torch.nn.Module] | None = None,
        variational: bool = True,
        beta: float = 1.0,
        annealing: float | int = 0.25,
        dropout: float = 0.0,
        hidden_dropout: float = 0.0,
        learning_rate_init: float = 0.01,
        lr_schedule: str | Callback | None = "cosine",
        alpha: float = 0.0,
        batch_size: int | str = "auto",
        max_iter: int = 100,
        tol: float = 0.0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        refit: bool = False,
        warm_start: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        distributed: str | None = None,
        callbacks: Sequence[Any] | None = None,
        device: str | torch.device = "auto",
        precision: str = "float32",
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
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
        self.checkpoint = checkpoint
        self.distributed = distributed
        self.callbacks = callbacks
        self.device = device
        self.precision = precision
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: MatrixLike, y: Any = None, *, X_val: MatrixLike | None = None
    ) -> "VAETransformer":
        """Fit the model to rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows, within the range of the likelihood.
        y : Ignored
            Present by convention.
        X_val : {array-like, sparse matrix} of shape (n_val_samples, n_features), \
                default=None
            Validation rows. With a validation set the weights of the epoch with the
            best mean bound on it are kept; with `early_stopping` the fit ends when it
            has not improved for `n_iter_no_change` epochs.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X is not finite, or negative where the likelihood does not allow it, if
            `checkpoint` is of another fit, or if training diverges: the loss becomes
            NaN or infinite, which ends the fit in the same step on a CPU, within 64
            steps elsewhere, or ends at more than twice that of the untrained model.
            The estimator is then as before.
        RuntimeError
            If a distributed fit has failed in another process, or if that process has
            ended or does not answer. The estimator is then as before.
        KeyboardInterrupt
            If the fit is interrupted. The estimator keeps what it has learned: with
            validation the best weights so far, in a refit the weights of the refit.
            Before the first step it is as before.

        Warns
        -----
        UserWarning
            If X holds values above 1 and the likelihood is "bernoulli".
        ConvergenceWarning
            If all latent dimensions have collapsed.
        """
        self._fit(X, X_val, None)
        if self._module.variational and (self.component_kl_ < COLLAPSED_KL).all():
            warnings.warn(
                f"All n_components={self.n_components} latent dimensions have "
                f"collapsed: the posterior of every row is the prior (KL below "
                f"{COLLAPSED_KL} nats each), so transform cannot distinguish rows. "
                f"Lower beta (now {self.beta}), raise annealing (now "
                f"{self.annealing}), learning_rate_init (now "
                f"{self.learning_rate_init}) or max_iter (now {self.max_iter}), or "
                "check that the features of X depend on one another at all.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    @computation()
    def inverse_transform(self, Z: ArrayLike) -> NDArray[np.float32]:
        """Mean of p(x given z) for latent codes z.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components)
            Codes, as `transform` returns them, or draws from a standard normal.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features), float32
            In the units of the training data; for "multinomial" the share of each
            feature in the counts of a row.
        """
        check_is_fitted(self)
        Z = check_codes(Z, self._module.n_components)
        module = self._module
        return self._gather_rows(Z, lambda z: module.likelihood.mean(module.decode(z)))

    @available_if(is_variational)
    @computation("draw fewer n_samples at a time")
    @torch.no_grad()
    def sample(
        self, n_samples: int = 1, *, random_state: RandomState = None
    ) -> NDArray[np.float32]:
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
            With the noise of the likelihood; ``inverse_transform`` of draws from a
            standard normal has none. A row of "multinomial" has the total count of
            some training row.
        """
        check_is_fitted(self)
        n_samples = check_positive_int("n_samples", n_samples)
        rng = check_random_state(random_state)
        likelihood, totals = self._module.likelihood, None
        codes, generator = self._draw_codes(n_samples, rng)
        if likelihood.given_totals:
            totals = self._draw_training_totals(n_samples, rng)
        generators = Generators(
            generator, np.random.default_rng(rng.randint(2**31 - 1))
        )
        samples = np.empty((n_samples, self.n_features_in_), dtype=np.float32)
        for rows, _, outputs in self._map_rows(codes, self._module.decode):
            part = None if totals is None else totals[rows]
            samples[rows] = likelihood.sample(outputs, generators, part).cpu()
        return samples

    @available_if(is_variational)
    def score(self, X: MatrixLike, y: Any = None) -> float:
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
    def noise_variance_(self) -> float | NDArray[np.float64]:
        """Variance of the gaussian noise, in the squared units of X."""
        check_is_fitted(self)
        likelihood = self._module.likelihood
        if not hasattr(likelihood, "noise_variances"):
            raise AttributeError(
                "Only the gaussian likelihood has a noise variance; this model has "
                f"{likelihood.name!r}."
            )
        with torch.no_grad():
            variances = likelihood.noise_variances().cpu().numpy()
        return variances if len(variances) > 1 else float(variances[0])

    # Input and network

    def _check_rows(self, X, *, reset, likelihood=None):
        """Validate X for a likelihood; None is that of the fitted model."""
        if likelihood is None:
            likelihood = self.likelihood if reset else self._fitted_likelihood
        X = check_input(self, X, reset=reset)
        kind = LIKELIHOODS[likelihood]
        if kind.non_negative:
            check_non_negative(X, f"{type(self).__name__}({likelihood!r})")
        if sp.issparse(X) or kind.takes_sparse_rows_only:
            with errors_naming("X", X):
                X = canonical_csr(X)
        check_float32_range(X)
        # The max method of a sparse matrix would sum the caller's duplicates in place.
        stored = X.data if sp.issparse(X) else X
        limit = kind.max_value
        if limit is not None and stored.max(initial=0.0) > limit:
            warnings.warn(
                f"X goes up to {stored.max():.6g}, but the likelihood is "
                f"{likelihood!r}: values above {limit:g} are clipped to {limit:g}. "
                f"Scale X to [0, {limit:g}], as sklearn.preprocessing.MinMaxScaler "
                "does, or choose another likelihood.",
                UserWarning,
                stacklevel=4,
            )
            X = X.minimum(limit) if sp.issparse(X) else np.minimum(X, limit)
        return X

    def _check_settings(self):
        super()._check_settings()
        for name in ("encoder", "decoder"):
            if isinstance(getattr(self, name), torch.nn.Module):
                raise ValueError(
                    f"{name} is a torch.nn.Module, which a second fit would continue "
                    "to train instead of starting afresh; pass a factory, such as "
                    f"`{name}=lambda n_in, n_out: MyNetwork(n_in, n_out)`."
                )

    def _make_likelihood(self):
        return LIKELIHOODS[self.likelihood].make(
            self.n_features_in_, noise_variance=self.noise_variance
        )

    def _architecture(self):
        return {
            "tied_weights": False,
            "initial_log_variance": INITIAL_LOG_VARIANCE,
            "code_activation": "identity",
            "encoder": self.encoder,
            "decoder": self.decoder,
        }

    # Training

    def _run(self, X, *args, **kwargs):
        try:
            if self.n_iter_ == 0:
                self._start_from(self._module, X)
            super()._run(X, *args, **kwargs)
            self._measure(X)
        except KeyboardInterrupt:
            self._measure(X)
            raise

    def _starting_module(self, X):
        module = super()._starting_module(X)
        self._start_from(module, X)
        return module

    @torch.no_grad()
    def _start_from(self, module, X):
        """Let an untrained module return the means of the columns for any code."""
        if module.log_variance is not None:
            module.log_variance.weight.zero_()
        outputs = starting_outputs(module.likelihood, X, self._ranks)
        module.shift_outputs(outputs.to(device_of(module), torch.float32))

    def _measure(self, X):
        """Set `component_kl_`, from some of the training rows."""
        if not self._module.variational:
            vars(self).pop("component_kl_", None)
            return
        n_rows, mean = X.shape[0], np.zeros(self._module.n_components)
        if n_rows > MAX_KL_ROWS:
            rng = np.random.RandomState(self._state.seed)
            X = X[np.sort(rng.choice(n_rows, MAX_KL_ROWS, replace=False))]
        if n_rows:
            mean = self._gather_rows(
                X, lambda rows: kl_to_standard_normal(*self._module.posterior(rows))
            ).mean(axis=0)
        self.component_kl_ = np.float32(self._ranks.average(mean, n_rows))

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
        likelihood = self._fitted_likelihood if self._continues else self.likelihood
        return self._check_rows(X_val, reset=False, likelihood=likelihood), None

    def _validation_score(self, X_val, y_val):
        """Mean bound on X_val; of a plain autoencoder, its mean log-likelihood."""
        self._module.eval()  # layers of the user's own may differ in training
        if self._module.variational:
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
        """Likelihood of the fitted model, which the parameter may differ from."""
        return self._module.likelihood.name

    @property
    def _widest_layer(self):
        return max(max(weight.shape, default=1) for weight in self._module.parameters())

    def __sklearn_tags__(self):
        """Only some likelihoods take negative values."""
        tags = super().__sklearn_tags__()
        known = isinstance(self.likelihood, str) and self.likelihood in LIKELIHOODS
        tags.input_tags.positive_only = (
            known and LIKELIHOODS[self.likelihood].non_negative
        )
        return tags
