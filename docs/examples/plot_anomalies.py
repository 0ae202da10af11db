"""
Find anomalies by their log-probability
=======================================

:meth:`~skvae.VAETransformer.score_samples` estimates log p(x) of each row. What it
finds improbable, having learned from what is usual, is an anomaly.
"""

# %%
# The digits 0 to 8 are usual; nobody has shown a 9 to the model. The 9s stand among the
# test digits. For data of your own: fit on rows that are usual, and put a scaler before
# the model where the units of the features differ.

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
usual = X_train[y_train != 9]
is_anomaly = y_test == 9

vae = VAETransformer(10, random_state=0).fit(usual)
pca = PCA(10).fit(usual)  # its score_samples is that of the linear model
log_prob = vae.score_samples(X_test)

fig, ax = plt.subplots()
for name, scores in [("VAE", log_prob), ("PCA", pca.score_samples(X_test))]:
    RocCurveDisplay.from_predictions(is_anomaly, -scores, name=name, ax=ax)
ax.get_lines()[1].set(linestyle="--")
ax.legend()
ax.set(xlabel="share of the usual digits", ylabel="share of the 9s found")

# %%
# Where the two kinds lie
# -----------------------
# Most of the 9s lie below most of the others, but not all; the least probable hundredth
# of all test digits is off the picture.

fig, ax = plt.subplots()
bins = np.linspace(*np.quantile(log_prob, [0.01, 1]), 40)
kinds = [log_prob[~is_anomaly], log_prob[is_anomaly]]
ax.hist(kinds, bins, label=["0 to 8", "9"], color=["#0072B2", "#E69F00"])
ax.set(xlabel="log p(x) in nats", ylabel="test digits")
ax.spines[["top", "right"]].set_visible(False)
ax.legend()

# %%
# The usual digits that look the least so
# ---------------------------------------
# Above them their labels.

strangest = np.flatnonzero(~is_anomaly)[np.argsort(log_prob[~is_anomaly])[:12]]
display = GeneratedSamplesDisplay(samples=X_test[strangest])
display.plot(n_columns=12)
display.ax_.set_title(" ".join(f"{digit}" for digit in y_test[strangest]))

plt.show()
