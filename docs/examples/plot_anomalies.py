"""
Find anomalies by their log-probability
=======================================

:meth:`~skvae.VAETransformer.score_samples` estimates log p(x) of each row. If the model
was fitted to normal rows, rows of low probability are anomalies.
"""

# %%
# Fit to normal digits
# --------------------
# The model is fitted to the digits 0 to 8. The test digits contain 9s too, which are
# the anomalies. For your own data, fit to normal rows, and put a scaler before the
# model if the units of the features differ.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.metrics import RocCurveDisplay
from sklearn.model_selection import train_test_split

from skvae import VAETransformer
from skvae.inspection import GeneratedSamplesDisplay

X, y = load_digits(return_X_y=True)
X = X / 16
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
X_normal = X_train[y_train != 9]
is_anomaly = y_test == 9

vae = VAETransformer(10, random_state=0).fit(X_normal)
pca = PCA(10).fit(X_normal)  # has score_samples too: log p(x) of probabilistic PCA
log_prob = vae.score_samples(X_test)

fig, ax = plt.subplots()
for name, scores in [("VAE", log_prob), ("PCA", pca.score_samples(X_test))]:
    RocCurveDisplay.from_predictions(is_anomaly, -scores, name=name, ax=ax)
ax.get_lines()[1].set(linestyle="--")
ax.legend()
ax.set(xlabel="share of normal digits", ylabel="share of 9s found")

# %%
# Log-probabilities of normal digits and anomalies
# ------------------------------------------------
# Most 9s, but not all, have a lower log-probability than most other digits. The picture
# leaves out the least probable hundredth of all test digits.

fig, ax = plt.subplots()
bins = np.linspace(*np.quantile(log_prob, [0.01, 1]), 40)
kinds = [log_prob[~is_anomaly], log_prob[is_anomaly]]
ax.hist(kinds, bins, label=["0 to 8", "9"], color=["#0072B2", "#E69F00"])
ax.set(xlabel="log p(x) in nats", ylabel="test digits")
ax.spines[["top", "right"]].set_visible(False)
ax.legend()

# %%
# The least probable normal digits
# --------------------------------
# The numbers above the images are their labels.

least = np.flatnonzero(~is_anomaly)[np.argsort(log_prob[~is_anomaly])[:12]]
display = GeneratedSamplesDisplay(samples=X_test[least])
display.plot(n_columns=12)
display.ax_.set_title(" ".join(f"{digit}" for digit in y_test[least]))

plt.show()
