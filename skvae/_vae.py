"""Dimension reduction, density and generation by a VAE (Kingma & Welling 2014)."""

import warnings
from numbers import Real

import numpy as np
import torch
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skvae._training import make_generator
from skvae._vae_fit import COLLAPSED_KL, LIKELIHOODS, VAEFit
from skvae._vae_inference import is_variational
from skvae._validation import check_codes
from skvae.metrics._validation import check_positive_int
from skvae.nn import Gaussian


class VAETransformer(VAEFit):
    r"""Reduce dimensions, estimate density and generate by a variational autoencoder.

    An encoder turns a row x into a normal distribution over a few latent dimensions
    z, a decoder turns z into a distribution of x, and both are trained to raise a
    lower bound of log p(x) [1]_. `transform` gives the mean of the former,
    `inverse_transform` that of the latter, `score_samples` the log-probability, and
    `sample` new rows.

    With ``variational=False`` it is an autoencoder, with `dropout` a denoising one.

    Parameters
    ----------
    n_components : int, default=10
        Width of the latent code. Dimensions that the data does not need fall out of
        use by themselves: see `component_kl_`.

    likelihood : str, default="gaussian"
        Distribution of x given z. "gaussian" for real values such as standardised
        features, and for pixels whose grey counts; "bernoulli" for zeros and ones or
        values in [0, 1] (what is above 1 is clipped, with a warning); "poisson" for
        counts; "multinomial" for counts of which only the shares in a row matter.

    noise_variance : {"shared", "feature"} or float, default="shared"
        Variance of the gaussian noise: one that is learned, as in probabilistic PCA,
        one for each feature, as in factor analysis, or a fixed one in the squared
        units of `X`. With "shared", features of large variance count for more, as in
        PCA; with "feature" the units of the features do not matter.

    hidden_layer_sizes : array-like of int, default=(256,)
        Widths of the hidden layers of the encoder, in reverse those of the decoder.
        () makes a linear model: with the gaussian likelihood, probabilistic PCA [2]_.

    activation : {"identity", "logistic", "tanh", "relu", "silu"}, default="relu"
        Activation of the hidden layers; the code has none. Of tanh, silu and relu, the
        last gave codes of digits from which a linear classifier read the most.

    encoder, decoder : callable, default=None
        Factories ``(n_in, n_out) -> torch.nn.Module`` of networks of your own, which
        map float32 rows (n_rows, n_in) to (n_rows, n_out) and take the place of the
        perceptrons. The encoder has ``n_out = 2 * n_components``: mean, then
        log-variance (`n_components` for an autoencoder); the decoder gives the
        parameters of the likelihood: means in standard units, log-odds, log-rates or
        logits.

    variational : bool, default=True
        Whether the code is a distribution.

    beta : float, default=1.0
        Weight of the KL divergence once it is annealed. At 1 the loss is the bound.
        There is no "auto": by the bound on validation rows, 1 is the best by nature.
        Search it by what the codes are for: where a classifier reads them, less than
        1 may be better (0.3 for digits).

    annealing : float or int, default=0.25
        How long the weight of the KL rises linearly to `beta`: a float is a fraction
        of the planned `max_iter` epochs, an int a number of steps. Keeps dimensions
        from collapsing before the decoder has found a use for them.

    dropout : float, default=0.0
        Probability with which an input of the encoder is dropped; in standard units
        for the gaussian, where this puts the mean in its place.

    hidden_dropout : float, default=0.0
        Probability with which a hidden unit is dropped.

    learning_rate_init : float, default=0.01
        Learning rate of AdamW: high, for the schedule lets it fall.

    lr_schedule : {"cosine", "plateau"}, skorch LRScheduler or None, default="cosine"
        "cosine" lets the learning rate fall to zero over the planned `max_iter` epochs,
        "plateau" halves it when the validation bound (without validation, the training
        loss) has not improved for five epochs.

    alpha : float, default=0.0
        Decoupled weight decay of AdamW, on weights; not on biases or the noise.

    batch_size : int or "auto", default="auto"
        Rows in a step. "auto" takes 500, or a tenth of the rows where that is less.

    max_iter : int, default=100
        Number of epochs, and the plan that `annealing` and "cosine" refer to.

    tol : float, default=0.0
        What the validation bound must gain to count as better.

    early_stopping : bool, default=False
        Whether to hold out rows for validation, stop when the bound on them has not
        improved by `tol` for `n_iter_no_change` epochs, and keep the weights of the
        best epoch.

    validation_fraction : float, default=0.1
        Share of the rows held out by `early_stopping` if `fit` is given no `X_val`.

    n_iter_no_change : int, default=10
        Epochs without a better bound after which early stopping ends the fit.

    refit : bool, default=False
        Whether to train again on all rows for the number of epochs found best.

    warm_start : bool, default=False
        Whether `fit` goes on from where the fit before ended.

    checkpoint : str or path-like, default=None
        File, or folder, to which `fit` writes after epochs where it stands, so that,
        cut short by whatever, the same call goes on from there to the same bits; see
        :class:`MultVAERecommender`. Factories are not compared, but the shapes of
        their weights. None writes nothing.

    callbacks : list of skorch callbacks, default=None
        Callbacks, or pairs of a name and a callback. They are cloned before use.

    device : str or torch.device, default="auto"
        Where to compute. "auto" takes a CUDA device where there is one.

    precision : {"float32", "tf32", "bfloat16"}, default="float32"
        Of the matrix products of training; weights, losses and all inference are
        float32. "tf32" rounds factors to 10 bits on CUDA devices and is float32
        elsewhere, "bfloat16" rounds them to 7 bits. Both are meant for GPUs.

    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, the order of rows, dropout and noise. With an int,
        fits on one device with one number of threads give the same bits.

    verbose : int, default=0
        1 shows a progress bar, 2 a line for each epoch.

    Attributes
    ----------
    component_kl_ : ndarray of shape (n_components,)
        Mean KL divergence of each latent dimension, in nats, over up to 2000 training
        rows. One near 0 is not in use. Not for autoencoders.

    noise_variance_ : float or ndarray of shape (`n_features_in_`,)
        Variance of the gaussian noise, in the squared units of `X`.

    n_iter_ : int
        Number of epochs done, over all warm starts and calls of `partial_fit`.

    beta_ : float
        The weight of the KL; 0 for an autoencoder.

    loss_curve_, reconstruction_curve_, kl_curve_ : list of float
        By epoch, means over the rows, in nats: the loss, its part that is negative
        log-likelihood, and the KL divergence not weighted by beta.

    beta_curve_ : list of float
        Weight of the KL at the end of each epoch.

    validation_scores_ : list of float
        Mean bound of the validation rows after each epoch (of an autoencoder, their
        log-likelihood). Only with validation, as are the next two.

    best_validation_score_ : float
        Greatest of them.

    best_iter_ : int
        Epoch whose weights were kept, counted from 1.

    n_features_in_ : int
        Number of features.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if `X` was a dataframe with columns of text.

    See Also
    --------
    sklearn.decomposition.PCA : The linear case in closed form.
    MultVAERecommender : The same for users and items.

    Notes
    -----
    The loss of a row x, under one draw z from the posterior q, is

    .. math:: -\log p(x | z) + \beta \, KL(q(z | x) \| N(0, I)),

    equation 10 of [1]_. For the gaussian likelihood the network works on rows that are
    centred and scaled, by one number, or feature by feature where the noise is: bounds
    and log-probabilities are in the units of `X` all the same. It computes in float32,
    so a spread under a millionth of the mean is lost.

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
        **VAEFit._parameter_constraints,
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
    del _name

    def __init__(
        self,
        n_components=10,
        *,
        likelihood="gaussian",
        noise_variance="shared",
        hidden_layer_sizes=(256,),
        activation="relu",
        encoder=None,
        decoder=None,
        variational=True,
        beta=1.0,
        annealing=0.25,
        dropout=0.0,
        hidden_dropout=0.0,
        learning_rate_init=0.01,
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
        checkpoint=None,
        callbacks=None,
        device="auto",
        precision="float32",
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
        self.checkpoint = checkpoint
        self.callbacks = callbacks
        self.device = device
        self.precision = precision
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
            If X is not finite or, where the likelihood asks for it, negative, if
            `checkpoint` is of another fit, or if training diverges: the loss becomes
            NaN or infinite, which ends the fit in the same step on a CPU, within 64
            steps elsewhere. The estimator is then as before.
        KeyboardInterrupt
            On the user's interruption. The estimator is fitted as far as it came: with
            validation it has the best weights so far, in a refit those of the refit.
            Before the first step it is as before.

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

    @available_if(is_variational)
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
        check_positive_int("n_samples", n_samples)
        rng = check_random_state(random_state)
        device = self._module_device
        generator = make_generator(rng.randint(2**31 - 1), device=device)
        z = torch.empty(n_samples, self._module.n_components, device=device)
        z.normal_(generator=generator)
        samples = np.empty((n_samples, self.n_features_in_), dtype=np.float32)
        totals = self._draw_totals(n_samples, rng)
        numpy_generator = np.random.default_rng(rng.randint(2**31 - 1))
        for rows, _, outputs in self._map_rows(z.cpu().numpy(), self._module.decode):
            if totals is None:
                samples[rows] = self._module.likelihood.sample(outputs, generator).cpu()
            else:
                # Not one by one, as torch draws them: rows may have millions of counts.
                shares = torch.softmax(outputs.double(), dim=1).cpu().numpy()
                samples[rows] = numpy_generator.multinomial(totals[rows], shares)
        return samples

    @available_if(is_variational)
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
