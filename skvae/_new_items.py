"""Ranking a catalogue with new items behind it, which nobody has met yet."""

from abc import abstractmethod

from sklearn.utils.validation import check_is_fitted

from skvae._recommender import RecommenderMixin, gather_scores, rank_batches


class NewItemsMixin(RecommenderMixin):
    """`RecommenderMixin` for estimators that score items never met by their content."""

    @abstractmethod
    def _catalogue(self, new_item_features):
        """Factors of all items, those with this content behind; None for no new."""

    @abstractmethod
    def _iter_scores(self, X, factors=None):
        """Do as for `RecommenderMixin`, with scores of these factors."""

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
