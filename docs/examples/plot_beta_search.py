"""
Anneal beta, and search for it
==============================

``beta="auto"`` searches the weight of the KL divergence as Liang et al. 2018 do: one
training anneals it from 0 to 1 while the validation score is tracked, and a second one
has the beta of the best epoch as its cap.
"""

# %%
# The search
# ----------
# The network is a smaller version of that of the paper, with the same learning rate.
# The search needs ``label_smoothing=0``, because smoothing flattens the likelihood that
# beta is weighed against. For MovieLens replace ``make_interactions`` by
# ``fetch_movielens("1m", min_rating=4).matrix``.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import train_test_split

from skvae import MultVAERecommender
from skvae.datasets import make_interactions
from skvae.inspection import BetaSearchDisplay, TrainingCurveDisplay
from skvae.metrics import ndcg_at_k
from skvae.model_selection import hold_out_interactions

X = make_interactions(
    n_users=1400, n_items=300, n_interactions_per_user=10, random_state=0
).matrix
X_train, X_rest = train_test_split(X, test_size=800, random_state=0)
X_val, X_test = train_test_split(X_rest, test_size=400, random_state=0)
fold_in, held_out = hold_out_interactions(X_val, random_state=0)

settings = {
    "n_components": 50,
    "hidden_layer_sizes": (100,),
    "tied_weights": False,
    "learning_rate_init": 0.001,
    "label_smoothing": 0,
    "max_iter": 60,
    "lr_schedule": None,
    "random_state": 0,
}
model = MultVAERecommender(beta="auto", **settings)
model.fit(X_train, X_val=fold_in, y_val=held_out)
print(f"beta found: {model.beta_:.2f}")
BetaSearchDisplay.from_estimator(model)

# %%
# NDCG increases steeply at first and is then nearly constant: many values of beta rank
# about equally well.
#
# The second training
# -------------------
# Beta increases to the value that was found.

TrainingCurveDisplay.from_estimator(model)

# %%
# Compare with fixed values of beta
# ---------------------------------
# The test users had no part in the search. Each training has another cap, and keeps the
# weights of its best epoch on the validation users. Bars are standard errors over the
# test users; on data as small as these, the bars of all caps overlap.

shown, hidden = hold_out_interactions(X_test, random_state=0)


def test_score(model):
    """Mean NDCG@100 of the test users, and its standard error."""
    items = model.recommend(shown, n_items=100)
    per_user = ndcg_at_k(hidden, y_rank=items, k=100, per_user=True)
    per_user = per_user[~np.isnan(per_user)]  # NaN for users without hidden items
    return per_user.mean(), per_user.std() / np.sqrt(len(per_user))


betas = [0.0, 0.1, 0.2, 0.5, 1.0]
tried = []
for beta in betas:
    other = MultVAERecommender(beta=beta, **settings)
    tried.append(test_score(other.fit(X_train, X_val=fold_in, y_val=held_out)))

fig, ax = plt.subplots()
means, errors = zip(*tried, strict=True)
ax.errorbar(betas, means, errors, fmt="o-", color="#0072B2", capsize=3, label="fixed")
mean, error = test_score(model)
ax.errorbar(
    model.beta_, mean, error, fmt="*", color="#D55E00", markersize=14, label="auto"
)
ax.set(xlabel="beta (cap of the weight of KL)", ylabel="NDCG@100 of test users")
ax.spines[["top", "right"]].set_visible(False)
ax.legend()

plt.show()
