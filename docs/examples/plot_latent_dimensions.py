"""
What a latent dimension means
=============================

Which dimensions a :class:`~skvae.VAETransformer` has a use for, and what each of them
does to a digit.
"""

# %%
# Dimensions in use
# -----------------
# The KL divergence of a dimension is what it tells of a row on average. Where it is
# near zero the dimension tells nothing: with ``beta=3`` some of the twenty fall out of
# use. For the digits of MNIST write
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
# One dimension at a time
# -----------------------
# Each row of images moves one dimension from -2.5 to 2.5 and leaves all others at zero,
# the middle of the prior. The ten of greatest KL stand in the order of the bars above.
# The first of them lead from one digit to another, the last ones change little.

steps = np.linspace(-2.5, 2.5, 11)
shown = units.order_[:10]
codes = np.zeros((len(shown), len(steps), vae.n_components))
for row, dimension in enumerate(shown):
    codes[row, :, dimension] = steps
images = vae.inverse_transform(codes.reshape(-1, vae.n_components))
display = GeneratedSamplesDisplay(samples=images)
display.plot(n_columns=len(steps), im_kw={"vmin": 0, "vmax": 1})

# %%
# And what the labels say
# -----------------------
# Share of the variance of each dimension that the ten digits explain: 1 where all
# digits of a kind have one code, 0 where the mean is the same for all kinds. Nobody has
# shown the labels to the model, and yet they explain most of the first dimension.

Z = vae.transform(X)
between = sum(
    (y == digit).mean() * Z[y == digit].mean(axis=0) ** 2 for digit in range(10)
)
explained = (between - Z.mean(axis=0) ** 2) / Z.var(axis=0)

fig, ax = plt.subplots()
ax.bar(range(len(shown)), explained[shown], color="#0072B2")
ax.set_xticks(range(len(shown)), shown)
ax.set(
    xlabel="latent dimension, by falling KL", ylabel="share of variance between digits"
)
ax.spines[["top", "right"]].set_visible(False)

plt.show()
