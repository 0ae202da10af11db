"""
A lower loss does not always rank better
========================================

The training minimises a loss, but a recommender is judged by its ranking. This page
compares the two on held-out users.
"""

# %%
# Train epoch by epoch
# --------------------
# ``partial_fit`` trains one epoch. After each epoch the bound and NDCG are computed for
# the validation users. For MovieLens replace ``make_interactions`` by
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
# Loss and ranking by epoch
# -------------------------
# Stars mark the best epochs. The bound improves until the end, but NDCG is best in an
# early epoch and then decreases a little. If training is stopped by the loss, it stops
# too late; therefore `early_stopping` of :class:`~skvae.MultVAERecommender` uses a
# ranking metric. (The bound has the full weight of the KL, which the training anneals
# to 0.2.)

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

at_lowest_loss = ranking[int(np.argmin(losses))]
print(f"NDCG@100 at the lowest loss: {at_lowest_loss:.3f}, best: {max(ranking):.3f}")

plt.show()
