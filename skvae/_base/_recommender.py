"""Mixin of the recommenders: ranking, on one hook that scores items by batches."""

import operator
import sys
from abc import ABCMeta, abstractmethod
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import scipy.sparse as sp
from sklearn.utils.random import sample_without_replacement
from sklearn.utils.validation import (
    check_is_fitted,
    check_non_negative,
    validate_data,
)

from skvae._training import computation
from skvae.datasets import RowBlocks, RowsOnDisk
from skvae.metrics import make_ranking_scorer
from skvae.model_selection import hold_out_interactions
from skvae.utils._long_table import refuse_long_table
from skvae.utils._sparse import canonical_csr, check_interactions
from skvae.utils._top_k import check_items, gather_scores, rank_batches
from skvae.utils._typing import ArrayLike, MatrixLike, NDArray, Ranking
from skvae.utils._validation import check_float32_range, check_input, errors_naming

# Users that are held out at most where a few settings are chosen by them.
MAX_VALIDATION_USERS = 500
NO_INTERACTIONS = (
    "X holds no interactions (every entry is zero); pass a matrix of users by items "
    "with a positive entry for each interaction."
)
# What to do if there is not enough memory for the scores of all items.
DENSE_SCORES = "pass fewer rows at a time, or rank items by recommend"


class RecommenderMixin(metaclass=ABCMeta):
    """Ranking for estimators whose rows are users and whose columns are items.

    A subclass defines `_iter_scores(X)`, and lists this class before its other bases.
    """

    n_features_in_: int
    # Class of blocks of rows that `fit` reads, None if it takes matrices only. With
    # one, the other methods read rows on disk.
    _blocks_to_fit: type[RowBlocks] | None = None

    @abstractmethod
    def _iter_scores(self, X):
        """Yield (slice, batch, scores) over the rows of a checked X.

        `batch` is the rows as `SparseRows`, `scores` a tensor of shape
        (n_rows, n_items) on the same device, which the caller may overwrite.
        """

    @computation(DENSE_SCORES)
    def decision_function(self, X: MatrixLike) -> NDArray[np.float32]:
        """Score every item for every user.

        The whole dense array is built; `recommend` ranks without it.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions of the users, who need not have been in the training data.

        Returns
        -------
        scores : ndarray of shape (n_users, n_items), float32
            Greater is better. Items of `X` are scored like the others.
        """
        check_is_fitted(self)
        X = self._check_rows(X, reset=False)
        return gather_scores(self._iter_scores(X), X.shape)

    def predict(self, X: MatrixLike) -> NDArray[np.int64]:
        """Recommend one item to each user: the best that the user has not seen.

        Items play the part of classes, so that scikit-learn's tools apply;
        `recommend` gives more than one.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions of the users.

        Returns
        -------
        items : ndarray of shape (n_users,), int64
            Column of the item; -1 for a user who has seen all. Translate it to an id
            by :func:`skvae.model_selection.look_up_ids`.
        """
        return self.recommend(X, n_items=1)[:, 0]

    @computation()
    def recommend(
        self,
        X: MatrixLike,
        n_items: int = 10,
        *,
        exclude_seen: bool = True,
        candidates: ArrayLike | None = None,
        return_scores: bool = False,
    ) -> Ranking:
        """Rank the best items for each user.

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
            If `n_items` is larger than the number of items.
        """
        check_is_fitted(self)
        X = self._check_rows(X, reset=False)
        return self._recommend(
            X,
            n_items,
            exclude_seen=exclude_seen,
            candidates=candidates,
            return_scores=return_scores,
        )

    @computation()
    def similar_items(
        self,
        items: ArrayLike,
        n_items: int = 10,
        *,
        candidates: ArrayLike | None = None,
        return_scores: bool = False,
    ) -> Ranking:
        """Rank the items that go with each of some items.

        They are those recommended to a user who has this item alone.

        Parameters
        ----------
        items : array-like of int, shape (n_queries,)
            Columns of the items to find similar items for.
        n_items : int, default=10
            How many items for each of them.
        candidates : array-like of int, shape (n_candidates,), default=None
            Rank only these items, as in `recommend`.
        return_scores : bool, default=False
            Return the scores too.

        Returns
        -------
        similar : ndarray of shape (n_queries, n_items), int64
            Columns of the items, best first, without the item itself. If fewer than
            `n_items` are left to rank, -1 follows.
        scores : ndarray of shape (n_queries, n_items), float32
            Their scores, minus infinity for -1. Only with `return_scores`.

        Raises
        ------
        ValueError
            If an item is not in the catalogue, or if `n_items` is larger than the
            number of items.
        """
        check_is_fitted(self)
        n_catalogue = self.n_features_in_
        columns = check_items(items, n_catalogue, "items")
        n_queries = len(columns)
        parts = (np.ones(n_queries, np.float32), columns, np.arange(n_queries + 1))
        return self._recommend(
            sp.csr_array(parts, shape=(n_queries, n_catalogue)),
            n_items,
            candidates=candidates,
            return_scores=return_scores,
        )

    @computation()
    def score(self, X: MatrixLike, y: Any = None) -> float:
        """Mean NDCG@100 over users.

        Without a sparse `y`, a fifth of each user's interactions is held out by a
        fixed seed, so that different models are scored on the same task, and items
        are ranked from the rest. `skvae.metrics.make_ranking_scorer` offers other
        metrics.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions of the users.
        y : sparse matrix of shape (n_users, n_items) or array-like, default=None
            Sparse: later interactions of the same users, the truth. One-dimensional:
            ignored.

        Returns
        -------
        score : float
            Between 0 and 1; NaN if nothing is held out of any user.

        Raises
        ------
        ValueError
            If `y` is neither, or holds interactions that are in `X`.
        """
        check_is_fitted(self)
        X = self._check_rows(X, reset=False)
        scorer = make_ranking_scorer("ndcg@100")
        if isinstance(X, RowsOnDisk):
            return self._score_blocks(scorer, X, y)
        return cast(float, scorer(self._checked_recommender(), X, y))

    def _score_blocks(self, scorer, X, y):
        """Mean score over the users of all blocks who have held-out interactions."""
        if y is not None and np.shape(y) != X.shape:
            raise ValueError(
                f"y has shape {np.shape(y)} but X has shape {X.shape}; pass later "
                "interactions of the same users and items, as CSR or RowsOnDisk."
            )
        total, n_scored, start = 0.0, 0, 0
        for number in range(X.n_blocks):
            block = X.block(number)
            rows = slice(start, start + block.shape[0])
            start = rows.stop
            truth = None if y is None else y[rows]
            lengths = np.diff(block.indptr if y is None else truth.indptr)
            n_users = np.count_nonzero(
                lengths > (y is None)
            )  # one item is not held out
            if n_users:
                score = scorer(self._checked_recommender(), block, truth)
                total, n_scored = total + n_users * score, n_scored + n_users
        return total / n_scored if n_scored else np.nan

    def _checked_recommender(self):
        """Object with which metrics rank the items for a checked X."""
        return SimpleNamespace(recommend=self._recommend)

    def _recommend(
        self,
        X,
        n_items=10,
        *,
        exclude_seen=True,
        candidates=None,
        return_scores=False,
    ):
        """Rank as `recommend` does, for a checked X."""
        return rank_batches(
            self._iter_scores(X),
            X.shape,
            n_items,
            exclude_seen=exclude_seen,
            candidates=candidates,
            return_scores=return_scores,
        )

    def _check_rows(self, X, *, reset):
        if isinstance(X, RowBlocks):
            return self._check_blocks(X, reset=reset)
        if reset:
            refuse_long_table(X)
        X = check_input(self, X, reset=reset)
        check_non_negative(X, type(self).__name__)
        with errors_naming("X", X):
            X = canonical_csr(X)
        check_float32_range(X)
        if reset and X.nnz == 0 and getattr(self, "_min_rows", 1):
            raise ValueError(NO_INTERACTIONS)
        return X

    def _check_blocks(self, X, *, reset):
        """Check the shape of blocks of rows. The blocks are checked when they are read.

        Those of a fit are read once here, to count their interactions.
        """
        read = self._blocks_to_fit and (self._blocks_to_fit if reset else RowsOnDisk)
        if read is None or not isinstance(X, read):
            ways = "a matrix" if read is None else f"a matrix or {read.__name__}"
            raise TypeError(
                f"X is {type(X).__name__}, but {type(self).__name__} takes {ways} "
                "here; pass a matrix of some of the rows."
            )
        X = validate_data(self, X, reset=reset, skip_check_array=True)
        if reset and X.nnz == 0:
            raise ValueError(NO_INTERACTIONS)
        return X

    def _check_validation(self, X_val, y_val):
        if y_val is None:
            raise ValueError(
                "X_val needs y_val: pass the interactions to fold in as X_val and "
                "those held out as y_val (see model_selection.hold_out_interactions)."
            )
        if isinstance(X_val, RowBlocks) or isinstance(y_val, RowBlocks):
            raise TypeError(
                "X_val and y_val have to be in memory; pass matrices, such as X_val[:] "
                "of rows on disk."
            )
        X_val = self._check_rows(X_val, reset=False)
        y_val = check_interactions(y_val, "y_val")
        if y_val.shape != X_val.shape:
            raise ValueError(
                f"y_val has shape {y_val.shape} but X_val has {X_val.shape}; pass the "
                "held-out interactions of the same users and items."
            )
        if y_val.nnz == 0:
            raise ValueError("y_val holds no interactions, so nothing can be scored.")
        check_non_negative(y_val, f"{type(self).__name__}: y_val")
        n_repeated = X_val.multiply(y_val).nnz
        if n_repeated:
            raise ValueError(
                f"y_val repeats {n_repeated} of the interactions of X_val, which are "
                "excluded from the ranking and so cannot be found; hold them out of "
                "X_val (see model_selection.hold_out_interactions)."
            )
        return X_val, y_val

    def __sklearn_tags__(self):
        """Interactions are not negative."""
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        return tags


