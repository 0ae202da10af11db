"""
Width of the code and number of hidden layers
=============================================

This page shows how NDCG of held-out users depends on the width of the code and on the
number of hidden layers.
"""

# %%
# A curve for each depth
# ----------------------
# :class:`~sklearn.model_selection.ValidationCurveDisplay` of scikit-learn works with
# recommenders and ranking scorers. For MovieLens replace ``make_interactions`` by
# ``fetch_movielens("1m", min_rating=4).matrix``.
#
# The data are generated from eight tastes, so two components are too few. With eight
# components hidden layers improve NDCG. With more components the three depths differ by
# little more than the standard deviation over the folds, which is shaded.

import matplotlib.pyplot as plt
from sklearn.model_selection import ValidationCurveDisplay

from skvae import MultVAERecommender
from skvae.datasets import make_interactions
from skvae.metrics import make_ranking_scorer

X = make_interactions(n_users=600, n_items=300, random_state=0).matrix
widths = [2, 8, 32, 128]
depths = {
    "no hidden layer": ((), "#0072B2", "o-"),
    "one of 100 units": ((100,), "#D55E00", "s--"),
    "two of 100 units": ((100, 100), "#009E73", "^-."),
}

fig, ax = plt.subplots()
for name, (layers, color, style) in depths.items():
    display = ValidationCurveDisplay.from_estimator(
        MultVAERecommender(hidden_layer_sizes=layers, random_state=0),
        X,
        None,
        param_name="n_components",
        param_range=widths,
        cv=3,
        scoring=make_ranking_scorer("ndcg@100"),
        score_type="test",
        line_kw={"color": color, "linestyle": style[1:], "marker": style[0]},
        fill_between_kw={"color": color, "alpha": 0.15, "linewidth": 0},
        ax=ax,
    )
    display.lines_[0].set_label(name)
ax.set_xscale("log", base=2)
ax.set_xticks(widths, widths)
ax.set(xlabel="components of the code", ylabel="NDCG@100 of held-out users")
ax.spines[["top", "right"]].set_visible(False)
ax.legend()

plt.show()
