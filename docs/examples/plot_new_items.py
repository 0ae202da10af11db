"""
Recommend items that nobody has met
===================================

:class:`~skvae.CollaborativeVAE` learns from interactions and from what items contain,
so it ranks new items as soon as their content is known.
"""

# %%
# Items, tastes and words
# -----------------------
# In generated data the taste of an item speaks through its words. For users, articles
# and words of the real world take ``data = fetch_citeulike("t")``, the matrix
# ``data.matrix`` and the words ``data.item_features``, weighed by
# :class:`~sklearn.feature_extraction.text.TfidfTransformer`.

import matplotlib.pyplot as plt
import numpy as np

from skvae import CollaborativeVAE
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
# A fifth of the items is new: all their interactions are held out. Of the others a
# fifth is held out for validation.

X_rest, X_new, new = hold_out_items(data.matrix, 0.2, random_state=0)
X_train, X_val, _ = hold_out_items(X_rest, 0.2, random_state=1)

# %%
# Recall by round
# ---------------
# A round trains the network that reads the words for an epoch and then solves for the
# factors of items and users. After each, items of the validation part are to be found
# among all. ``lambda_v`` says how close the factors of an item stay to its words. New
# items are known by their words alone, and the closer the others stay to theirs, the
# better the new ones rank. With small values every further round makes it worse.

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
# New items alone
# ---------------
# Which of the new items does a user take up? Beside the model, that with the greatest
# ``lambda_v``, stand an order by chance and one by the true probabilities that the data
# were drawn from. The model is well ahead of chance, and far from what could be known:
# words tell tastes, and how popular an item will be they do not tell.


class Truth:
    """Scores items by the probabilities that the interactions were drawn from."""

    def decision_function(self, X):
        """Give the true preferences of all users."""
        return data.user_factors @ data.item_factors.T


class Random:
    """Scores items by chance."""

    def decision_function(self, X):
        """Draw a score for each user and item."""
        return rng.random(X.shape)


fig, ax = plt.subplots()
for name, ranker in {"truth": Truth(), "words": model, "chance": Random()}.items():
    items = top_items(ranker, X_rest, 50, candidates=new)
    RankingCurveDisplay.from_predictions(
        X_new, y_rank=items, metric="recall", name=name, ax=ax
    )
ax.set_title("New items ranked among themselves")

plt.show()
