"""Base class of the baselines: scores of items that numpy computes from rows of X."""

from abc import abstractmethod

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.base import BaseEstimator

from skvae._base._recommender import RecommenderMixin
from skvae._training import RowBatches

# What to do if there is not enough memory for a fit.
WITHOUT_MEMORY = "pass fewer items"
# Scores that are held at a time.
BATCH_SIZE = 2**22


class Baseline(RecommenderMixin, BaseEstimator):
    """Recommender whose `_score` scores all items for some rows of X."""

    @abstractmethod
    def _score(self, X):
        """Score all items: array or sparse array, for checked rows in float64."""

    def _iter_scores(self, X):
        n_rows = max(1, BATCH_SIZE // X.shape[1])
        for rows, batch in RowBatches(X, "cpu").in_order(n_rows):
            scores = self._score(X[rows].astype(np.float64))
            scores = scores.toarray() if sp.issparse(scores) else scores
            yield rows, batch, torch.from_numpy(scores.astype(np.float32))

    def _check_training_rows(self, X):
        """Validate X for `fit`: canonical CSR in float64."""
        return sp.csr_array(self._check_rows(X, reset=True)).astype(np.float64)

    def __sklearn_tags__(self):
        """Rows may be sparse."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class ItemModel(Baseline):
    """Baseline whose scores are ``X @ item_weights_``."""

    def _score(self, X):
        return X @ self.item_weights_