class InnerProductMixin(RecommenderMixin):
    """Recommender whose scores are inner products of vectors.

    Those of the items are in `item_vectors` of its module.
    """

    _module: Any
    transform: Any

    def _user_vectors(self, X):
        """Vectors of the users with these rows: their codes."""
        return self.transform(X)

    def user_vectors(self, X: MatrixLike) -> NDArray[np.float32]:
        """Compute vectors whose inner products with `item_vectors_` are the scores.

        An index for inner products finds the best items with them.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions of the users, who need not have been in the training data.

        Returns
        -------
        U : ndarray of shape (n_users, n_dimensions), float32
            ``U @ item_vectors_.T`` is `decision_function` of X, but for rounding.
        """
        return cast("NDArray[np.float32]", self._user_vectors(X))

    @property
    def item_vectors_(self):
        """Vectors of the items, as in `user_vectors`: (n_items, n_dimensions)."""
        return self._module.item_vectors.detach().cpu().numpy()


def hold_out_users(X, fraction, seed, *, max_users=sys.maxsize):
    """Hold out whole users, and of these a part of the interactions.

    Parameters
    ----------
    X : CSR or RowBlocks of shape (n_users, n_items)
        Canonical interactions.
    fraction : float
        Share of the users to hold out, at most. Only those with two interactions or
        more can be.
    seed : int
        Seed of the choice. Other users are chosen of blocks than of a matrix.
    max_users : int, optional
        How many users to hold out, at most.

    Returns
    -------
    X_train, X_val, y_val : CSR
        Rows of the others; of those held out the interactions to fold in, and those to
        find. None instead of the three if no user can be held out, or no interaction
        would be left to train on. X_train of blocks is of their class.
    """
    rng = np.random.RandomState(seed)
    in_blocks = isinstance(X, RowBlocks)
    n_eligible = {}
    if in_blocks:
        n_eligible = X.map_reduce(_count_eligible, operator.or_)
    else:
        eligible = np.flatnonzero(np.diff(X.indptr) >= 2)
    n_users = min(
        int(np.ceil(fraction * X.shape[0])),
        max_users,
        sum(n_eligible.values()) if in_blocks else len(eligible),
    )
    if n_users == 0:
        return None
    if in_blocks:
        X_train, X_held_out = _take_out(X, n_eligible, n_users, rng)
        n_left = X.nnz - X_held_out.nnz
    else:
        held_out = np.zeros(X.shape[0], dtype=bool)
        held_out[rng.choice(eligible, n_users, replace=False)] = True
        X_train, X_held_out = X[~held_out], X[held_out]
        n_left = X_train.nnz
    if n_left == 0:
        return None
    return X_train, *hold_out_interactions(X_held_out, random_state=rng)


# Of users in blocks, numbers are kept for each block, and rows for those held out.


def _take_out(X, n_eligible, n_users, rng):
    """Draw eligible users: the blocks without them, and their rows as a CSR."""
    numbers = sorted(n_eligible)
    ends = np.cumsum([n_eligible[number] for number in numbers])
    drawn = np.sort(sample_without_replacement(ends[-1], n_users, random_state=rng))
    blocks = np.searchsorted(ends, drawn, side="right")
    places = drawn - np.append(0, ends)[blocks]
    chosen = {numbers[b]: places[blocks == b] for b in np.unique(blocks)}
    found = X.map_reduce(partial(_chosen_rows, chosen), operator.or_)
    rows = {number: index for number, (index, _) in found.items()}
    taken = [found[number][1] for number in sorted(found)]
    return X.without(rows), sp.vstack(taken, format="csr")


def _eligible(block):
    return np.flatnonzero(np.diff(block.indptr) >= 2)


def _count_eligible(number, block):
    return {number: len(_eligible(block))}


def _chosen_rows(chosen, number, block):
    if number not in chosen:
        return {}
    rows = _eligible(block)[chosen[number]]
    return {number: (rows, block[rows])}
