"""Collaborative VAE for items with content (Li & She 2017)."""

import copy
from collections.abc import Mapping
from functools import partial
from numbers import Integral, Real

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import check_array
from sklearn.utils._param_validation import HasMethods, Interval, RealNotInt, StrOptions
from sklearn.utils.validation import check_is_fitted, check_memory

from skvae._als import half_step
from skvae._collaborative_fit import FactorNet, Sweep
from skvae._content_model import (
    LIKELIHOODS,
    ContentSettings,
    PretrainingInterrupted,
    make_net,
    pretrained_content,
    stream_seed,
)
from skvae._inference import ModuleInference
from skvae._recommender import RecommenderMixin, gather_scores, rank_batches
from skvae._training import (
    BEST_WEIGHTS,
    IndexedBatches,
    TrainingState,
    draw_seed,
    make_callbacks,
    make_generator,
    resolve_device,
    train,
)
from skvae._validation import (
    check_callbacks,
    check_codes,
    check_float32_range,
    check_layer_sizes,
    restored_on_error,
)
from skvae.metrics._scorer import parse_metrics, ranking_scores
from skvae.model_selection import hold_out_interactions
from skvae.model_selection._sparse import canonical_csr
from skvae.nn import ACTIVATIONS, FactorModel

INITIAL_FACTORS, ROUNDS = 3, 8  # streams of random numbers; see make_generator


