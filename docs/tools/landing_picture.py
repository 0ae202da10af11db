"""Draw the picture of the first page: interactions, and the ranks that a model gives.

    python -m docs.tools.landing_picture

The data, the model and the split are those of the first page. The picture is written to
images/landing.svg.
"""

from pathlib import Path

import matplotlib
import numpy as np
from sklearn.model_selection import train_test_split

from skvae import MultVAERecommender
from skvae.datasets import make_interactions
from skvae.model_selection import hold_out_interactions

matplotlib.use("svg")
import matplotlib.pyplot as plt

TARGET = Path(__file__).resolve().parents[1] / "images" / "landing.svg"
BLUE, ORANGE = "#0072b2", "#d55e00"
N_SHOWN_USERS, N_SHOWN_ITEMS = 30, 90


def main():
    """Fit the model, select users and items, and draw them."""
    data = make_interactions(n_users=500, n_items=200, random_state=0)
    train, test = train_test_split(np.arange(500), test_size=0.2, random_state=0)
    shown, hidden = hold_out_interactions(data.matrix[test], random_state=0)
    model = MultVAERecommender(100, random_state=0).fit(data.matrix[train])
    scores = model.decision_function(shown)

    # The most active users and most popular items, each sorted by taste.
    users = np.argsort(-data.matrix[test].sum(axis=1))[:N_SHOWN_USERS]
    users = users[np.argsort(data.user_factors[test][users].argmax(axis=1))]
    items = np.argsort(-data.item_popularity)[:N_SHOWN_ITEMS]
    items = items[np.argsort(data.item_factors[items].argmax(axis=1))]
    ranks = (scores.argsort(axis=1).argsort(axis=1) / scores.shape[1])[users][:, items]
    draw(shown.toarray()[users][:, items], hidden.toarray()[users][:, items], ranks)


def draw(shown, hidden, ranks):
    """Draw both panels and write them to `TARGET`."""
    plt.rcParams.update({"svg.hashsalt": "skvae", "font.size": 9})
    fig, axes = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True)
    for ax in axes:
        ax.set(xlabel="items, sorted by taste", xticks=[], yticks=[])
        ax.spines[["top", "right", "left", "bottom"]].set_color("0.7")
    y, x = shown.nonzero()
    axes[0].scatter(x, y, s=7, color=BLUE, marker="s", linewidths=0)
    axes[0].set(
        title="Interactions of new users",
        ylabel="users, sorted by taste",
        xlim=(-1, shown.shape[1]),
    )
    axes[1].imshow(
        ranks, cmap="Blues", vmin=0, vmax=1.2, aspect="auto", interpolation="nearest"
    )
    y, x = hidden.nonzero()
    axes[1].scatter(x, y, s=22, facecolors="none", edgecolors=ORANGE, linewidths=1.2)
    axes[1].set_title("Ranks by the model, with rings at hidden interactions")
    fig.tight_layout()
    fig.savefig(TARGET, metadata={"Date": None})


if __name__ == "__main__":
    main()
