"""
Recommend items without interactions
====================================

:class:`~skvae.CollaborativeVAE` learns from interactions and from the content of items,
so it can rank new items if their content is known.
"""

# %%
# Generate interactions and words
# -------------------------------
# The words of an item are drawn from topics that belong to the tastes from which the
# interactions are generated. For real articles use ``data = fetch_citeulike("t")``, its
# matrix ``data.matrix``, and its words ``data.item_features`` with the weights of
# :class:`~sklearn.feature_extraction.text.TfidfTransformer`.

import matplotlib.pyplot as plt
import numpy as np

from skvae import CollaborativeVAE
from skvae.baselines import ContentItemKNN
from skvae.datasets import make_interactions
from skvae.inspection import TrainingCurveDisplay
from skvae.metrics import RankingCurveDisplay
from skvae.model_selection import hold_out_items, top_items

rng = np.random.default_rng(0)
data = make_interactions(n_users=1000, n_items=400, n_factors=8, random_state=0)
tastes = data.item_factors / data.item_factors.sum(axis=1, keepdims=True)
words_of_tastes = rng.dirichlet(np.full(200, 0.1), size=8)
words = rng.poisson(30 * tastes @ words_of_tastes)

# %%
# A fifth of the items are new: all their interactions are held out. A fifth of the
# other items is held out for validation.

X_rest, X_new, new = hold_out_items(data.matrix, 0.2, random_state=0)
X_train, X_val, _ = hold_out_items(X_rest, 0.2, random_state=1)

# %%
# Recall by round
# ---------------
# A round trains the network of the words for an epoch, and then solves for the factors
# of items and users. After each round, validation items are ranked among all items.
# ``lambda_v`` determines how close the factors of an item are to the code of its words.
# New items have no factors except this code. They rank better if the factors of the
# other items are close to their codes too. With the smaller values of ``lambda_v`` the
# score decreases in most later rounds.

axes = None
for lambda_v in (10, 100, 1000):
    model = CollaborativeVAE(
        20, lambda_v=lambda_v, batch_size=40, scoring="recall@50", random_state=0
    )
    model.fit(X_train, item_features=words, X_val=X_train, y_val=X_val)
    display = TrainingCurveDisplay.from_estimator(
        model, curves="validation", name=f"lambda_v={lambda_v}", ax=axes
    )
    axes = display.axes_

# %%
# New items ranked among themselves
# ---------------------------------
# The model with the greatest ``lambda_v`` is compared with a baseline on the content,
# with a random order, and with the order by the true probabilities from which the data
# were drawn. The model is much better than the random order, and close to the baseline,
# which is ahead in longer lists. Both are far from the true order, because the words of
# an item tell its tastes, but not its future popularity.


class Truth:
    """Scores items by the probabilities from which the interactions were drawn."""

    def decision_function(self, X):
        """Return the true preferences of all users."""
        return data.user_factors @ data.item_factors.T


class Random:
    """Scores items at random."""

    def decision_function(self, X):
        """Draw a score for each user and item."""
        return rng.random(X.shape)


rankers = {
    "true probabilities": Truth(),
    "CollaborativeVAE": model,
    "ContentItemKNN": ContentItemKNN().fit(X_train, item_features=words),
    "random order": Random(),
}
fig, ax = plt.subplots()
for name, ranker in rankers.items():
    items = top_items(ranker, X_rest, 50, candidates=new)
    RankingCurveDisplay.from_predictions(
        X_new, y_rank=items, metric="recall", name=name, ax=ax
    )
ax.set_title("New items ranked among themselves")

plt.show()