class CollaborativeVAE(
    RecommenderMixin,
    ModuleInference,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Doc."""

    _parameter_constraints: dict = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "hidden_layer_sizes": ["array-like"],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "likelihood": [StrOptions(set(LIKELIHOODS))],
        "variational": ["boolean"],
        "tied_weights": ["boolean"],
        "beta": [Interval(Real, 0, None, closed="left")],
        "annealing": [
            Interval(Integral, 0, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="both"),
        ],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "a": [Interval(Real, 0, None, closed="neither")],
        "b": [Interval(Real, 0, None, closed="left")],
        "lambda_u": [Interval(Real, 0, None, closed="neither")],
        "lambda_v": [Interval(Real, 0, None, closed="neither")],
        "lambda_r": [Interval(Real, 0, None, closed="left")],
        "lambda_w": [Interval(Real, 0, None, closed="left")],
        "layer_epochs": [Interval(Integral, 0, None, closed="left")],
        "content_epochs": [Interval(Integral, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "lr_schedule": [StrOptions({"cosine"}), None],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "scoring": [str],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "refit": ["boolean"],
        "memory": [None, str, HasMethods(["cache"])],
        "callbacks": [list, tuple, None],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

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
        lambda_v=10.0,
        lambda_r=1.0,
        lambda_w=0.0,
        layer_epochs=0,
        content_epochs=10,
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
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, item_features=None, X_val=None, y_val=None):
        """Fit."""
        parse_metrics(self.scoring)
        with restored_on_error(self):
            X = self._check_rows(X, reset=True)
            self._check_settings()
            features = None
            if item_features is not None:
                features = self._check_item_features(item_features, X.shape[1])
            seed = draw_seed(self.random_state)
            X_train, validation = X, None
            if X_val is not None:
                validation = self._check_validation(X_val, y_val)
            elif y_val is not None:
                raise ValueError("y_val was given without X_val; pass both.")
            elif self.early_stopping:
                X_train, *validation = self._split_validation(X, seed)
            content, interrupted = self._pretrain(features, seed)
            try:
                n_rounds = 0 if interrupted else self.max_iter
                self._run(X_train, features, content, n_rounds, validation, seed)
                if self.refit and X_train is not X:
                    self._refit(X, features, content, seed)
            finally:
                self._take_factors(X)
            if interrupted:
                raise KeyboardInterrupt
        return self

    def transform(self, X):
        """Factors of users, in closed form from their interactions.

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
        return self._gather_rows(self._check_rows(X, reset=False), self._fold_in)

    def transform_items(self, item_features):
        r"""Factors of items that nobody has met yet, from their content.

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

    def decision_function(self, X, *, new_item_features=None):
        """Score every item for every user.

        The whole dense array is built; `recommend` ranks without it.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions of the users, who need not have been in the training data.
        new_item_features : {array-like, sparse matrix} of shape \
                (n_new_items, n_words), default=None
            Content of items that stand behind those of the catalogue.

        Returns
        -------
        scores : ndarray of shape (n_users, n_items + n_new_items), float32
            Greater is better. Items of `X` are scored like the others.
        """
        check_is_fitted(self)
        X = self._check_rows(X, reset=False)
        factors = self._catalogue(new_item_features)
        shape = (X.shape[0], factors.shape[0])
        return gather_scores(self._iter_scores(X, factors), shape)

    def recommend(
        self,
        X,
        n_items=10,
        *,
        exclude_seen=True,
        candidates=None,
        return_scores=False,
        new_item_features=None,
    ):
        """Rank the best items for each user, new ones among them if wanted.

        Works by batches, with the top items chosen on the device: no dense array of
        users by items is held.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions of the users, who need not have been in the training data.
        n_items : int, default=10
            How many items for each user.
        exclude_seen : bool, default=True
            Leave out the items that the user has in `X`.
        candidates : array-like of int, shape (n_candidates,), default=None
            Rank only these items, given by column. None ranks all.
        return_scores : bool, default=False
            Return the scores too.
        new_item_features : {array-like, sparse matrix} of shape \
                (n_new_items, n_words), default=None
            Content of items that nobody has met yet. They are numbered on from
            `n_features_in_`.

        Returns
        -------
        items : ndarray of shape (n_users, n_items), int64
            Columns of the items, best first; equal scores in the order of columns. A
            user with fewer items left to recommend gets -1 at the end.
        scores : ndarray of shape (n_users, n_items), float32
            Their scores, minus infinity for -1. Only with `return_scores`.

        Raises
        ------
        ValueError
            If more items are asked for than there are to rank, or content is given to
            a model that was fitted without.
        """
        check_is_fitted(self)
        X = self._check_rows(X, reset=False)
        factors = self._catalogue(new_item_features)
        return rank_batches(
            self._iter_scores(X, factors),
            (X.shape[0], factors.shape[0]),
            n_items,
            exclude_seen=exclude_seen,
            candidates=candidates,
            return_scores=return_scores,
        )

    # Training

    def _check_settings(self):
        check_layer_sizes(self.hidden_layer_sizes)
        check_callbacks(self.callbacks)
        if self.a < self.b:
            raise ValueError(
                f"a={self.a} is less than b={self.b}: what a user met would count less "
                "than what the user did not meet; pass a >= b."
            )

    def _check_item_features(self, item_features, n_items=None):
        """Content as canonical CSR or as an array; a mapping holds it as "features"."""
        if isinstance(item_features, Mapping):
            if set(item_features) != {"features"}:
                raise ValueError(
                    "item_features is a mapping with the keys "
                    f'{sorted(map(str, item_features))}; the one key is "features".'
                )
            item_features = item_features["features"]
        features = check_array(
            item_features,
            accept_sparse="csr",
            dtype=(np.float64, np.float32),
            ensure_non_negative=self.likelihood != "gaussian",
            input_name="item_features",
        )
        check_float32_range(features, "item_features")
        if n_items is not None and features.shape[0] != n_items:
            raise ValueError(
                f"item_features has {features.shape[0]} rows but X has {n_items} "
                "columns (items); pass one row per item. (scikit-learn's searches cut "
                "what has as many rows as X has users: where there are as many items "
                'as users, pass a mapping {"features": item_features}.)'
            )
        largest = features.max()
        if self.likelihood == "bernoulli" and largest > 1:
            raise ValueError(
                f"item_features goes up to {largest:.6g}, but the likelihood is "
                "'bernoulli'; scale it to [0, 1], as "
                "sklearn.preprocessing.MaxAbsScaler does, or choose another likelihood."
            )
        if sp.issparse(features) or self.likelihood == "multinomial":
            return canonical_csr(features)
        return features

    def _pretrain(self, features, seed):
        """Content model trained alone, and whether the user interrupted that."""
        if features is None:
            return None, False
        pretrain = check_memory(self.memory).cache(
            pretrained_content, ignore=["device", "verbose"]
        )
        try:
            content = pretrain(
                features,
                self._content_settings(),
                seed,
                device=resolve_device(self.device),
                verbose=self.verbose,
            )
        except PretrainingInterrupted as interruption:
            return interruption.content, True
        return content, False

    def _content_settings(self):
        names = ContentSettings.__dataclass_fields__
        values = {name: getattr(self, name) for name in names}
        values["hidden_layer_sizes"] = tuple(self.hidden_layer_sizes)
        return ContentSettings(**values)

    def _run(self, X, features, content, n_rounds, validation, seed):
        """Put factors in place and train for so many rounds, interrupted or not."""
        device = resolve_device(self.device)
        self._module = FactorModel(
            *X.shape,
            self.n_components,
            content=copy.deepcopy(content),
            lambda_r=self.lambda_r,
            lambda_v=self.lambda_v,
        ).to(device)
        self._state = TrainingState(seed)
        sweep = Sweep(
            self._module,
            X,
            None if features is None else partial(self._encode, features),
            a=self.a,
            b=self.b,
            lambda_u=self.lambda_u,
            lambda_v=self.lambda_v,
        )
        sweep.start(make_generator(seed, INITIAL_FACTORS))
        for name in ("validation_scores_", "best_validation_score_", "best_iter_"):
            vars(self).pop(name, None)
        self.n_iter_, self.objective_curve_ = 0, []
        self.loss_curve_, self.reconstruction_curve_, self.kl_curve_ = [], [], []
        if n_rounds == 0:
            return
        batches = (
            []
            if features is None
            else IndexedBatches(features, device, for_training=True)
        )
        net = make_net(
            FactorNet,
            self._module,
            self._content_settings(),
            device=device,
            n_rows=max(1, len(batches)),
            n_epochs=n_rounds,
            seed=stream_seed(seed, ROUNDS),
            anneal=self.content_epochs == 0,
            callbacks=make_callbacks(
                n_rounds,
                # The net trains this very module, in place.
                score_function=validation
                and (lambda: self._validation_score(*validation)),
                patience=self.n_iter_no_change if self.early_stopping else None,
                tol=self.tol,
                lr_schedule=None,
                callbacks=self.callbacks or (),
                verbose=self.verbose,
                description=type(self).__name__,
            ),
            sweep=sweep,
        )
        interrupted = train(net, batches, n_rounds)
        self._module.eval()
        self._take_curves(net)
        if interrupted:
            raise KeyboardInterrupt

    def _take_curves(self, net):
        rounds = [epoch for epoch in net.history if "objective" in epoch]
        self.n_iter_ = net.epoch_
        self.objective_curve_ = [epoch["objective"] for epoch in rounds]
        if self._module.content is not None:
            self.loss_curve_ = [epoch["train_loss"] for epoch in rounds]
            self.reconstruction_curve_ = [e["train_reconstruction"] for e in rounds]
            self.kl_curve_ = [epoch["train_kl"] for epoch in rounds]
        stopping = dict(net.callbacks_).get(BEST_WEIGHTS)
        if stopping is not None and stopping.best_epoch_:
            self.validation_scores_ = [
                epoch["valid_score"] for epoch in rounds if "valid_score" in epoch
            ]
            self.best_iter_ = stopping.best_epoch_
            self.best_validation_score_ = self.validation_scores_[self.best_iter_ - 1]

    def _refit(self, X, features, content, seed):
        """Train afresh on all interactions for the best number of rounds."""
        names = ("validation_scores_", "best_iter_", "best_validation_score_")
        found = {name: getattr(self, name) for name in names}
        self._run(X, features, content, found["best_iter_"], None, seed)
        vars(self).update(found)

    def _take_factors(self, X):
        """Show the factors as arrays, those of the users for all of X."""
        if "_module" not in vars(self):
            return
        self.item_factors_ = self._module.item_factors.cpu().numpy()
        self.user_factors_ = self._gather_rows(X, self._fold_in)
        vars(self).pop("item_content_factors_", None)
        if self._module.content is not None:
            self.item_content_factors_ = self._module.content_factors.cpu().numpy()

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

    def _validation_score(self, X_val, y_val):
        return ranking_scores(self._checked_recommender(), X_val, y_val, self.scoring)

    # Inference

    def _encode(self, features):
        """Codes of checked content, on the device: (n_rows, n_components)."""
        self._module.content.eval()
        parts = self._map_rows(features, self._module.content.encode)
        return torch.cat([codes for _, _, codes in parts])

    def _fold_in(self, rows):
        """Factors of the users with these rows: (n_rows, n_components)."""
        return half_step(
            rows,
            self._module.item_factors,
            a=self.a,
            b=self.b,
            regularization=self.lambda_u,
        )

    def _catalogue(self, new_item_features):
        """Factors of all items, those of new ones behind."""
        factors = self._module.item_factors
        if new_item_features is None:
            return factors
        return torch.cat([factors, self._new_item_factors(new_item_features)])

    def _new_item_factors(self, item_features):
        check_is_fitted(self)
        content = self._module.content
        if content is None:
            raise ValueError(
                f"This {type(self).__name__} was fitted without item_features, so it "
                "knows nothing of items but who met them; fit it with item_features."
            )
        features = self._check_item_features(item_features)
        if features.shape[1] != content.n_features:
            raise ValueError(
                f"The content of new items has {features.shape[1]} columns but the "
                f"model was fitted with {content.n_features}; pass the same features."
            )
        return self._encode(features) @ self._module.item_shrinkage

    def _iter_scores(self, X, factors=None):
        if factors is None:
            factors = self._module.item_factors
        return self._map_rows(X, lambda rows: self._fold_in(rows) @ factors.T)

    @property
    def _n_features_out(self):
        return self._module.item_factors.shape[1]

    def __sklearn_tags__(self):
        """Rows may be sparse."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
