"""
The latent space of digits
==========================

A :class:`~skvae.VAETransformer` with a code of two dimensions maps the digits to points
of a plane.
"""

# %%
# Fit the models
# --------------
# The pixels of scikit-learn's digits are scaled to [0, 1]. The labels are not used by
# the fit. For the digits of MNIST write
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
# Training curves
# ---------------
# A tenth of the training digits is held out, and the weights of the epoch with the best
# bound on them are kept. After a first increase the KL divergence decreases, because
# its weight beta increases.
TrainingCurveDisplay.from_estimator(vae)

# %%
# Codes of the test digits
# ------------------------
# On the left are the means of the posteriors, on the right the two principal
# components.

fig, axes = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
for ax, (name, model) in zip(axes, {"VAE": vae, "PCA": pca}.items(), strict=True):
    LatentSpaceDisplay.from_estimator(model, X_test, y_test, y_name="digit", ax=ax)
    neighbours = KNeighborsClassifier().fit(model.transform(X_train), y_train)
    accuracy = neighbours.score(model.transform(X_test), y_test)
    ax.set_title(f"{name}: accuracy of five nearest neighbours {accuracy:.0%}")
    ax.get_legend().remove()
handles, labels = axes[0].get_legend_handles_labels()
fig.legend(handles, labels, loc="outside right center", title="digit")

# %%
# Reconstructions from two numbers
# --------------------------------
# The decoder of the VAE returns clear digits, which are sometimes wrong. The decoder of
# PCA is linear, and returns mixtures.
for name, model in {"VAE": vae, "PCA": pca}.items():
    display = ReconstructionDisplay.from_estimator(
        model, X_test[:12], image_shape=(8, 8)
    )
    display.ax_.set_title(name)

plt.show()
