"""Mult-VAE and Mult-DAE for top-N recommendation (Liang et al. 2018)."""

import operator
import os
from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback

from skvae._base._attribute_types import array
from skvae._base._recommender import InnerProductMixin, hold_out_users
from skvae._base._vae import BaseVAE, is_variational
from skvae._linear_vae import LinearVAERecommender
from skvae._nn import Generators, Multinomial, start_from_linear
from skvae._training import (
    MAX_TOTAL,
    RowBatches,
    SampledBatches,
    Stream,
    computation,
    make_generator,
    out_of_memory,
)
from skvae.datasets import RowsOnDisk
from skvae.metrics._scorer import parse_metrics, ranking_scores
from skvae.utils._typing import ArrayLike, MatrixLike, NDArray, RandomState
from skvae.utils._validation import check_codes, check_positive_int, errors_naming

# n_sampled_items="auto": items up to which all are visited, and items drawn above.
MAX_ITEMS_VISITED, AUTO_SAMPLED_ITEMS = 30_000, 1000
# Values of parameters that are "auto": after a random start, and after a linear one.
AUTO = {"learning_rate_init": (0.003, 0.001), "max_iter": (20, 5)}
# Rows from which a linear start takes its scale.
N_STARTING_ROWS = 500


class MultVAERecommender(InnerProductMixin, BaseVAE):
    r"""Recommend items to users by Mult-VAE or Mult-DAE.

    Each row of `X` is a user, each column an item. An encoder maps a user's row to a
    distribution over a few latent dimensions, and a decoder maps these to a
    probability of every item, from which the row is modelled as a multinomial draw
    [1]_. Users who were not in the training data are the normal case: their rows are
    encoded like any other, without further training.

    With ``variational=False`` the code is a plain hidden layer and the model is
    Mult-DAE, a denoising autoencoder.

    Parameters
    ----------
    n_components : int, default=600
        Width of the latent code. Tune it first, together with `max_iter`: where users
        have few interactions, a narrower code or fewer epochs overfit less.

    hidden_layer_sizes : array-like of int, default=()
        Widths of the hidden layers of the encoder; the decoder has them in reverse.
        The default is none: on data of up to some ten thousand users a linear model
        ranks better than the hidden layer of 600 units of [1]_.

    activation : {"identity", "logistic", "tanh", "relu", "silu"}, default="tanh"
        Activation of the hidden layers, and of the code of Mult-DAE. The code of
        Mult-VAE, the mean of a normal distribution, has none.

    variational : bool, default=True
        Whether the code is a distribution (Mult-VAE) or not (Mult-DAE).

    tied_weights : bool, default=True
        Whether the decoder uses the weights of the encoder, transposed. This halves
        the number of weights and lets a wide code rank as well as an item-item model.

    initial_log_variance : float, default=-4.0
        Logarithm of the variance of the posterior before training. At 0, the choice
        of [1]_, a wide code is mostly noise at first, and a short training is spent
        on reducing it.

    beta : float or "auto", default=0.005
        Weight of the KL divergence once it is annealed. "auto" searches it as in
        section 2.2.2 of [1]_: one training anneals it from 0 to 1 while the validation
        score is tracked, and a second one has the value of the best epoch as its cap.
        Use a small beta with strong label smoothing, which flattens the likelihood:
        with the default smoothing, .02 ranks worse and .2 makes the posterior
        collapse. The .2 of [1]_, and the search from 0 to 1, suit
        ``label_smoothing=0``.

    annealing : float or int, default=0.8
        How long the weight of the KL rises linearly to `beta`: a float is a fraction
        of the planned `max_iter` epochs, an int a number of steps. A fixed number of
        steps, as in other implementations, means no KL at all on small data.

    dropout : float, default=0.35
        Probability with which an entry of the encoder's input is dropped.

    hidden_dropout : float, default=0.0
        Probability with which a hidden unit is dropped.

    label_smoothing : float, default=0.9
        Share of a row's mass that the loss spreads evenly over the catalogue: targets
        are (1 - e) x + e N / n_items. It keeps the scores of unseen items from being
        pushed down without bound, which matters most for small data.

    init : {"auto", "linear", "random"}, default="auto"
        Where training starts. "linear" fits a :class:`LinearVAERecommender` and takes
        over its weights: a few epochs from there rank better than many from random
        weights, and by far where users have few interactions. The outputs of an item
        are then scaled by a power of its number of interactions, which stays as it is.
        It needs `tied_weights` and no hidden layers. "auto" takes "linear" for such a
        Mult-VAE, and "random" otherwise.

    n_sampled_items : int, "auto" or None, default="auto"
        Estimate the loss of a step from the items of its users and so many others,
        drawn evenly, instead of all items (of no more than that, all are visited).
        Only the weights of these items move. None visits all items. "auto" takes 1,000
        on a CPU if there are more than 30,000 items, where visiting all would take
        most of the time, and None otherwise. The likelihood in
        `reconstruction_curve_` is then an estimate too. It is fastest with
        `tied_weights`.

    learning_rate_init : float or "auto", default="auto"
        Initial learning rate of AdamW. "auto" takes .001 after a linear start, which a
        higher rate forgets, and .003 after a random one and where a trained model
        continues.

    lr_schedule : {"cosine", "plateau"}, skorch LRScheduler or None, default="cosine"
        "cosine" decreases the learning rate to zero over the planned `max_iter`
        epochs; "plateau" halves it when the validation score (without validation, the
        training loss) has not improved for five epochs; None keeps it constant.

    alpha : float, default=0.0
        Decoupled weight decay of AdamW, on weights and not on biases.

    batch_size : int or "auto", default="auto"
        Rows in a step, at most: the rows are divided into steps of equal sizes. "auto"
        takes 500, or a tenth of the rows if that is less, so that an epoch has at least
        ten steps.

    max_iter : int or "auto", default="auto"
        Number of epochs, and the planned length that `annealing` and "cosine" refer
        to. "auto" takes 5 after a linear start and 20 after a random one.

    tol : float, default=0.0
        Improvement of the validation score that counts as better.

    early_stopping : bool, default=False
        Whether to hold out users for validation, stop when `scoring` has not improved
        by `tol` for `n_iter_no_change` epochs, and keep the weights of the best epoch.

    validation_fraction : float, default=0.1
        Share of the users held out if `early_stopping` is set or `beta` is "auto" and
        `fit` is given no validation set. A fifth of their interactions is ranked from
        the rest.

    scoring : str, default="ndcg@100"
        Metric of the validation score: a name of
        :func:`skvae.metrics.make_ranking_scorer`. It is a ranking metric because a
        lower loss does not always rank better.

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
    n_iter_ : int
        Number of epochs done, over all warm starts and calls of `partial_fit`.

    beta_ : float
        Cap of the weight of the KL: the one passed or the one found; 0 for Mult-DAE.

    loss_curve_ : list of float
        Mean training loss of a row in each epoch, in nats.

    reconstruction_curve_ : list of float
        Its negative log-likelihood part.

    kl_curve_ : list of float
        Mean KL divergence of a row in each epoch, not weighted by beta.

    beta_curve_ : list of float
        Weight of the KL at the end of each epoch.

    validation_scores_ : list of float
        Validation score after each epoch. Only with validation.

    best_validation_score_ : float
        Greatest of them. Only with validation.

    best_iter_ : int
        Epoch whose weights were kept, counted from 1. Only with validation.

    beta_path_ : dict of str to ndarray
        "beta" and "score" by epoch of the search. Only with ``beta="auto"``.

    item_vectors_ : ndarray of shape (n_items, n_dimensions), float32
        Vectors of the items, whose inner products with `user_vectors` are the scores.

    n_features_in_ : int
        Number of items.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the items, if `X` was a dataframe with string column names.

    item_ids_ : ndarray of shape (`n_features_in_`,)
        Ids of the items, if they were passed to :func:`skvae.save_model`. Only after
        :func:`skvae.load_model`, until the next fit that starts afresh.

    See Also
    --------
    skvae.metrics.make_ranking_scorer : Scorers for searches over the parameters.
    skvae.model_selection.hold_out_interactions : Make a validation set.
    skvae.datasets.load_interactions : From a file or frame of interactions to `X`.

    Notes
    -----
    The loss of a user with interactions x, N of them in all, is

    .. math:: N \log \sum_i e^{f_i(z)} - \sum_i x_i f_i(z)
              + \beta \, KL(q(z | x) \| N(0, I)),

    equation 7 of [1]_ with one draw z from q(z given x). Rows are scaled to unit length
    before the dropout. A value of 3 in `X` counts as three interactions; a step before
    the recommender in a pipeline may change the values, and with them the weight of
    the KL (`TfidfTransformer` does).

    The settings of [1]_ are ``MultVAERecommender(200, hidden_layer_sizes=(600,),
    tied_weights=False, initial_log_variance=0, beta=0.2, dropout=0.5,
    label_smoothing=0, learning_rate_init=0.001, lr_schedule=None, batch_size=500,
    max_iter=200)``, chosen there for sets of more than 100,000 users.

    A checkpoint is written after the first epoch, and then whenever ten times the
    duration of a write has passed. It is checked when it is read: one of other data
    (by a hash), or of other parameters than `device`, `callbacks` and `verbose`, is
    refused with a list of the differences, and not overwritten. Loading it runs no
    code. If `random_state` is not an int, the seed is that of the file. Callbacks are
    not called for the epochs before; skorch callbacks whose state depends on them are
    refused, as is `warm_start`.

    References
    ----------
    .. [1] D. Liang, R. G. Krishnan, M. D. Hoffman, T. Jebara, "Variational Autoencoders
       for Collaborative Filtering", WWW 2018, https://arxiv.org/abs/1802.05814

    Examples
    --------
    >>> from skvae import MultVAERecommender
    >>> from skvae.datasets import make_checkerboard
    >>> X, held_out = make_checkerboard(60, 40)
    >>> model = MultVAERecommender(8, random_state=0).fit(X)
    >>> items, scores = model.recommend(X[:3], n_items=2, return_scores=True)
    >>> (items[:, 0] == held_out[:3]).tolist()
    [True, True, True]
    >>> model.transform(X).shape
    (60, 8)
    """

    _parameter_constraints: dict = {
        **BaseVAE._parameter_constraints,
        "tied_weights": ["boolean"],
        "init": [StrOptions({"auto", "linear", "random"})],
        **{
            name: [*BaseVAE._parameter_constraints[name], StrOptions({"auto"})]
            for name in AUTO
        },
        "initial_log_variance": [Interval(Real, -20, 20, closed="both")],
        "beta": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "n_sampled_items": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
            None,
        ],
        "scoring": [str],
    }

    _blocks_to_fit = RowsOnDisk

    _saved_attributes = {
        **BaseVAE._saved_attributes,
        "beta_path_.beta": array(torch.float64, "searched", group="search"),
        "beta_path_.score": array(torch.float64, "searched", group="search"),
    }

    def __init__(
        self,
        n_components: int = 600,
        *,
        hidden_layer_sizes: Sequence[int] = (),
        activation: str = "tanh",
        variational: bool = True,
        tied_weights: bool = True,
        initial_log_variance: float = -4.0,
        beta: float | str = 0.005,
        annealing: float | int = 0.8,
        dropout: float = 0.35,
        hidden_dropout: float = 0.0,
        label_smoothing: float = 0.9,
        init: str = "auto",
        n_sampled_items: int | str | None = "auto",
        learning_rate_init: float | str = "auto",
        lr_schedule: str | Callback | None = "cosine",
        alpha: float = 0.0,
        batch_size: int | str = "auto",
        max_iter: int | str = "auto",
        tol: float = 0.0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        scoring: str = "ndcg@100",
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
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.variational = variational
        self.tied_weights = tied_weights
        self.initial_log_variance = initial_log_variance
        self.beta = beta
        self.annealing = annealing
        self.dropout = dropout
        self.hidden_dropout = hidden_dropout
        self.label_smoothing = label_smoothing
        self.init = init
        self.n_sampled_items = n_sampled_items
        self.learning_rate_init = learning_rate_init
        self.lr_schedule = lr_schedule
        self.alpha = alpha
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.scoring = scoring
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
        self,
        X: MatrixLike,
        y: Any = None,
        *,
        X_val: MatrixLike | None = None,
        y_val: MatrixLike | None = None,
    ) -> "MultVAERecommender":
        """Fit the model to the interactions of users.

        Parameters
        ----------
        X : {array-like, sparse matrix, RowsOnDisk} of shape (n_users, n_items)
            Interactions: positive where the user interacted with the item, either 1
            or a count, which weighs it. Of :class:`~skvae.datasets.RowsOnDisk`, a
            window of rows at a time is in memory, and is shuffled. With `warm_start`
            there may be more columns than in the previous fit: new items after the old
            ones, of which everything that was learned is kept.
        y : Ignored
            Present by convention.
        X_val : {array-like, sparse matrix} of shape (n_val_users, n_items), \
                default=None
            Interactions of validation users, to be folded in. With a validation set
            the weights of the epoch with the best `scoring` are kept; with
            `early_stopping` the fit ends when it has not improved for
            `n_iter_no_change` epochs.
        y_val : {array-like, sparse matrix} of shape (n_val_users, n_items), \
                default=None
            Held-out interactions of the same users, the truth.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X is negative, not finite, without any interaction or a table with one
            row per interaction, if X_val and y_val do not match it, if `checkpoint` is
            of another fit, or if training diverges: the loss becomes NaN or infinite,
            which ends the fit in the same step on a CPU, within 64 steps elsewhere, or
            ends at more than twice that of the untrained model. The estimator is then
            as before.
        RuntimeError
            If a distributed fit has failed in another process, or if that process has
            ended or does not answer. The estimator is then as before.
        KeyboardInterrupt
            If the fit is interrupted. The estimator keeps what it has learned: with
            validation the best weights so far; in a refit or a search for `beta`, the
            weights of this training. Before the first step it is as before.
        """
        parse_metrics(self.scoring)
        return self._fit(X, X_val, y_val)

    @computation()
    def inverse_transform(self, Z: ArrayLike) -> NDArray[np.float32]:
        """Score all items for given latent codes.

        Parameters
        ----------
        Z : array-like of shape (n_users, n_components)
            Codes, as `transform` returns them.

        Returns
        -------
        scores : ndarray of shape (n_users, n_items), float32
            As `decision_function` returns them for users with these codes.
        """
        check_is_fitted(self)
        Z = check_codes(Z, self._module.n_components)
        return self._gather_rows(Z, self._module.decode)

    @available_if(is_variational)
    @computation("draw fewer n_samples at a time")
    def sample(
        self,
        n_samples: int = 1,
        *,
        n_interactions: ArrayLike | None = None,
        random_state: RandomState = None,
    ) -> sp.csr_array:
        """Draw users from the model: z from the prior, then items from p(x given z).

        Parameters
        ----------
        n_samples : int, default=1
            Number of users.
        n_interactions : int or array-like of shape (n_samples,), default=None
            Number N of interactions of each user. None draws it from the numbers of
            the training users.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws.

        Returns
        -------
        X : csr_array of shape (n_samples, n_items), float32
            Counts. The multinomial draws with replacement, so that an item may occur
            more than once.
        """
        check_is_fitted(self)
        n_samples = check_positive_int("n_samples", n_samples)
        rng = check_random_state(random_state)
        totals = self._draw_totals(n_samples, n_interactions, rng)
        codes, generator = self._draw_codes(n_samples, rng)
        generators = Generators(
            generator, np.random.default_rng(rng.randint(2**31 - 1))
        )
        counts = [
            self._draw_counts(logits, totals[rows], generators)
            for rows, _, logits in self._map_rows(codes, self._module.decode)
        ]
        return sp.csr_array(sp.vstack(counts))

    def _draw_counts(self, logits, totals, generators):
        """Draw rows with these logits and totals: CSR, float32."""
        likelihood = self._module.likelihood
        if totals.max() > logits.shape[1]:
            return sp.csr_array(likelihood.sample(logits, generators, totals).numpy())
        users, items = likelihood.sample_columns(
            logits, generators.torch, torch.from_numpy(totals).to(logits.device)
        )
        places = users.cpu().numpy(), items.cpu().numpy()
        ones = np.ones(len(places[0]), dtype=np.float32)
        return sp.csr_array((ones, places), shape=logits.shape)

    def _draw_totals(self, n_samples, n_interactions, rng):
        """Numbers of interactions of `n_samples` users to draw: int64 array."""
        if n_interactions is None:
            return self._draw_training_totals(n_samples, rng)
        with errors_naming("n_interactions", n_interactions):
            totals = np.asarray(n_interactions)
        fits = totals.shape in ((), (n_samples,)) and totals.dtype.kind in "iu"
        if not fits or (totals < 0).any() or (totals > MAX_TOTAL).any():
            raise ValueError(
                f"n_interactions={n_interactions!r} must be an integer from 0 to "
                f"2**53, or one for each of n_samples={n_samples} samples."
            )
        return np.broadcast_to(totals, (n_samples,)).astype(np.int64)

    def _iter_scores(self, X):
        def score(batch):
            return self._module.decode(self._module.encode(batch))

        return self._map_rows(X, score)

    @computation()
    def _user_vectors(self, X):
        """Last hidden layer of the decoder, and 1 for the bias of the items."""
        check_is_fitted(self)
        X = self._check_rows(X, reset=False)
        return self._gather_rows(X, self._module.user_vectors)

    def _make_batches(self, X):
        n_drawn = self._plain("n_sampled_items")
        if n_drawn == "auto":
            wide = X.shape[1] > MAX_ITEMS_VISITED and self._module_device.type == "cpu"
            n_drawn = AUTO_SAMPLED_ITEMS if wide else None
        if n_drawn is None or n_drawn >= X.shape[1]:  # all items
            return super()._make_batches(X)
        return SampledBatches(X, self._module_device, n_drawn, self._ranks)

    def _plain(self, name):
        value = super()._plain(name)
        if name not in AUTO or value != "auto":
            return value
        continues = name == "learning_rate_init" and self.n_iter_ > 0
        return AUTO[name][self._starts_linear and not continues]

    def _check_settings(self):
        super()._check_settings()
        if self.init == "linear" and not self._has_one_matrix:
            raise ValueError(
                'init="linear" needs tied_weights=True and hidden_layer_sizes=(), but '
                f"they are {self.tied_weights} and {self.hidden_layer_sizes!r}; "
                'change them, or pass init="random".'
            )

    @property
    def _has_one_matrix(self):
        """Whether encoder and decoder have the same weights, in a single layer."""
        return self.tied_weights and len(self.hidden_layer_sizes) == 0

    @property
    def _starts_linear(self):
        """Whether training starts from a linear VAE."""
        if self.init == "auto":
            return bool(self.variational and self._has_one_matrix)
        return self.init == "linear"

    def _start(self, seed, X):
        super()._start(seed, X)
        if not self._starts_linear:
            return
        try:
            self._start_from_linear(seed, X)
        except torch.cuda.OutOfMemoryError as error:
            raise out_of_memory(
                "in the fit of the linear start; lower n_components, or use "
                'init="random" or device="cpu"'
            ) from error

    def _start_from_linear(self, seed, X):
        """Fit a linear VAE, and give the present module its weights."""
        linear = LinearVAERecommender(
            self.n_components,
            device=self.device,
            random_state=seed,
            verbose=self.verbose if self._ranks.is_first else 0,
        )
        fits = isinstance(X, RowsOnDisk) and X.nnz <= X.window
        linear.fit(self._ranks.all_rows(X[:] if fits else X))
        rng = np.random.RandomState(seed)
        n_rows = min(N_STARTING_ROWS, X.shape[0])
        rows = np.sort(rng.choice(X.shape[0], n_rows, replace=False))
        rows = sp.vstack(self._ranks.gather(X[rows]), format="csr")
        batch = RowBatches(rows, self._module_device).take(slice(None))
        start_from_linear(self._module, linear._module, batch)

    def _blank_module(self, weights):
        module = super()._blank_module(weights)
        if self.tied_weights and "decoder.output_scale" in weights:
            shape = (self.n_features_in_,)
            module.decoder.output_scale = torch.ones(shape, dtype=torch.float32)
        return module

    def _make_likelihood(self):
        return Multinomial(self.label_smoothing)

    def _architecture(self):
        return {
            "tied_weights": self.tied_weights,
            "initial_log_variance": self.initial_log_variance,
        }

    def _choose_beta(self, X, validation, seed, checkpoint=None):
        """Set `beta_`; for "auto", by the search of Liang et al. 2018, section 2.2.2.

        Beta is annealed from 0 to 1 once, and its value at the best epoch is taken.
        """
        vars(self).pop("beta_path_", None)
        if self.beta != "auto" or not self.variational:
            super()._choose_beta(X, validation, seed, checkpoint)
            return
        if checkpoint.outcome("search") is None:
            self.beta_ = 1.0
            self._start(seed, X)
            resume = checkpoint.resume("search")
            self._run(X, self._plain("max_iter"), validation, resume=resume)
            checkpoint.finish(
                "search",
                beta=self.beta_curve_,
                score=self.validation_scores_,
                best=self.beta_curve_[self.best_iter_ - 1],
            )
        path = dict(checkpoint.outcome("search"))
        self.beta_ = path.pop("best")
        self.beta_path_ = {name: np.array(curve) for name, curve in path.items()}

    @property
    def _needs_validation(self):
        return self.early_stopping or (self.beta == "auto" and self.variational)

    def _check_rows_to_continue(self, X):
        """Validate X, and add new items to the network if X has more columns."""
        n_before = self.n_features_in_
        names = getattr(self, "feature_names_in_", None)
        X = self._check_rows(X, reset=True)
        now = getattr(self, "feature_names_in_", None)
        renamed = (names is None) != (now is None) or (
            names is not None and not np.array_equal(names, now[:n_before])
        )
        if X.shape[1] < n_before or renamed:
            raise ValueError(
                f"X has {X.shape[1]} columns (items) and the previous fit had "
                f"{n_before}. warm_start=True continues the previous fit: pass its "
                "columns in the same order, with the same names, and new items after "
                "them; or set warm_start=False to start afresh."
            )
        if X.shape[1] > n_before:
            self._add_items()
        return X

    @torch.no_grad()
    def _add_items(self):
        """Make a network of `n_features_in_` items that keeps what was learned."""
        seed, old = self._state.seed, self._module.state_dict()
        module = self._make_module(make_generator(seed, Stream.INITIAL_WEIGHTS))
        scale = old.get("decoder.output_scale")
        if scale is not None and self._has_one_matrix:
            largest = scale.max().item()  # for new items, which then learn fast
            module.decoder.output_scale = torch.full(
                (self.n_features_in_,), largest, dtype=torch.float32
            )
        new = module.state_dict()
        grown = {}
        for name, weight in new.items():
            part = old.get(name)
            if part is None or sum(map(operator.ne, part.shape, weight.shape)) > 1:
                raise ValueError(
                    "The parameters of the network were changed since the previous "
                    "fit, so items cannot be added to it; restore them, or set "
                    "warm_start=False."
                )
            place = tuple(map(slice, part.shape))
            weight[place] = part.cpu()
            grown[name] = {}
            for key, moment in (self._state.optimizer or {}).get(name, {}).items():
                if moment.ndim:
                    padded = torch.zeros_like(weight)
                    padded[place] = moment.cpu()
                    moment = padded
                grown[name][key] = moment
        optimizer = {name: moments for name, moments in grown.items() if moments}
        self._module = module.to(self._module_device)
        self._state = replace(self._state, optimizer=optimizer or None)
        vars(self).pop("item_ids_", None)

    def _split_validation(self, X, seed):
        """Hold out whole users, and of these a part of the interactions."""
        split = hold_out_users(X, self.validation_fraction, seed)
        if split is None:
            raise ValueError(
                "No users can be held out for validation: X has "
                f"n_samples = {X.shape[0]} users and n_features = {X.shape[1]} items, "
                "and too few users have two interactions or more. Pass more data, "
                "X_val, or early_stopping=False and a number as beta."
            )
        return split

    def _validation_score(self, X_val, y_val):
        return ranking_scores(self._checked_recommender(), X_val, y_val, self.scoring)
