"""Collaborative VAE for items with content (Li & She 2017)."""

from sklearn.base import _fit_context
from sklearn.utils.validation import check_is_fitted

from skvae._collaborative_fit import CollaborativeFit
from skvae._training import draw_seed
from skvae._validation import check_codes, restored_on_error
from skvae.metrics._scorer import parse_metrics


class CollaborativeVAE(CollaborativeFit):
    r"""Recommend items to users from who met them and from what they contain.

    Users and items have factors whose products score the interactions, as in weighted
    matrix factorization. The factors of an item are drawn to the code that a
    variational autoencoder gives its content: its words, its tags. So items that few
    users or none have met get factors too, and the autoencoder learns codes that serve
    the recommendation [1]_. Users never seen in training are folded in by closed form.

    Without `item_features` it is weighted matrix factorization alone [2]_.

    Parameters
    ----------
    n_components : int, default=200
        Number of factors, and width of the content's code. Where users have one
        interaction each, 100 rank better.

    hidden_layer_sizes : array-like of int, default=()
        Widths of the hidden layers of the content's encoder, in reverse those of the
        decoder. The default is a linear model, which ranks better on citeulike-t than
        the hidden layers of [1]_.

    activation : {"identity", "logistic", "tanh", "relu", "silu"}, default="tanh"
        Activation of the hidden layers.

    likelihood : {"multinomial", "bernoulli", "gaussian"}, default="multinomial"
        How content arises from its code. "multinomial" takes counts or tf-idf, and
        scales the rows that the encoder sees to unit length; "bernoulli", the choice of
        [1]_, takes values in [0, 1]; "gaussian" any, with one learned noise variance.

    variational : bool, default=True
        Whether the code is a distribution. If not, the content model is an
        autoencoder, with `dropout` a denoising one as in [3]_.

    tied_weights : bool, default=True
        Whether the decoder uses the weights of the encoder, transposed.

    beta : float, default=0.005
        Weight of the KL divergence of the content model once it is annealed.

    annealing : float or int, default=0.8
        How long the weight of the KL rises linearly to `beta`: a fraction of the
        `content_epochs` or a number of their steps. In the rounds it is `beta`; without
        `content_epochs` it rises in the rounds.

    dropout : float, default=0.35
        Probability with which a feature is dropped from the encoder's input.

    a, b : float, default=1.0, 0.01
        Confidences of what a user met and of what the user did not. An interaction of
        value x has the confidence b + (a - b) x, which is `a` for x = 1.

    lambda_u : float, default=0.1
        Weight of the squared length of the user factors.

    lambda_v : float, default=0.1
        Weight of the squared distance between an item's factors and the code of its
        content. The first thing to tune: high values trust the content, low ones the
        interactions. The 10 of [1]_ is too close for items with several users, and
        ranks new items best (``benchmarks/citeulike.py``).

    lambda_r : float, default=1.0
        Weight of the content's negative log-likelihood.

    lambda_w : float, default=0.0
        Weight of half the squared length of the network's weights, biases left out.

    layer_epochs : int, default=0
        Epochs in which each hidden layer is trained alone as a denoising autoencoder of
        what is below it, before all else: with the learning rate .01 and a dropout of
        .3, as in [1]_, which takes 50.

    content_epochs : int, default=12
        Epochs in which the content model is trained alone, before the rounds.

    max_iter : int, default=10
        Number of rounds: an epoch of content, then the half-steps for items and users.
        Where users have very few interactions, more rounds may rank worse; see
        `early_stopping`.

    learning_rate_init : float, default=0.003
        Learning rate of Adam.

    lr_schedule : {"cosine"} or None, default="cosine"
        "cosine" lets the learning rate fall to zero over `content_epochs`, and again
        over the `max_iter` rounds.

    batch_size : int, default=500
        Items in a step.

    tol : float, default=0.0
        What the validation score must gain to count as better.

    early_stopping : bool, default=False
        Whether to hold out interactions for validation, stop when `scoring` has not
        improved by `tol` for `n_iter_no_change` rounds, and keep the best round.

    validation_fraction : float, default=0.2
        Share of each user's interactions held out when `early_stopping` is set and
        `fit` is given no validation set. Users with one interaction keep it.

    scoring : str, default="ndcg@100"
        The metric that validation watches: a name of
        :func:`skvae.metrics.make_ranking_scorer`.

    n_iter_no_change : int, default=5
        Rounds without a better score after which early stopping ends the fit.

    refit : bool, default=False
        Whether to train again on all interactions, those held out included, for the
        number of rounds found best. Only with `early_stopping` and without `X_val`.

    memory : str or joblib.Memory, default=None
        Where to cache the content model that is trained before the rounds, so that a
        search over the other parameters trains it once.

    callbacks : list of skorch callbacks, default=None
        Callbacks, or pairs of a name and a callback, for the rounds. They are cloned
        before use.

    device : str or torch.device, default="auto"
        Where to compute. "auto" takes a CUDA device where there is one.

    precision : {"float32", "tf32", "bfloat16"}, default="float32"
        Of the matrix products of training; weights, losses and all inference are
        float32. "tf32" rounds factors to 10 bits on CUDA devices and is float32
        elsewhere, "bfloat16" rounds them to 7 bits. Both are meant for GPUs.

    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, the order of items, dropout, noise and what is held
        out. With an int, fits on one device with one number of threads give the same
        bits.

    verbose : int, default=0
        1 shows progress bars, 2 a line for each epoch and round.

    Attributes
    ----------
    user_factors_ : ndarray of shape (n_users, n_components)
        Factors of the training users: ``transform(X)``.

    item_factors_ : ndarray of shape (n_items, n_components)
        Factors of the items. Those of items that nobody met are what `transform_items`
        gives.

    item_content_factors_ : ndarray of shape (n_items, n_components)
        Codes of the items' content: posterior means. Only with `item_features`.

    objective_curve_ : list of float
        After each round, the objective of the Notes without the penalty on W; the
        content's part is the mean over the epoch, with its dropout and noise.

    loss_curve_ : list of float
        Mean training loss of an item's content in each round, in nats, its distance
        from the item factors included. Empty without `item_features`.

    reconstruction_curve_, kl_curve_ : list of float
        Of that, negative log-likelihood times `lambda_r`, and the KL divergence, which
        is not weighted by beta.

    n_iter_ : int
        Number of rounds done.

    validation_scores_ : list of float
        Validation score after each round. Only with validation.

    best_validation_score_ : float
        Greatest of them. Only with validation.

    best_iter_ : int
        Round that was kept, counted from 1. Only with validation.

    n_features_in_ : int
        Number of items.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the items, if `X` was a dataframe with columns of text.

    item_ids_ : ndarray of shape (`n_features_in_`,)
        Ids of the items, if :func:`skvae.save_model` was given them. Only on what
        :func:`skvae.load_model` has loaded, until a fit that starts afresh.

    See Also
    --------
    MultVAERecommender : Recommend from interactions alone, by a network.
    skvae.model_selection.hold_out_items : Hold out items, to measure a cold start.
    skvae.datasets.fetch_citeulike : Users, articles and their words.

    Notes
    -----
    With theta_j the code of item j's content, the objective is

    .. math:: \tfrac{1}{2} \sum_{ij} c_{ij} (r_{ij} - u_i \cdot v_j)^2
              + \tfrac{\lambda_u}{2} \sum_i \|u_i\|^2
              + \tfrac{\lambda_v}{2} \sum_j \|v_j - \theta_j\|^2
              + \sum_j \left( -\lambda_r \log p(w_j | z_j) + \beta KL_j \right)
              + \tfrac{\lambda_w}{2} \|W\|^2,

    r being 1 where a user met an item and 0 elsewhere (as in [1]_). A round
    trains the network for an epoch with the factors fixed, and then solves for all item
    factors and for all user factors exactly. In the epoch the distance to theta is
    taken in expectation over the posterior of z.

    What counts as content is scaled by the user: for words,
    :class:`~sklearn.feature_extraction.text.TfidfTransformer` with
    ``sublinear_tf=True``. An item with neither interactions nor content has the code of
    an empty row, or, without `item_features`, factors of zero.

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

    def __init__(
        self,
        n_components=200,
        *,
        hidden_layer_sizes=(),
        activation="tanh",
        likelihood="multinomial",
        variational=True,
        tied_weights=True,
        beta=0.005,
        annealing=0.8,
        dropout=0.35,
        a=1.0,
        b=0.01,
        lambda_u=0.1,
        lambda_v=0.1,
        lambda_r=1.0,
        lambda_w=0.0,
        layer_epochs=0,
        content_epochs=12,
        max_iter=10,
        learning_rate_init=0.003,
        lr_schedule="cosine",
        batch_size=500,
        tol=0.0,
        early_stopping=False,
        validation_fraction=0.2,
        scoring="ndcg@100",
        n_iter_no_change=5,
        refit=False,
        memory=None,
        callbacks=None,
        device="auto",
        precision="float32",
        random_state=None,
        verbose=0,
    ):
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
    def fit(self, X, y=None, *, item_features=None, X_val=None, y_val=None):
        """Fit the model to the interactions of users and the content of items.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions: positive where the user met the item, as 1 or as a count
            that weighs it.
        y : Ignored
            Present by convention.
        item_features : {array-like, sparse matrix} of shape (n_items, n_words), \
                default=None
            Content of the items, a row for each column of `X`. Also a mapping
            ``{"features": item_features}``, which scikit-learn's searches leave whole
            where there are as many items as users: pass it so whenever that is the
            case. Columns are known by their place, not by name.
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
            the wrong shape, if X has no interaction, or if training diverges: a loss
            becomes NaN or infinite, which ends the fit in the same step on a CPU,
            within 64 steps elsewhere, or the factors do. The estimator is then as
            before.
        KeyboardInterrupt
            On the user's interruption. The estimator is fitted as far as it came, with
            factors solved for by what the content model had learned; with validation
            it is at the best round so far, in a refit at the last one of the refit.
            Before there is a content model it is as before.
        """
        parse_metrics(self.scoring)
        with restored_on_error(self):
            X = self._check_rows(X, reset=True)
            self._check_settings()
            features = None
            if item_features is not None:
                features = self._check_item_features(item_features, self.likelihood)
                self._check_alignment(features, X.shape[1])
            seed = draw_seed(self.random_state)
            X_train, validation = X, None
            if X_val is not None:
                validation = self._check_validation(X_val, y_val)
            elif y_val is not None:
                raise ValueError("y_val was given without X_val; pass both.")
            elif self.early_stopping:
                X_train, *validation = self._split_validation(X, seed)
            self._train(X, X_train, features, validation, seed)
        return self

    def transform(self, X):
        """Fold users in: their factors in closed form from their interactions.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions of the users, who need not have been in the training data.

        Returns
        -------
        U : ndarray of shape (n_users, n_components), float32
            For the training data, what `user_factors_` holds.
        """
        check_is_fitted(self)
        return self._fold_in_all(self._check_rows(X, reset=False))

    def transform_items(self, item_features):
        r"""Encode the content of items that nobody has met yet.

        They are what `item_factors_` holds for such items: the code of the content,
        shrunk by :math:`\lambda_v (b U'U + \lambda_v I)^{-1}`. That nobody has met an
        item speaks, with the confidence `b`, against it, as it does in the fit; so
        scores of new items and of those of the catalogue can be compared.

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

    def inverse_transform(self, U):
        """Score all items for given user factors.

        Parameters
        ----------
        U : array-like of shape (n_users, n_components)
            Factors, as `transform` returns them.

        Returns
        -------
        scores : ndarray of shape (n_users, n_items), float32
            What `decision_function` gives for users with these factors.
        """
        check_is_fitted(self)
        U = check_codes(U, self._n_features_out)
        return self._gather_rows(U, lambda rows: rows @ self._module.item_factors.T)
