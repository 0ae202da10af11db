"""Only `fetch_*` use the network: any other socket is an error."""

import subprocess
import sys

SCRIPT = """
import sys, tempfile
from pathlib import Path

asked = []

class Asked(Exception):
    pass

def refuse(event, args):
    if event.startswith(("socket.", "urllib.", "http.client.")):
        asked.append(event)
        raise Asked(event)

sys.addaudithook(refuse)

import numpy as np
import scipy.sparse as sp
import skvae
from skvae import datasets, inspection, metrics, model_selection
from skvae.utils import estimator_checks

rng = np.random.default_rng(0)
X = sp.csr_array((rng.random((30, 12)) < 0.3).astype(np.float32))
features = rng.random((12, 4))
folder = Path(tempfile.mkdtemp())
small = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}
fits = [
    (skvae.VAETransformer(2, **small), {}),
    (skvae.MultVAERecommender(2, **small), {}),
    (skvae.CollaborativeVAE(2, **small), {"item_features": features}),
]
for estimator, extra in fits:
    estimator.fit(X, **extra)
    skvae.save_model(estimator, folder / "model.safetensors")
    loaded = skvae.load_model(folder / "model.safetensors")
    loaded = getattr(loaded, "estimator", loaded)
    assert np.array_equal(loaded.transform(X), estimator.transform(X))
assert model_selection.top_items(fits[1][0], X, 3).shape == (30, 3)
assert metrics.make_ranking_scorer("ndcg@5")(fits[1][0], X) >= 0
(folder / "ratings.csv").write_text("user,item\\na,x\\nb,y\\n")
loaded = datasets.load_interactions(folder / "ratings.csv", user="user", item="item")
assert loaded.matrix.shape == (2, 2)
datasets.make_interactions(20, 30, n_interactions_per_user=5, random_state=0)
assert not asked, asked  # whatever became of the error

try:
    datasets.fetch_movielens("100k", data_home=folder)
except Asked:
    print("only the fetch asked")
"""


def test_only_fetchers_use_the_network():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1:] == ["only the fetch asked"]
