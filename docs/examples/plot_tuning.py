"""
Tune a recommender with GridSearchCV
====================================

The folds of the search hold out whole users. The scorer hides a part of the items of
each held-out user, by the same seed for every candidate.
"""

# %%
# The search
# ----------
# For MovieLens replace ``make_interactions`` by
# ``fetch_movielens("1m", min_rating=4).matrix``.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV, train_test_split

from skvae import MultVAERecommender
from skvae.datasets import make_interactions
from skvae.metrics import make_ranking_scorer

X = make_interactions(n_users=600, n_items=200, random_state=0).matrix
X_train, X_test = train_test_split(X, test_size=0.25, random_state=0)

grid = {"dropout": [0.1, 0.35, 0.6], "label_smoothing": [0, 0.3, 0.6, 0.9]}
search = GridSearchCV(
    MultVAERecommender(50, random_state=0),
    grid,
    scoring=make_ranking_scorer(("ndcg@20", "recall@20")),
    refit="ndcg@20",
    cv=3,
)
search.fit(X_train)
print("best:", search.best_params_)
test_scores = make_ranking_scorer(("ndcg@20", "recall@20"))(search, X_test)
print({name: round(score, 3) for name, score in test_scores.items()})

# %%
# NDCG over the grid
# ------------------
# Each cell has the mean and the standard error over the folds; the best one is framed.
# The two parameters interact: strong smoothing ranks worst with little dropout, and
# best with much dropout. The differences among the best cells are within the errors.

shape = [len(values) for values in grid.values()]  # the last parameter varies fastest
mean = search.cv_results_["mean_test_ndcg@20"].reshape(shape)
error = search.cv_results_["std_test_ndcg@20"].reshape(shape) / np.sqrt(3)

fig, ax = plt.subplots(layout="constrained")
image = ax.imshow(mean, cmap="cividis", aspect="auto")
ax.set_xticks(range(shape[1]), grid["label_smoothing"])
ax.set_yticks(range(shape[0]), grid["dropout"])
ax.set(xlabel="label_smoothing", ylabel="dropout")
for (i, j), value in np.ndenumerate(mean):
    color = "white" if value < (mean.min() + mean.max()) / 2 else "black"
    text = f"{value:.3f}\n±{error[i, j]:.3f}"
    ax.text(j, i, text, ha="center", va="center", color=color)
i, j = np.unravel_index(mean.argmax(), mean.shape)
frame = {"fill": False, "edgecolor": "#D55E00", "linewidth": 3}
ax.add_patch(plt.Rectangle((j - 0.5, i - 0.5), 1, 1, **frame))
fig.colorbar(image, label="NDCG@20 of held-out users")

plt.show()
