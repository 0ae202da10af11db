"""
Recommend in twenty lines
=========================

A :class:`~skvae.MultVAERecommender` learns from a matrix of interactions, and
recommends items to users who were not in the training data.
"""

# %%
# Fit and recommend
# -----------------
# Rows are users, columns are items. For your own data replace ``make_interactions`` by
# ``load_interactions("ratings.csv", user="userId", item="movieId", rating="rating",
# min_rating=4).matrix``, for MovieLens by
# ``fetch_movielens("1m", min_rating=4).matrix``.

import matplotlib.pyplot as plt
from sklearn.model_selection import train_test_split

from skvae import MultVAERecommender
from skvae.baselines import ItemKNN, Popularity
from skvae.datasets import make_interactions
from skvae.metrics import RankingCurveDisplay

X = make_interactions(n_users=1500, n_items=300, random_state=0).matrix
X_train, X_test = train_test_split(X, test_size=0.2, random_state=0)  # whole users

model = MultVAERecommender(100, random_state=0).fit(X_train)
items, scores = model.recommend(X_test[:3], n_items=5, return_scores=True)
print(items)

# %%
# Compare with baselines
# ----------------------
# A fifth of the items of each test user is hidden, and ranked from the rest. The model
# finds more of them than popularity at every length of the list. On these generated
# data item-kNN, with its default parameters, is better in lists of more than ten items;
# on :doc:`MovieLens-1M </results/ml1m>` Mult-VAE is ahead of it.

RankingCurveDisplay.from_estimator(
    {
        "Mult-VAE": model,
        "item-kNN": ItemKNN().fit(X_train),
        "popularity": Popularity().fit(X_train),
    },
    X_test,
    metric="recall",
)

plt.show()
