"""How a CollaborativeVAE is fitted, and how it computes: all that is not public."""

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
)
from sklearn.utils import check_array
from sklearn.utils._param_validation import HasMethods, Interval, RealNotInt, StrOptions
from sklearn.utils.validation import check_is_fitted, check_memory

from skvae._als import half_step
from skvae._content_model import (
    LIKELIHOODS,
    ContentSettings,
    PretrainingInterrupted,
    blank_content,
    make_net,
    pretrained_content,
    stream_seed,
)
from skvae._factor_training import FactorNet, Sweep
from skvae._inference import ModuleInference
from skvae._new_items import NewItemsMixin
from skvae._training import (
    BEST_WEIGHTS,
    PRECISIONS,
    IndexedBatches,
    TrainingState,
    make_callbacks,
    make_generator,
    resolve_device,
    train,
)
from skvae._validation import (
    FLOAT32_MAX,
    check_callbacks,
    check_float32_range,
    check_layer_sizes,
)
from skvae.metrics._scorer import ranking_scores
from skvae.metrics._validation import check_positive_int
from skvae.model_selection import hold_out_interactions
from skvae.model_selection._sparse import canonical_csr, errors_naming
from skvae.nn import ACTIVATIONS, FactorModel

INITIAL_FACTORS, ROUNDS = 3, 8  # streams of random numbers; see make_generator
# Parameters that a fitted model keeps, whatever is set on the estimator later.
WEIGHTS = ("a", "b", "lambda_u", "lambda_v", "lambda_r")
VALIDATED = ("validation_scores_", "best_iter_", "best_validation_score_")
SHOWN_FACTORS = ("item_factors_", "user_factors_", "item_content_factors_")


