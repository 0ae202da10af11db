"""
The meaning of latent dimensions
================================

This page shows which dimensions a :class:`~skvae.VAETransformer` uses, and how each of
them changes a digit.
"""

# %%
# Dimensions in use
# -----------------
# The KL divergence of a dimension measures its information about a row, on average. A
# dimension with a KL near zero is not used: with ``beta=3`` some of the twenty are not.
# For the digits of MNIST write
# ``X, y = fetch_openml("mnist_784", return_X_y=True)`` and divide by 255.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from skvae import VAETransformer
from skvae.inspection import ActiveUnitsDisplay, GeneratedSamplesDisplay

X, y = load_digits(return_X_y=True)
X = X / 16
vae = VAETransformer(20, beta=3, random_state=0).fit(X)
units = ActiveUnitsDisplay.from_estimator(vae)

# %%
# Change one dimension at a time
# ------------------------------
# In each row of images one dimension increases from -2.5 to 2.5, and all others are
# zero, the mean of the prior. The rows are the ten dimensions of greatest KL, in the
# order of the bars above. The first of them change one digit into another, the last
# ones change little.

steps = np.linspace(-2.5, 2.5, 11)
shown = units.order_[:10]
codes = np.zeros((len(shown), len(steps), vae.n_components))
for row, dimension in enumerate(shown):
    codes[row, :, dimension] = steps
images = vae.inverse_transform(codes.reshape(-1, vae.n_components))
display = GeneratedSamplesDisplay(samples=images)
display.plot(n_columns=len(steps), im_kw={"vmin": 0, "vmax": 1})

# %%
# Compare with the labels
# -----------------------
# The bars show which share of the variance of each dimension the labels explain. It is
# 1 if all images of a digit have the same code, and 0 if the mean code is the same for
# all digits. The labels explain most of the variance of the first dimension, although
# the fit did not use them.

Z = vae.transform(X)
between = sum(
    (y == digit).mean() * Z[y == digit].mean(axis=0) ** 2 for digit in range(10)
)
explained = (between - Z.mean(axis=0) ** 2) / Z.var(axis=0)

fig, ax = plt.subplots()
ax.bar(range(len(shown)), explained[shown], color="#0072B2")
ax.set_xticks(range(len(shown)), shown)
ax.set(
    xlabel="latent dimension, by decreasing KL", ylabel="share of explained variance"
)
ax.spines[["top", "right"]].set_visible(False)

plt.show()
