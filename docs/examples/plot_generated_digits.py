"""
Generate digits
===============

A :class:`~skvae.VAETransformer` learns a distribution of images, from which new images
can be drawn, and a latent space, in which two images can be interpolated.
"""

# %%
# Fit the model
# -------------
# The pixels are scaled to [0, 1]. They have grey values, so the likelihood is gaussian,
# the default. For the digits of MNIST write
# ``X, y = fetch_openml("mnist_784", return_X_y=True)``, divide by 255 and leave out
# ``image_shape``, which is not needed for square images.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from skvae import VAETransformer
from skvae.inspection import GeneratedSamplesDisplay

X, y = load_digits(return_X_y=True)
X = X / 16
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
vae = VAETransformer(10, random_state=0).fit(X_train)
print(f"log p(x) of a test digit: {vae.score(X_test):.1f} nats")

# %%
# Generated digits
# ----------------
# Codes are drawn from the prior and decoded to mean images.

greys = {"vmin": 0, "vmax": 1}
GeneratedSamplesDisplay.from_estimator(
    vae, 60, image_shape=(8, 8), n_columns=12, random_state=0, im_kw=greys
)

# %%
# Most images look like one digit, some like a mixture of two.
# :meth:`~skvae.VAETransformer.sample` draws the pixels too, with the noise of the
# model.

GeneratedSamplesDisplay.from_estimator(
    vae, 24, response="sample", n_columns=12, random_state=0, im_kw=greys
)

# %%
# Interpolate between digits
# --------------------------
# Each row interpolates between two test digits, along a straight line in the latent
# space.

start, end = vae.transform(X_test[:5]), vae.transform(X_test[5:10])
steps = np.linspace(0, 1, 12)[:, None]
codes = np.concatenate([a + steps * (b - a) for a, b in zip(start, end, strict=True)])
display = GeneratedSamplesDisplay(samples=vae.inverse_transform(codes))
display.plot(n_columns=12, im_kw=greys)

# %%
# Test the generated digits with a classifier
# -------------------------------------------
# A classifier that was trained on real digits labels generated ones. A second
# classifier is trained on these only, and tested on real test digits.

classifier = LogisticRegression(max_iter=2000).fit(X_train, y_train)
generated = vae.sample(5000, random_state=0)
labels = classifier.predict(generated)
second_classifier = LogisticRegression(max_iter=2000).fit(generated, labels)
print(f"trained on real digits:      {classifier.score(X_test, y_test):.3f}")
print(f"trained on generated digits: {second_classifier.score(X_test, y_test):.3f}")

plt.show()