class CollaborativeFit(
    NewItemsMixin,
    ModuleInference,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Base of `CollaborativeVAE`, whose parameters it has."""

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
        "precision": [StrOptions(set(PRECISIONS))],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    # Training

    def _check_settings(self):
        check_positive_int("n_components", self.n_components)
        check_layer_sizes(self.hidden_layer_sizes)
        check_callbacks(self.callbacks)
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
                f"a={self.a} is less than b={self.b}: what a user met would count less "
                "than what the user did not meet; pass a >= b."
            )

    def _check_item_features(self, item_features, likelihood, name="item_features"):
        """Content as canonical CSR or as an array; a mapping holds it as "features"."""
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
                item_features,
                accept_sparse="csr",
                dtype=(np.float64, np.float32),
                ensure_non_negative=likelihood != "gaussian",
                input_name=name,
            )
        if sp.issparse(features) or likelihood == "multinomial":
            with errors_naming(name, features):
                features = sp.csr_array(canonical_csr(features))
        check_float32_range(features, name)
        if likelihood == "bernoulli" and features.max() > 1:
            raise ValueError(
                f"{name} goes up to {features.max():.6g}, but the likelihood is "
                "'bernoulli'; scale it to [0, 1], as "
                "sklearn.preprocessing.MaxAbsScaler does, or choose another likelihood."
            )
        return features

    def _check_alignment(self, features, n_items):
        if features.shape[0] != n_items:
            raise ValueError(
                f"item_features has {features.shape[0]} rows but X has {n_items} "
                "columns (items); pass one row per item. (scikit-learn's searches cut "
                "what has as many rows as X has users: where there are as many items "
                'as users, pass a mapping {"features": item_features}.)'
            )

    def _train(self, X, X_train, features, validation, seed):
        """Do all of the training; raise an interruption when what it left is usable."""
        before = vars(self).get("_module")
        try:
            content, interrupted = self._pretrain(features, seed)
            n_rounds = 0 if interrupted else self.max_iter
            interrupted |= self._run(
                X_train, features, content, n_rounds, validation, seed
            )
            if self.refit and X_train is not X and not interrupted:
                interrupted = self._refit(X, features, content, seed)
            self._take_factors(X, features)
        except KeyboardInterrupt:
            if vars(self).get("_module") is before:
                raise  # nothing was learned yet
            self._take_factors(X, features)
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
        """Put new factors in place and train; return whether the user interrupted."""
        sweep = self._start(X, features, content, seed)
        interrupted = False
        if n_rounds:
            device = self._module_device
            batches = []
            if features is not None:
                batches = IndexedBatches(features, device, for_training=True)
            net = make_net(
                FactorNet,
                self._module,
                self._content_settings(),
                device=device,
                n_rows=max(1, len(batches)),
                n_epochs=n_rounds,
                seed=stream_seed(seed, ROUNDS),
                anneal=self.content_epochs == 0,
                verbose=self.verbose,
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
                training_of="the content model, in the rounds,",
            )
            interrupted = train(net, batches, n_rounds)
            self._module.eval()
            self._take_curves(net)
        if interrupted or not n_rounds:
            sweep()  # factors to go with the weights as they are now
        return interrupted

    def _start(self, X, features, content, seed):
        """Put a new module in place, with the curves of an untrained model."""
        before = dict(vars(self))
        model = self._make_module(copy.deepcopy(content))
        self._module = model.to(resolve_device(self.device))
        encode = None if features is None else partial(self._encode, features)
        try:
            sweep = Sweep(model, X, encode)
            sweep.start(make_generator(seed, INITIAL_FACTORS))
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise
        self._state = TrainingState(seed)
        for name in (*VALIDATED, *SHOWN_FACTORS, "item_ids_"):
            vars(self).pop(name, None)
        self.n_iter_, self.objective_curve_ = 0, []
        self.loss_curve_, self.reconstruction_curve_, self.kl_curve_ = [], [], []
        return sweep

    def _make_module(self, content):
        """Make the module around a content model or None, its factors all zero."""
        return FactorModel(
            self.n_features_in_,
            self.n_components,
            content=content,
            **{name: float(getattr(self, name)) for name in WEIGHTS},
        )

    def _blank_module(self, weights):
        """Make a module of the present parameters, to be filled with such weights.

        They tell whether there is a content model, and for how many words.
        """
        first = weights.get("content.encoder.layers.0.weight")
        if first is None:
            return self._make_module(None)
        n_words = first.shape[0] if first.ndim else 0
        settings = self._content_settings()
        return self._make_module(blank_content(n_words, settings, torch.Generator()))

    def _take_curves(self, net):
        rounds = [epoch for epoch in net.history if "objective" in epoch]
        self.n_iter_ = len(rounds)
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
        found = {name: getattr(self, name) for name in VALIDATED}
        try:
            return self._run(X, features, content, found["best_iter_"], None, seed)
        finally:
            vars(self).update(found)

    def _take_factors(self, X, features):
        """Show the factors as arrays of their own, those of the users for all of X."""
        factors = [self._module.item_factors.cpu().numpy().copy(), self._fold_in_all(X)]
        if features is not None:
            factors.append(self._encode(features).cpu().numpy())
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

    def _validation_score(self, X_val, y_val):
        return ranking_scores(self._checked_recommender(), X_val, y_val, self.scoring)

    # Inference

    def _encode(self, features):
        """Codes of checked content, on the device: (n_rows, n_components)."""
        content = self._module.content.eval()
        width = max(layer.weight.shape[0] for layer in content.encoder.layers)
        parts = self._map_rows(features, content.encode, width)
        return torch.cat([codes for _, _, codes in parts])

    def _fold_in(self, rows):
        """Factors of the users with these rows: (n_rows, n_components)."""
        model = self._module
        return half_step(
            rows,
            model.item_factors,
            a=model.a,
            b=model.b,
            regularization=model.lambda_u,
            inverse=model.user_inverse,
        )

    def _fold_in_all(self, X):
        return self._gather_rows(X, self._fold_in, self._n_features_out)

    def _catalogue(self, new_item_features):
        """Factors of all items, those of new ones behind."""
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
                "knows nothing of items but who met them; fit it with item_features."
            )
        likelihood = type(content.likelihood).__name__.lower()
        features = self._check_item_features(item_features, likelihood, name)
        if features.shape[1] != content.n_features:
            raise ValueError(
                f"{name} has {features.shape[1]} columns but the model was fitted with "
                f"{content.n_features}; pass the same features."
            )
        return self._encode(features) @ self._module.item_shrinkage

    def _iter_scores(self, X, factors=None):
        if factors is None:
            factors = self._module.item_factors
        width = max(factors.shape)
        return self._map_rows(X, lambda rows: self._fold_in(rows) @ factors.T, width)

    @property
    def _n_features_out(self):
        return self._module.item_factors.shape[1]

    def __sklearn_tags__(self):
        """Rows may be sparse."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
