"""
Generate digits
===============

A :class:`~skvae.VAETransformer` learns a distribution of images, from which new ones
can be drawn, and a latent space in which one image can be led into another.
"""

# %%
# Fit
# ---
# The pixels are brought to [0, 1]. Grey values between black and white count, so the
# likelihood is gaussian, the default.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from skvae import VAETransformer

X, y = load_digits(return_X_y=True)
X = X / 16
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
vae = VAETransformer(10, random_state=0).fit(X_train)
print(f"log p(x) of a test digit: {vae.score(X_test):.1f} nats")
print("KL of the latent dimensions:", vae.component_kl_.round(2))

# %%
# A grid of digits that nobody wrote
# ----------------------------------
# :meth:`~skvae.VAETransformer.sample` draws with the noise of the pixels. What the
# decoder means is seen more clearly without: the mean image of codes drawn from the
# prior.


def show(images, n_columns):
    """Show images of 8 x 8 pixels row by row in a grid, with a margin around each."""
    n_rows = len(images) // n_columns
    framed = np.pad(images.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    grid = framed.reshape(n_rows, n_columns, 10, 10).swapaxes(1, 2)
    fig, ax = plt.subplots(figsize=(0.6 * n_columns, 0.6 * n_rows))
    ax.imshow(grid.reshape(10 * n_rows, 10 * n_columns), cmap="gray_r", vmin=0, vmax=1)
    ax.set_axis_off()
    fig.tight_layout()


codes = np.random.default_rng(0).standard_normal((60, vae.n_components))
show(vae.inverse_transform(codes), n_columns=12)

# %%
# A walk through the latent space
# -------------------------------
# Each row leads from one test digit to another along a straight line of codes.

start, end = vae.transform(X_test[:5]), vae.transform(X_test[5:10])
steps = np.linspace(0, 1, 12)[:, None]
walks = np.concatenate([a + steps * (b - a) for a, b in zip(start, end, strict=True)])
show(vae.inverse_transform(walks), n_columns=12)

# %%
# Are they digits?
# ----------------
# A classifier trained on real digits names generated ones. A second one, which has seen
# nothing but these, is then asked about real test digits.

classifier = LogisticRegression(max_iter=2000).fit(X_train, y_train)
generated = vae.sample(5000, random_state=0)
labels = classifier.predict(generated)
taught_by_samples = LogisticRegression(max_iter=2000).fit(generated, labels)
print(f"trained on real digits:      {classifier.score(X_test, y_test):.3f}")
print(f"trained on generated digits: {taught_by_samples.score(X_test, y_test):.3f}")

plt.show()
