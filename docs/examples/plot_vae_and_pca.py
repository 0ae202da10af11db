"""
A VAE in place of PCA
=====================

:class:`~skvae.VAETransformer` is a transformer like
:class:`~sklearn.decomposition.PCA`. This page uses both in a pipeline before a
classifier, and compares them by cross-validation.
"""

# %%
# Cross-validate both pipelines
# -----------------------------
# A logistic regression classifies codes of several widths. With ``beta=0.3`` the codes
# keep more details of a digit than with 1, the value of the bound. For your own data,
# put a scaler before the VAE if the units of the features differ.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline

from skvae import VAETransformer

X, y = load_digits(return_X_y=True)
X = X / 16
widths = [2, 5, 10, 20]
folds = StratifiedKFold(3, shuffle=True, random_state=0)
accuracy = {"VAE": [], "PCA": []}
for width in widths:
    for name, reducer in {
        "VAE": VAETransformer(width, beta=0.3, max_iter=50, random_state=0),
        "PCA": PCA(width, random_state=0),
    }.items():
        pipeline = make_pipeline(reducer, LogisticRegression(max_iter=2000))
        accuracy[name].append(cross_val_score(pipeline, X, y, cv=folds))

# %%
# Accuracy by number of components
# --------------------------------
# Points are the three folds, lines their means. The fewer components, the more accurate
# is the VAE in comparison; with 20 components, and half of the default epochs, it is
# not better than PCA.

fig, ax = plt.subplots()
for name, color, marker, line in [
    ("VAE", "#0072B2", "o", "-"),
    ("PCA", "#D55E00", "s", "--"),
]:
    scores = np.array(accuracy[name])
    ax.plot(widths, scores.mean(axis=1), color=color, linestyle=line, label=name)
    ax.plot(widths, scores, marker, color=color, markersize=4)
ax.set(xlabel="components", ylabel="accuracy on held-out digits", xticks=widths)
ax.spines[["top", "right"]].set_visible(False)
ax.legend()

for width, *scores in zip(widths, *accuracy.values(), strict=True):
    vae, pca = (fold_scores.mean() for fold_scores in scores)
    print(f"{width:2} components: VAE {vae:.3f}, PCA {pca:.3f}")

plt.show()
