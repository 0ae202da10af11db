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
# likelihood is gaussian, the default. For the digits of MNIST write
# ``X, y = fetch_openml("mnist_784", return_X_y=True)``, divide by 255 and leave out
# ``image_shape``, for any square will do.

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
# A grid of digits that nobody wrote
# ----------------------------------
# Codes are drawn from the prior and decoded to their mean images.

greys = {"vmin": 0, "vmax": 1}
GeneratedSamplesDisplay.from_estimator(
    vae, 60, image_shape=(8, 8), n_columns=12, random_state=0, im_kw=greys
)

# %%
# Most look like digits, some like two at once. :meth:`~skvae.VAETransformer.sample`
# draws the pixels too, with the noise that the model takes them to have.

GeneratedSamplesDisplay.from_estimator(
    vae, 24, response="sample", n_columns=12, random_state=0, im_kw=greys
)

# %%
# A walk through the latent space
# -------------------------------
# Each row leads from one test digit to another along a straight line of codes.

start, end = vae.transform(X_test[:5]), vae.transform(X_test[5:10])
steps = np.linspace(0, 1, 12)[:, None]
walks = np.concatenate([a + steps * (b - a) for a, b in zip(start, end, strict=True)])
walk = GeneratedSamplesDisplay(samples=vae.inverse_transform(walks))
walk.plot(n_columns=12, im_kw=greys)

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
