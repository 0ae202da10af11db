"""
Find anomalies by their log-probability
=======================================

:meth:`~skvae.VAETransformer.score_samples` estimates log p(x) of each row. What it
finds improbable, having learned from what is usual, is an anomaly.
"""

# %%
# The digits 0 to 8 are usual; nobody has shown a 9 to the model. The 9s stand among the
# test digits.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from skvae import VAETransformer

X, y = load_digits(return_X_y=True)
X = X / 16
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
usual = X_train[y_train != 9]
is_anomaly = y_test == 9

vae = VAETransformer(10, random_state=0).fit(usual)
pca = PCA(10).fit(usual)  # its score_samples is that of the linear model
log_prob = vae.score_samples(X_test)
for name, scores in [("VAE", log_prob), ("PCA", pca.score_samples(X_test))]:
    print(f"{name}: area under the ROC curve {roc_auc_score(is_anomaly, -scores):.3f}")

# %%
# Where the two kinds lie, and the usual digits that look the least so.

fig, ax = plt.subplots()
bins = np.linspace(*np.quantile(log_prob, [0.01, 1]), 40)
ax.hist([log_prob[~is_anomaly], log_prob[is_anomaly]], bins, label=["0 to 8", "9"])
ax.set(xlabel="log p(x) in nats", ylabel="test digits")
ax.legend()

fig, axes = plt.subplots(1, 8, figsize=(8, 1.4))
strangest = np.flatnonzero(~is_anomaly)[np.argsort(log_prob[~is_anomaly])[:8]]
for ax, row in zip(axes, strangest, strict=True):
    ax.imshow(X_test[row].reshape(8, 8), cmap="gray_r")
    ax.set_title(f"{y_test[row]}")
    ax.set_axis_off()
fig.tight_layout()

plt.show()
