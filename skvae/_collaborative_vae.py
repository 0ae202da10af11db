"""Collaborative VAE for recommendation with item content (Li & She 2017)."""

import copy
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.base import _fit_context
from sklearn.utils import check_array
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, check_memory

from skvae._base._attribute_types import array, curve
from skvae._base._module import fitting, own_validation
from skvae._base._recommender import DENSE_SCORES, InnerProductMixin
from skvae._base._trained import TrainedEstimator
from skvae._collaborative._content import (
    ContentSettings,
    PretrainingInterrupted,
    blank_content,
    pretrained_content,
)
from skvae._collaborative._factor_model import FactorModel
from skvae._collaborative._rounds import Validation, fit_rounds
from skvae._nn import LIKELIHOODS
from skvae._training import (
    computation,
    draw_seed,
    import_for_optimizers,
    resolve_device,
)
from skvae.metrics._scorer import parse_metrics
from skvae.model_selection import hold_out_interactions
from skvae.utils._sparse import canonical_csr
from skvae.utils._top_k import gather_scores, rank_batches
from skvae.utils._typing import ArrayLike, MatrixLike, NDArray, RandomState, Ranking
from skvae.utils._validation import (
    FLOAT32_MAX,
    check_codes,
    check_float32_range,
    check_sparse,
    errors_naming,
)

# Parameters that a fitted model keeps, whatever is set on the estimator later.
WEIGHTS = ("a", "b", "lambda_u", "lambda_v", "lambda_r")
SHOWN_FACTORS = ("item_factors_", "user_factors_", "item_content_factors_")


def _has_content(module):
    return module.content is not None


