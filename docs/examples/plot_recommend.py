"""
Recommend in twenty lines
=========================

Interactions in, items out: a :class:`~skvae.MultVAERecommender` recommends to users
whom it has never seen.
"""

# %%
# Fit and recommend
# -----------------
# Rows are users, columns items. For data of your own replace ``make_interactions`` by
# ``load_interactions("ratings.csv", user="userId", item="movieId", rating="rating",
# min_rating=4).matrix``, for MovieLens by
# ``fetch_movielens("1m", min_rating=4).matrix``.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split

from skvae import MultVAERecommender
from skvae.datasets import make_interactions
from skvae.metrics import RankingCurveDisplay

X = make_interactions(n_users=1500, n_items=300, random_state=0).matrix
X_train, X_test = train_test_split(X, test_size=0.2, random_state=0)  # whole users

model = MultVAERecommender(100, random_state=0).fit(X_train)
items, scores = model.recommend(X_test[:3], n_items=5, return_scores=True)
print(items)

# %%
# How good is that?
# -----------------
# A fifth of the items of each test user is hidden, to be found from the rest. Beside
# the model stands the popularity of items, for whatever has ``decision_function`` can
# be scored. The model finds more of them at every length of the list.


class Popularity(BaseEstimator):
    """Scores items by the number of their users."""

    def fit(self, X, y=None):
        """Count the users of each item."""
        self.counts_ = np.asarray(X.sum(axis=0)).ravel()
        return self

    def decision_function(self, X):
        """Give everyone the same scores."""
        return np.tile(self.counts_, (X.shape[0], 1))


RankingCurveDisplay.from_estimator(
    {"Mult-VAE": model, "popularity": Popularity().fit(X_train)},
    X_test,
    metric="recall",
)

plt.show()
