"""
The latent space of digits
==========================

A :class:`~skvae.VAETransformer` with a code of two dimensions draws a map of
the digits.
"""

# %%
# Fit
# ---
# The pixels of scikit-learn's digits are brought to [0, 1]. The labels are not shown to
# the model. For the digits of MNIST write
# ``X, y = fetch_openml("mnist_784", return_X_y=True)`` and divide by 255.

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from skvae import VAETransformer
from skvae.inspection import (
    LatentSpaceDisplay,
    ReconstructionDisplay,
    TrainingCurveDisplay,
)

X, y = load_digits(return_X_y=True)
X = X / 16
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
vae = VAETransformer(2, early_stopping=True, n_iter_no_change=30, random_state=0).fit(
    X_train
)
pca = PCA(2).fit(X_train)

# %%
# How it was trained
# ------------------
# A tenth of the training digits is held out, and the epoch with the best bound on them
# is kept. While beta rises, the KL divergence falls, after a first rise.
TrainingCurveDisplay.from_estimator(vae)

# %%
# The map
# -------
# Test digits at the means of their posteriors, and beside them at their two principal
# components.

fig, axes = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
for ax, (name, model) in zip(axes, {"VAE": vae, "PCA": pca}.items(), strict=True):
    LatentSpaceDisplay.from_estimator(model, X_test, y_test, y_name="digit", ax=ax)
    neighbours = KNeighborsClassifier().fit(model.transform(X_train), y_train)
    accuracy = neighbours.score(model.transform(X_test), y_test)
    ax.set_title(f"{name}: five neighbours name {accuracy:.0%} of them")
    ax.get_legend().remove()
handles, labels = axes[0].get_legend_handles_labels()
fig.legend(handles, labels, loc="outside right center", title="digit")

# %%
# What two numbers keep of a digit
# --------------------------------
# The decoder of the VAE gives clear digits, at times the wrong ones; that of PCA, which
# is linear, gives mixtures.
for name, model in {"VAE": vae, "PCA": pca}.items():
    display = ReconstructionDisplay.from_estimator(
        model, X_test[:12], image_shape=(8, 8)
    )
    display.ax_.set_title(name)

plt.show()
