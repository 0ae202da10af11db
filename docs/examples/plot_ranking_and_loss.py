"""
Ranking and loss part ways
==========================

What is trained is a loss, what counts is a ranking. Watch both on users held out.
"""

# %%
# Train epoch by epoch
# --------------------
# ``partial_fit`` is one epoch. After each the bound and NDCG of validation users are
# taken. For MovieLens replace ``make_interactions`` by
# ``fetch_movielens("1m", min_rating=4).matrix``.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import train_test_split

from skvae import MultVAERecommender
from skvae.datasets import make_interactions
from skvae.metrics import make_ranking_scorer

X = make_interactions(n_users=1000, n_items=300, random_state=0).matrix
X_train, X_val = train_test_split(X, test_size=0.3, random_state=0)
score = make_ranking_scorer("ndcg@100")

model = MultVAERecommender(
    100, label_smoothing=0, beta=0.2, max_iter=60, lr_schedule=None, random_state=0
)
losses, ranking = [], []
for _ in range(model.max_iter):
    model.partial_fit(X_train)
    losses.append(-float(model.elbo(X_val).mean()))
    ranking.append(score(model, X_val))

# %%
# The two by epoch
# ----------------
# Stars mark the best epoch of each. The bound gains to the end, whereas NDCG is at its
# best early and then falls a little: who stops by the loss stops too late. (The bound
# has the KL at full weight; training here anneals it to 0.2.) So `early_stopping` of a
# :class:`~skvae.MultVAERecommender` watches the ranking.

epochs = np.arange(1, len(losses) + 1)
fig, axes = plt.subplots(2, sharex=True, layout="constrained")
for ax, values, best, color, label in [
    (axes[0], losses, np.argmin(losses), "#0072B2", "negative bound\n(nats per user)"),
    (axes[1], ranking, np.argmax(ranking), "#D55E00", "NDCG@100"),
]:
    ax.plot(epochs, values, color=color)
    ax.plot(
        epochs[best], values[best], "k*", markersize=12, label=f"epoch {epochs[best]}"
    )
    ax.set_ylabel(label)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend()
axes[1].set_xlabel("epoch")
fig.suptitle("Validation users")

at_least_loss = ranking[int(np.argmin(losses))]
print(
    f"NDCG@100 at the least loss: {at_least_loss:.3f}, at its best {max(ranking):.3f}"
)

plt.show()