class CollaborativeVAE(InnerProductMixin, TrainedEstimator):
    r"""Recommend items to users from interactions and from the content of the items.

    Users and items have factors whose products score the interactions, as in weighted
    matrix factorization. The factors of an item are pulled toward the code that a
    variational autoencoder gives its content: its words, its tags. So items with few
    interactions or none have factors too, and the autoencoder learns codes that serve
    the recommendation [1]_. Users who were not in the training data are folded in by
    closed form.

    Without `item_features` it is weighted matrix factorization alone [2]_.

    Parameters
    ----------
    n_components : int, default=200
        Number of factors, and width of the code of the content. Where users have one
        interaction each, 100 rank better.

    hidden_layer_sizes : array-like of int, default=()
        Widths of the hidden layers of the encoder; the decoder has them in reverse.
        The default is a linear content model, which ranks better on citeulike-t than
        the hidden layers of [1]_.

    activation : {"identity", "logistic", "tanh", "relu", "silu"}, default="tanh"
        Activation of the hidden layers.

    likelihood : {"multinomial", "bernoulli", "gaussian"}, default="multinomial"
        Distribution of the content given its code. "multinomial" takes counts or
        tf-idf, and scales the rows that the encoder sees to unit length; "bernoulli",
        the choice of [1]_, takes values in [0, 1]; "gaussian" takes any values, with
        one learned noise variance.

    variational : bool, default=True
        Whether the code is a distribution. If not, the content model is an
        autoencoder, with `dropout` a denoising one as in [3]_.

    tied_weights : bool, default=True
        Whether the decoder uses the weights of the encoder, transposed. This halves
        the number of weights.

    beta : float, default=0.005
        Weight of the KL divergence of the content model once it is annealed.

    annealing : float or int, default=0.8
        How long the weight of the KL rises linearly to `beta`: a float is a fraction
        of `content_epochs`, an int a number of steps. In the rounds the weight is
        `beta`; without `content_epochs` it rises in the rounds.

    dropout : float, default=0.35
        Probability with which an entry of the encoder's input is dropped.

    a, b : float, default=1.0, 0.01
        Confidences of an interaction and of a missing one. An interaction of value x
        has the confidence b + (a - b) x, which is `a` for x = 1.

    lambda_u : float, default=0.1
        Weight of the squared length of the user factors.

    lambda_v : float, default=0.1
        Weight of the squared distance between the factors of an item and the code of
        its content. Tune it first: high values rely on the content, low ones on the
        interactions. The 10 of [1]_ is too high for items with several users, and
        ranks new items best (``benchmarks/ranking/citeulike.py``).

    lambda_r : float, default=1.0
        Weight of the negative log-likelihood of the content.

    lambda_w : float, default=0.0
        Weight of half the squared length of the weights of the network, without
        biases.

    layer_epochs : int, default=0
        Epochs in which each hidden layer is first trained alone as a denoising
        autoencoder of the layer below it: with the learning rate .01 and a dropout of
        .3, as in [1]_, which takes 50 epochs.

    content_epochs : int, default=12
        Epochs in which the content model is trained alone, before the rounds.

    max_iter : int, default=10
        Number of rounds: an epoch of content, then the half-steps for items and users.
        Where users have very few interactions, more rounds may rank worse; see
        `early_stopping`.

    learning_rate_init : float, default=0.003
        Initial learning rate of Adam.

    lr_schedule : {"cosine"} or None, default="cosine"
        "cosine" decreases the learning rate to zero over `content_epochs`, and again
        over the `max_iter` rounds; None keeps it constant.

    batch_size : int, default=500
        Items in a step, at most: the items are divided into steps of equal sizes.

    tol : float, default=0.0
        Improvement of the validation score that counts as better.

    early_stopping : bool, default=False
        Whether to hold out interactions for validation, stop when `scoring` has not
        improved by `tol` for `n_iter_no_change` rounds, and keep the best round.

    validation_fraction : float, default=0.2
        Share of each user's interactions held out if `early_stopping` is set and `fit`
        is given no validation set. Users with one interaction keep it.

    scoring : str, default="ndcg@100"
        Metric of the validation score: a name of
        :func:`skvae.metrics.make_ranking_scorer`. It is a ranking metric because a
        lower loss does not always rank better.

    n_iter_no_change : int, default=5
        Rounds without a better validation score after which early stopping ends the
        fit.

    refit : bool, default=False
        Whether to train again on all data, including what was held out, for the
        number of rounds found best.

    memory : str or joblib.Memory, default=None
        Cache of the content model that is trained before the rounds, so that a search
        over the other parameters trains it once. It is a path on this machine, which
        :func:`skvae.save_model` does not save. The content of the cache is unpickled,
        so use only a folder in which nobody else writes.

    callbacks : list of skorch callbacks, default=None
        Callbacks of the rounds, or pairs of a name and a callback. They are not
        copied, so that after the fit they hold what they have learned; searches clone
        them together with the estimator.

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
        1 shows progress bars, 2 a line for each epoch and round.

    Attributes
    ----------
    user_factors_ : ndarray of shape (n_users, n_components)
        Factors of the training users: ``transform(X)``.

    item_factors_ : ndarray of shape (n_items, n_components)
        Factors of the items. Those of items without interactions are as
        `transform_items` returns them.

    item_content_factors_ : ndarray of shape (n_items, n_components)
        Codes of the content of the items: posterior means. Only with `item_features`.

    objective_curve_ : list of float
        After each round, the objective of the Notes without the penalty on W; the
        part of the content is its mean over the epoch, with dropout and noise.

    loss_curve_ : list of float
        Mean training loss of the content of an item in each round, in nats, with its
        distance from the item factors. Empty without `item_features`.

    reconstruction_curve_, kl_curve_ : list of float
        The parts of it that are negative log-likelihood times `lambda_r`, and KL
        divergence, which is not weighted by beta.

    n_iter_ : int
        Number of rounds done.

    validation_scores_ : list of float
        Validation score after each round. Only with validation.

    best_validation_score_ : float
        Greatest of them. Only with validation.

    best_iter_ : int
        Round that was kept, counted from 1. Only with validation.

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
    MultVAERecommender : Recommend from interactions alone, by a network.
    skvae.model_selection.hold_out_items : Hold out items, to measure a cold start.
    skvae.datasets.fetch_citeulike : Users, articles and the words of the articles.

    Notes
    -----
    With theta_j the code of the content of item j, the objective is

    .. math:: \tfrac{1}{2} \sum_{ij} c_{ij} (r_{ij} - u_i \cdot v_j)^2
              + \tfrac{\lambda_u}{2} \sum_i \|u_i\|^2
              + \tfrac{\lambda_v}{2} \sum_j \|v_j - \theta_j\|^2
              + \sum_j \left( -\lambda_r \log p(w_j | z_j) + \beta KL_j \right)
              + \tfrac{\lambda_w}{2} \|W\|^2,

    r being 1 for an interaction and 0 elsewhere (as in [1]_). A round trains the
    network for an epoch with the factors fixed, and then solves for all item factors
    and for all user factors exactly. In the epoch the distance to theta is taken in
    expectation over the posterior of z.

    The content is not scaled by the estimator: for words, use
    :class:`~sklearn.feature_extraction.text.TfidfTransformer` with
    ``sublinear_tf=True``. An item with neither interactions nor content has the code of
    an empty row or, without `item_features`, factors of zero.

    The settings of [1]_ are ``CollaborativeVAE(50, hidden_layer_sizes=(200, 100),
    activation="logistic", likelihood="bernoulli", beta=1, annealing=0, dropout=0,
    lambda_v=10, lambda_w=2e-4 * n_items, layer_epochs=50, content_epochs=100,
    max_iter=100, learning_rate_init=0.001, lr_schedule=None, batch_size=128)``.

    References
    ----------
    .. [1] X. Li, J. She, "Collaborative Variational Autoencoder for Recommender
       Systems", KDD 2017, https://doi.org/10.1145/3097983.3098077

    .. [2] Y. Hu, Y. Koren, C. Volinsky, "Collaborative Filtering for Implicit Feedback
       Datasets", ICDM 2008

    .. [3] H. Wang, N. Wang, D.-Y. Yeung, "Collaborative Deep Learning for Recommender
       Systems", KDD 2015, https://arxiv.org/abs/1409.2944

    Examples
    --------
    Items of eight tastes, and words that tell the taste of an item:

    >>> import numpy as np
    >>> from skvae import CollaborativeVAE
    >>> from skvae.datasets import make_interactions
    >>> data = make_interactions(200, 100, random_state=0)
    >>> tastes = data.item_factors / data.item_factors.sum(axis=1, keepdims=True)
    >>> words = np.random.default_rng(0).poisson(5 * tastes)
    >>> model = CollaborativeVAE(8, batch_size=20, random_state=0)
    >>> model = model.fit(data.matrix, item_features=words)
    >>> model.recommend(data.matrix[:3], n_items=5).shape
    (3, 5)

    An item that is new, with words of the first taste alone, among the others:

    >>> new = np.array([[5, 0, 0, 0, 0, 0, 0, 0]])
    >>> scores = model.decision_function(data.matrix, new_item_features=new)
    >>> fond = data.user_factors[:, 0] > 0.5
    >>> bool(scores[fond, 100].mean() > scores[~fond, 100].mean())
    True
    """

    _parameter_constraints: dict = {
        **TrainedEstimator._parameter_constraints,
        "likelihood": [StrOptions({"multinomial", "bernoulli", "gaussian"})],
        "tied_weights": ["boolean"],
        "a": [Interval(Real, 0, None, closed="neither")],
        "b": [Interval(Real, 0, None, closed="left")],
        "lambda_u": [Interval(Real, 0, None, closed="neither")],
        "lambda_v": [Interval(Real, 0, None, closed="neither")],
        "lambda_r": [Interval(Real, 0, None, closed="left")],
        "lambda_w": [Interval(Real, 0, None, closed="left")],
        "layer_epochs": [Interval(Integral, 0, None, closed="left")],
        "content_epochs": [Interval(Integral, 0, None, closed="left")],
        "lr_schedule": [StrOptions({"cosine"}), None],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "scoring": [str],
        "memory": [None, str, HasMethods(["cache"])],
    }

    _curves = {**TrainedEstimator._curves, "objective_curve_": "objective"}

    _saved_attributes = {
        **TrainedEstimator._saved_attributes,
        "objective_curve_": curve(None),
        "user_factors_": array(torch.float32, None, "components"),
        "item_factors_": array(torch.float32, "features", "components"),
        "item_content_factors_": array(
            torch.float32, "features", "components", needed=_has_content
        ),
    }

    def __init__(
        self,
        n_components: int = 200,
        *,
        hidden_layer_sizes: Sequence[int] = (),
        activation: str = "tanh",
        likelihood: str = "multinomial",
        variational: bool = True,
        tied_weights: bool = True,
        beta: float = 0.005,
        annealing: float | int = 0.8,
        dropout: float = 0.35,
        a: float = 1.0,
        b: float = 0.01,
        lambda_u: float = 0.1,
        lambda_v: float = 0.1,
        lambda_r: float = 1.0,
        lambda_w: float = 0.0,
        layer_epochs: int = 0,
        content_epochs: int = 12,
        max_iter: int = 10,
        learning_rate_init: float = 0.003,
        lr_schedule: str | None = "cosine",
        batch_size: int = 500,
        tol: float = 0.0,
        early_stopping: bool = False,
        validation_fraction: float = 0.2,
        scoring: str = "ndcg@100",
        n_iter_no_change: int = 5,
        refit: bool = False,
        memory: Any = None,
        callbacks: Sequence[Any] | None = None,
        device: str | torch.device = "auto",
        precision: str = "float32",
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.likelihood = likelihood
        self.variational = variational
        self.tied_weights = tied_weights
        self.beta = beta
        self.annealing = annealing
        self.dropout = dropout
        self.a = a
        self.b = b
        self.lambda_u = lambda_u
        self.lambda_v = lambda_v
        self.lambda_r = lambda_r
        self.lambda_w = lambda_w
        self.layer_epochs = layer_epochs
        self.content_epochs = content_epochs
        self.max_iter = max_iter
        self.learning_rate_init = learning_rate_init
        self.lr_schedule = lr_schedule
        self.batch_size = batch_size
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.scoring = scoring
        self.n_iter_no_change = n_iter_no_change
        self.refit = refit
        self.memory = memory
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
        item_features: MatrixLike | Mapping[str, MatrixLike] | None = None,
        X_val: MatrixLike | None = None,
        y_val: MatrixLike | None = None,
    ) -> "CollaborativeVAE":
        """Fit the model to the interactions of users and the content of items.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions: positive where the user interacted with the item, either 1
            or a count, which weighs it.
        y : Ignored
            Present by convention.
        item_features : {array-like, sparse matrix} of shape (n_items, n_words), \
                default=None
            Content of the items, a row for each column of `X`. Also a mapping
            ``{"features": item_features}``, which scikit-learn's searches do not
            split: use it whenever there are as many items as users. Columns are
            identified by position, not by name.
        X_val : {array-like, sparse matrix} of shape (n_val_users, n_items), \
                default=None
            Interactions to fold in for validation: of the training users, or of
            others. With a validation set the round with the best `scoring` is kept;
            with `early_stopping` the fit ends when it has not improved for
            `n_iter_no_change` rounds.
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
            If X or item_features is negative where it must not be, not finite or of
            the wrong shape, if X has no interaction or is a table with one row per
            interaction, or if training diverges: a loss becomes NaN or infinite, which
            ends the fit in the same step on a CPU, within 64 steps elsewhere, or the
            factors do, or before the rounds the loss of the content ends at more than
            twice that of the untrained model. The estimator is then as before.
        KeyboardInterrupt
            If the fit is interrupted. The estimator keeps what it has learned, with
            factors solved for the content model as it is; with validation those of
            the best round so far, in a refit those of the last round of the refit.
            Before there is a content model it is as before.
        """
        parse_metrics(self.scoring)
        with fitting(self):
            X = self._check_rows(X, reset=True)
            self._check_settings()
            features = None
            if item_features is not None:
                features = self._check_item_features(item_features, self.likelihood)
                self._check_alignment(features, X.shape[1])
                import_for_optimizers()
            seed = draw_seed(self.random_state)
            X_train, validation = X, own_validation(self, X_val, y_val)
            if validation is None and self.early_stopping:
                X_train, *validation = self._split_validation(X, seed)
            self._train(X, X_train, features, validation, seed)
        return self

    @computation()
    def transform(self, X: MatrixLike) -> NDArray[np.float32]:
        """Fold users in: their factors in closed form from their interactions.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions of the users, who need not have been in the training data.

        Returns
        -------
        U : ndarray of shape (n_users, n_components), float32
            For the training data, `user_factors_`.
        """
        check_is_fitted(self)
        return self._fold_in(self._check_rows(X, reset=False))

    @computation()
    def inverse_transform(self, U: ArrayLike) -> NDArray[np.float32]:
        """Score all items for given user factors.

        Parameters
        ----------
        U : array-like of shape (n_users, n_components)
            Factors, as `transform` returns them.

        Returns
        -------
        scores : ndarray of shape (n_users, n_items), float32
            As `decision_function` returns them for users with these factors.
        """
        check_is_fitted(self)
        U = check_codes(U, self._module.n_components)
        return self._gather_rows(U, lambda rows: rows @ self._module.item_factors.T)

    @computation()
    def transform_items(self, item_features: MatrixLike) -> NDArray[np.float32]:
        r"""Compute the factors of items without interactions, from their content.

        They equal those that `item_factors_` holds for such items: the code of the
        content, shrunk by :math:`\lambda_v (b U'U + \lambda_v I)^{-1}`. Missing
        interactions count, with confidence `b`, as evidence against an item, as in
        the fit; so the scores of new items and of the catalogue can be compared.

        Parameters
        ----------
        item_features : {array-like, sparse matrix} of shape (n_new_items, n_words)
            Content of the items.

        Returns
        -------
        V : ndarray of shape (n_new_items, n_components), float32
            Item factors.
        """
        return self._new_item_factors(item_features).cpu().numpy()

    @computation(DENSE_SCORES)
    def decision_function(
        self, X: MatrixLike, *, new_item_features: MatrixLike | None = None
    ) -> NDArray[np.float32]:
        """Score every item for every user.

        The whole dense array is built; `recommend` ranks without it.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions of the users, who need not have been in the training data.
        new_item_features : {array-like, sparse matrix} of shape \
                (n_new_items, n_words), default=None
            Content of items without interactions, which follow the catalogue.

        Returns
        -------
        scores : ndarray of shape (n_users, n_items + n_new_items), float32
            Greater is better. Items of `X` are scored like the others.
        """
        check_is_fitted(self)
        X = self._check_rows(X, reset=False)
        factors = self._catalogue(new_item_features)
        shape = (X.shape[0], factors.shape[0])
        return gather_scores(self._module.iter_scores(X, factors), shape)

    @computation()
    def recommend(
        self,
        X: MatrixLike,
        n_items: int = 10,
        *,
        exclude_seen: bool = True,
        candidates: ArrayLike | None = None,
        return_scores: bool = False,
        new_item_features: MatrixLike | None = None,
    ) -> Ranking:
        """Rank the best items for each user, among them new ones.

        Works by batches and selects the top items on the device: there is no dense
        array of users by items.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions of the users, who need not have been in the training data.
        n_items : int, default=10
            How many items for each user.
        exclude_seen : bool, default=True
            Leave out the items that the user has in `X`.
        candidates : array-like of int, shape (n_candidates,), default=None
            Rank only these items, given by column. There may be fewer than `n_items`,
            or none. None ranks all.
        return_scores : bool, default=False
            Return the scores too.
        new_item_features : {array-like, sparse matrix} of shape \
                (n_new_items, n_words), default=None
            Content of items without interactions. They are numbered from
            `n_features_in_` on.

        Returns
        -------
        items : ndarray of shape (n_users, n_items), int64
            Columns of the items, best first; equal scores in the order of columns. A
            user with fewer items left to recommend gets -1 at the end;
            :func:`skvae.model_selection.look_up_ids` translates to ids.
        scores : ndarray of shape (n_users, n_items), float32
            Their scores, minus infinity for -1. Only with `return_scores`.

        Raises
        ------
        ValueError
            If `n_items` is larger than the number of items, or if content is given
            to a model that was fitted without.
        """
        check_is_fitted(self)
        X = self._check_rows(X, reset=False)
        factors = self._catalogue(new_item_features)
        return rank_batches(
            self._module.iter_scores(X, factors),
            (X.shape[0], factors.shape[0]),
            n_items,
            exclude_seen=exclude_seen,
            candidates=candidates,
            return_scores=return_scores,
        )

    # Input

    def _check_settings(self):
        super()._check_settings()
        for name in WEIGHTS:
            weight = getattr(self, name)
            if weight > float(FLOAT32_MAX):
                raise ValueError(
                    f"{name}={weight} is beyond the range of float32 "
                    f"({FLOAT32_MAX:.3g}) in which factors are computed; pass a lower "
                    f"{name}."
                )
        if self.a < self.b:
            raise ValueError(
                f"a={self.a} is less than b={self.b}: an interaction would have less "
                "confidence than a missing one; pass a >= b."
            )

    def _check_item_features(self, item_features, likelihood, name="item_features"):
        """Content as canonical CSR or as an array; a mapping holds it as "features"."""
        kind = LIKELIHOODS[likelihood]
        # A dok_matrix is a mapping too.
        if isinstance(item_features, Mapping) and not sp.issparse(item_features):
            if set(item_features) != {"features"}:
                raise ValueError(
                    f"{name} is a mapping with the keys "
                    f'{sorted(map(str, item_features))}; the one key is "features".'
                )
            item_features = item_features["features"]
        with errors_naming(name, item_features):
            features = check_array(
                check_sparse(item_features, name, as_floats=True),
                accept_sparse="csr",
                dtype=(np.float64, np.float32),
                ensure_non_negative=kind.non_negative,
                input_name=name,
            )
        if sp.issparse(features) or kind.takes_sparse_rows_only:
            with errors_naming(name, features):
                features = sp.csr_array(canonical_csr(features))
        check_float32_range(features, name)
        limit = kind.max_value
        if limit is not None and features.max() > limit:
            raise ValueError(
                f"{name} goes up to {features.max():.6g}, but the likelihood is "
                f"{likelihood!r}; scale it to [0, {limit:g}], as "
                "sklearn.preprocessing.MaxAbsScaler does, or choose another likelihood."
            )
        return features

    def _check_alignment(self, features, n_items):
        if features.shape[0] != n_items:
            raise ValueError(
                f"item_features has {features.shape[0]} rows but X has {n_items} "
                "columns (items); pass one row per item. (scikit-learn's searches "
                "split whatever has as many rows as X has users: if there are as many "
                'items as users, pass a mapping {"features": item_features}.)'
            )

    # Training

    def _train(self, X, X_train, features, validation, seed):
        """Train the content model and the factors; keep what an interruption leaves."""
        before = vars(self).get("_module")
        try:
            content, interrupted = self._pretrain(features, seed)
            n_rounds = 0 if interrupted else self._plain("max_iter")
            interrupted |= self._run(
                X_train, features, content, n_rounds, validation, seed
            )
            if self.refit and X_train is not X and not interrupted:
                with self._validation_kept() as found:
                    n_rounds = found["best_iter_"]
                    interrupted = self._run(X, features, content, n_rounds, None, seed)
            self._set_factors(X, features)
        except KeyboardInterrupt:
            if vars(self).get("_module") is before:
                raise  # nothing was learned yet
            self._set_factors(X, features)
            raise
        if interrupted:
            raise KeyboardInterrupt

    def _pretrain(self, features, seed):
        """Content model trained alone, and whether the user interrupted that."""
        if features is None:
            return None, False
        pretrain = check_memory(self.memory).cache(
            pretrained_content, ignore=["verbose"]
        )
        try:
            content = pretrain(
                features,
                self._content_settings(),
                seed,
                device=str(resolve_device(self.device)),
                verbose=self.verbose,
            )
        except PretrainingInterrupted as interruption:
            return interruption.content, True
        return content, False

    def _content_settings(self):
        return ContentSettings(
            **{name: getattr(self, name) for name in ContentSettings.names()}
        )

    def _run(self, X, features, content, n_rounds, validation, seed):
        """Train a new model in rounds; return whether the user interrupted."""
        model = self._make_module(copy.deepcopy(content))
        model = model.to(resolve_device(self.device))
        if validation is not None:
            patience = self._plain("n_iter_no_change") if self.early_stopping else None
            validation = Validation(*validation, self.scoring, patience, self.tol)
        outcome = fit_rounds(
            model,
            X,
            features,
            self._content_settings(),
            n_rounds=n_rounds,
            seed=seed,
            validation=validation,
            callbacks=self.callbacks or (),
            verbose=self.verbose,
        )
        for name in SHOWN_FACTORS:
            vars(self).pop(name, None)
        self._start_with(model, seed)
        self._take_in(outcome)
        return outcome.interrupted

    def _make_module(self, content):
        """Make the module around a content model or None, its factors all zero."""
        return FactorModel(
            self.n_features_in_,
            self._plain("n_components"),
            content=content,
            **{name: float(getattr(self, name)) for name in WEIGHTS},
        )

    def _blank_module(self, weights):
        first = weights.get("content.encoder.layers.0.weight")
        if first is None:
            return self._make_module(None)
        n_words = first.shape[0] if first.ndim else 0
        settings = self._content_settings()
        return self._make_module(blank_content(n_words, settings, torch.Generator()))

    def _set_factors(self, X, features):
        """Set the factors as arrays of their own, those of the users for all of X."""
        model = self._module
        factors = [model.item_factors.cpu().numpy().copy(), self._fold_in(X)]
        if features is not None:
            factors.append(model.encode(features).cpu().numpy())
        vars(self).update(zip(SHOWN_FACTORS, factors, strict=False))

    def _split_validation(self, X, seed):
        """Hold out a part of every user's interactions."""
        X_train, held_out = hold_out_interactions(
            X, self.validation_fraction, random_state=seed
        )
        if held_out.nnz == 0:
            raise ValueError(
                "No interactions can be held out for validation: no user has two, in "
                f"n_samples = {X.shape[0]} users and n_features = {X.shape[1]} items. "
                "Pass more data, X_val and y_val, or early_stopping=False."
            )
        return X_train, X_train, held_out

    # Inference

    def _fold_in(self, X):
        return self._gather_rows(X, self._module.fold_in, self._module.n_components)

    def _catalogue(self, new_item_features):
        """Factors of all items, followed by those of new ones."""
        factors = self._module.item_factors
        if new_item_features is None:
            return factors
        new = self._new_item_factors(new_item_features, "new_item_features")
        return torch.cat([factors, new])

    def _new_item_factors(self, item_features, name="item_features"):
        check_is_fitted(self)
        content = self._module.content
        if content is None:
            raise ValueError(
                f"This {type(self).__name__} was fitted without item_features, so it "
                "cannot score items by their content; fit it with item_features."
            )
        features = self._check_item_features(
            item_features, content.likelihood.name, name
        )
        if features.shape[1] != content.n_features:
            raise ValueError(
                f"{name} has {features.shape[1]} columns but the model was fitted with "
                f"{content.n_features}; pass the same features."
            )
        return self._module.encode(features) @ self._module.item_shrinkage

    def _iter_scores(self, X):
        return self._module.iter_scores(X)
