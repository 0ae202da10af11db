"""Mult-VAE and Mult-DAE for top-N recommendation (Liang et al. 2018)."""

from numbers import Real

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from skvae._base import BaseVAE
from skvae._recommender import RecommenderMixin
from skvae._user_draws import UserDrawsMixin
from skvae._validation import check_codes
from skvae.metrics._scorer import parse_metrics, ranking_scores
from skvae.model_selection import hold_out_interactions
from skvae.nn import Multinomial


class MultVAERecommender(UserDrawsMixin, RecommenderMixin, BaseVAE):
    r"""Recommend items to users by Mult-VAE or Mult-DAE.

    Each row of `X` is a user, each column an item. An encoder turns a user's row into
    a distribution over a few latent dimensions, a decoder turns these into a
    probability of every item, and the row is taken as a multinomial draw from them
    [1]_. Users never seen in training are the normal case: their rows are encoded like
    any other, and nothing is trained again.

    With ``variational=False`` the code is a plain hidden layer, and the model is
    Mult-DAE, a denoising autoencoder.

    Parameters
    ----------
    n_components : int, default=600
        Width of the latent code. The first thing to tune, with `max_iter`: where users
        have few interactions, a narrower code or fewer epochs overfit less.

    hidden_layer_sizes : array-like of int, default=()
        Widths of the hidden layers of the encoder, in reverse those of the decoder.
        The default has none: on sets of up to some ten thousand users a linear model
        ranks better than the 600 units of [1]_.

    activation : {"identity", "logistic", "tanh", "relu", "silu"}, default="tanh"
        Activation of the hidden layers, and of the code of Mult-DAE. The code of
        Mult-VAE, the mean of a normal distribution, has none.

    variational : bool, default=True
        Whether the code is a distribution (Mult-VAE) or not (Mult-DAE).

    tied_weights : bool, default=True
        Whether the decoder uses the weights of the encoder, transposed. This halves
        what is to be learned, and lets a wide code rank as well as an item-item model.

    initial_log_variance : float, default=-4.0
        Logarithm of the posterior's variance before training. At 0, the choice of
        [1]_, a wide code starts out as noise, and a short training is spent on that.

    beta : float or "auto", default=0.005
        Weight of the KL divergence once it is annealed. "auto" searches it as in
        section 2.2.2 of [1]_: one training anneals it from 0 to 1 under the eyes of a
        validation set, a second has the value of the best epoch as its cap. Label
        smoothing makes the likelihood flat, so that beta must be small beside it: with
        the default smoothing .02 ranks worse and .2 lets the posterior collapse. The
        .2 of [1]_, and the search from 0 to 1, go with ``label_smoothing=0``.

    annealing : float or int, default=0.8
        How long the weight of the KL rises linearly to `beta`, moved on at each step:
        a float is a fraction of the planned `max_iter` epochs, an int a number of
        steps. A fixed number of steps, as published code has, means no KL at all on
        small data.

    dropout : float, default=0.35
        Probability with which an interaction is dropped from the input.

    hidden_dropout : float, default=0.0
        Probability with which a hidden unit is dropped.

    label_smoothing : float, default=0.9
        Share of a row's mass that the loss spreads evenly over the catalogue: targets
        are (1 - e) x + e N / n_items. Keeps scores of unseen items from being pushed
        down without bound, and does most for small sets.

    learning_rate_init : float, default=0.003
        Learning rate of AdamW.

    lr_schedule : {"cosine", "plateau"}, skorch LRScheduler or None, default="cosine"
        "cosine" lets the learning rate fall to zero over the planned `max_iter` epochs,
        "plateau" halves it when the validation score (without validation, the training
        loss) has not improved for five epochs.

    alpha : float, default=0.0
        Decoupled weight decay of AdamW, on weights and not on biases.

    batch_size : int or "auto", default="auto"
        Users in a step. "auto" takes 500, or a tenth of the users where that is less,
        so that an epoch has ten steps at least.

    max_iter : int, default=20
        Number of epochs, and the plan that `annealing` and "cosine" refer to.

    tol : float, default=0.0
        What the validation score must gain to count as better.

    early_stopping : bool, default=False
        Whether to hold out users for validation, stop when `scoring` has not improved
        by `tol` for `n_iter_no_change` epochs, and keep the weights of the best epoch.

    validation_fraction : float, default=0.1
        Share of the users held out when `early_stopping` is set or `beta` is "auto"
        and `fit` is given no validation set. A fifth of their interactions is to be
        found from the rest.

    scoring : str, default="ndcg@100"
        The metric that validation watches: a name of
        :func:`skvae.metrics.make_ranking_scorer`. Ranking and not loss, for the two
        part ways.

    n_iter_no_change : int, default=10
        Epochs without a better score after which early stopping ends the fit.

    refit : bool, default=False
        Whether to train again on all users, those held out included, for the number of
        epochs found best.

    warm_start : bool, default=False
        Whether `fit` goes on from the weights, the optimiser and the annealing of the
        fit before, instead of starting afresh.

    checkpoint : str or path-like, default=None
        File to which `fit` writes after epochs where it stands, so that, cut short by
        whatever, the same call goes on from there: to the same bits, on the same
        machine with the same number of threads. It is removed when the fit is done or
        has diverged. In a folder every fit has a file of its own, as searches need it.
        None writes nothing; see the Notes.

    callbacks : list of skorch callbacks, default=None
        Callbacks, or pairs of a name and a callback. They are cloned before use. An
        `EarlyStopping` among them may end the fit.

    device : str or torch.device, default="auto"
        Where to compute. "auto" takes a CUDA device where there is one.

    precision : {"float32", "tf32", "bfloat16"}, default="float32"
        Of the matrix products of training; weights, losses and all inference are
        float32. "tf32" rounds factors to 10 bits on CUDA devices and is float32
        elsewhere, "bfloat16" rounds them to 7 bits. Both are meant for GPUs.

    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, the order of users, dropout, noise and what is
        held out. With an int, fits on one device with one number of threads give the
        same bits.

    verbose : int, default=0
        1 shows a progress bar, 2 a line for each epoch.

    Attributes
    ----------
    n_iter_ : int
        Number of epochs done, over all warm starts and calls of `partial_fit`.

    beta_ : float
        Cap of the weight of the KL: what was passed or found; 0 for Mult-DAE.

    loss_curve_ : list of float
        Mean training loss of a user in each epoch, in nats.

    reconstruction_curve_ : list of float
        Its part that is negative log-likelihood.

    kl_curve_ : list of float
        Mean KL divergence of a user in each epoch, not weighted by beta.

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

    n_features_in_ : int
        Number of items.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the items, if `X` was a dataframe with columns of text.

    item_ids_ : ndarray of shape (`n_features_in_`,)
        Ids of the items, if :func:`skvae.save_model` was given them. Only on what
        :func:`skvae.load_model` has loaded, until a fit that starts afresh.

    See Also
    --------
    skvae.metrics.make_ranking_scorer : Scorers for searches over the parameters.
    skvae.model_selection.hold_out_interactions : Make a validation set of one's own.
    skvae.datasets.load_interactions : From a file or frame of interactions to `X`.

    Notes
    -----
    The loss of a user with interactions x, N of them in all, is

    .. math:: N \log \sum_i e^{f_i(z)} - \sum_i x_i f_i(z)
              + \beta \, KL(q(z | x) \| N(0, I)),

    equation 7 of [1]_ with one draw z from q(z given x). Rows are scaled to unit length
    before the dropout. Values of `X` other than 1 count as so many interactions; what
    stands before the recommender in a pipeline may change them, and with them the
    weight of the KL (`TfidfTransformer` does).

    The settings of [1]_ are ``MultVAERecommender(200, hidden_layer_sizes=(600,),
    tied_weights=False, initial_log_variance=0, beta=0.2, dropout=0.5,
    label_smoothing=0, learning_rate_init=0.001, lr_schedule=None, batch_size=500,
    max_iter=200)``, chosen there for sets of more than 100,000 users.

    A checkpoint is written after the first epoch, and then whenever ten times as long
    as that took has passed. What it holds is checked: one of other data (by a hash),
    or of other parameters than `device`, `callbacks` and `verbose`, is refused with
    what differs, and not overwritten. Loading it runs no code. With a `random_state`
    other than an int, the seed is that of the file. Callbacks are not told of the
    epochs before; those of skorch that go by them are refused, as is `warm_start`.

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

    _normalize = True

    _parameter_constraints: dict = {
        **BaseVAE._parameter_constraints,
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "scoring": [str],
    }

    def __init__(
        self,
        n_components=600,
        *,
        hidden_layer_sizes=(),
        activation="tanh",
        variational=True,
        tied_weights=True,
        initial_log_variance=-4.0,
        beta=0.005,
        annealing=0.8,
        dropout=0.35,
        hidden_dropout=0.0,
        label_smoothing=0.9,
        learning_rate_init=0.003,
        lr_schedule="cosine",
        alpha=0.0,
        batch_size="auto",
        max_iter=20,
        tol=0.0,
        early_stopping=False,
        validation_fraction=0.1,
        scoring="ndcg@100",
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
        self.callbacks = callbacks
        self.device = device
        self.precision = precision
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, X_val=None, y_val=None):
        """Fit the model to the interactions of users.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions: positive where the user met the item, as 1 or as a count
            that weighs it.
        y : Ignored
            Present by convention.
        X_val : {array-like, sparse matrix} of shape (n_val_users, n_items), \
                default=None
            Interactions of validation users, to be folded in. With a validation set
            the weights of the epoch with the best `scoring` are kept; with
            `early_stopping` the fit ends when they have not improved for
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
            If X is negative, not finite or without any interaction, if X_val and
            y_val do not fit it, if `checkpoint` is of another fit, or if training
            diverges: the loss becomes NaN or infinite, which ends the fit in the same
            step on a CPU, within 64 steps elsewhere. The estimator is then as before.
        KeyboardInterrupt
            On the user's interruption. The estimator is fitted as far as it came: with
            validation it has the best weights so far; in a refit or a search for
            `beta`, those of this training. Before the first step it is as before.
        """
        parse_metrics(self.scoring)
        return self._fit(X, X_val, y_val)

    def inverse_transform(self, Z):
        """Score all items for given latent codes.

        Parameters
        ----------
        Z : array-like of shape (n_users, n_components)
            Codes, as `transform` returns them.

        Returns
        -------
        scores : ndarray of shape (n_users, n_items), float32
            What `decision_function` gives for users with these codes.
        """
        check_is_fitted(self)
        Z = check_codes(Z, self._module.n_components)
        return self._gather_rows(Z, self._module.decode)

    def _iter_scores(self, X):
        def score(batch):
            return self._module.decode(self._module.encode(batch))

        return self._map_rows(X, score)

    def _make_likelihood(self):
        return Multinomial(self.label_smoothing)

    def _split_validation(self, X, seed):
        """Hold out whole users, and of these a part of the interactions.

        Only users with two interactions or more can be asked anything.
        """
        rng = np.random.RandomState(seed)
        eligible = np.flatnonzero(np.diff(X.indptr) >= 2)
        n_val = int(np.ceil(self.validation_fraction * X.shape[0]))
        n_val = min(n_val, len(eligible))
        if n_val == 0 or X.shape[0] < 2:
            raise ValueError(
                "No users can be held out for validation: X has "
                f"n_samples = {X.shape[0]} users and n_features = {X.shape[1]} items, "
                f"and {len(eligible)} users have two interactions or more. Pass more "
                "data, X_val, or early_stopping=False and a number as beta."
            )
        held_out = np.zeros(X.shape[0], dtype=bool)
        held_out[rng.choice(eligible, n_val, replace=False)] = True
        X_val, y_val = hold_out_interactions(X[held_out], random_state=rng)
        return X[~held_out], X_val, y_val

    def _validation_score(self, X_val, y_val):
        return ranking_scores(self._checked_recommender(), X_val, y_val, self.scoring)
