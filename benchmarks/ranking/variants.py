"""Settings of MultVAERecommender compared on several sets, one change at a time.

    python -m benchmarks.ranking.variants
    python -m benchmarks.ranking.variants --sets ml-1m

On ml-1m, ml-latest-small and citeulike-t the users of one fold are held out, as in
`benchmarks.ranking.sets`. On parts of yelp2018-part and amazon-book-part, a third of
the users and the 15,000 most popular items, the validation interactions of the training
users are to be predicted. All fits have one seed and bfloat16 products, and on the wide
sets 200 components instead of the default. Defaults are chosen by these figures, so
that they are no test of the defaults.
"""

import argparse
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.base import clone

from benchmarks.environment import DATA, RESULTS, describe, environment
from benchmarks.ranking import sets
from benchmarks.ranking.ml1m import aligned
from skvae import LinearVAERecommender, MultVAERecommender
from skvae.metrics._scorer import ranking_scores

N_ITEMS = 15_000
WIDE = ("citeulike-t", "yelp2018-part", "amazon-book-part")
BASE = MultVAERecommender(precision="bfloat16", random_state=0)
VARIANTS = (
    {},
    {"batch_size": 125},
    {"max_iter": 40},
    {"alpha": 1.0},
    {"alpha": 3.0},
    {"dropout": 0.7},
    {"label_smoothing": 0.5},
    {"initial_log_variance": -6.0},
    {"beta": 0.05},
    {"variational": False},
)


class PopularityStart(MultVAERecommender):
    """Starts from outputs that give every item its share of the interactions."""

    def fit(self, X, y=None):
        """Fit the model."""
        counts = np.asarray(X.sum(axis=0)) + 1.0
        self._shift = torch.from_numpy(np.log(counts / counts.sum())).float()
        return super().fit(X)

    def _start(self, seed):
        super()._start(seed)
        self._module.shift_outputs(self._shift.to(self._module_device))


class ClosedFormStart(MultVAERecommender):
    """Starts from the components of the linear VAE, with the exponents of items halved.

    Input and output weights are the same, so that each takes half of the exponents of
    input and output. The weights of an item have a mean norm of 0.3, at which the
    likelihood is close to its best on yelp2018-part.
    """

    def fit(self, X, y=None):
        """Fit the model."""
        self._linear = LinearVAERecommender(random_state=self.random_state).fit(X)
        self._counts = np.maximum(np.asarray(X.sum(axis=0)).ravel(), 1.0)
        return super().fit(X)

    def _start(self, seed):
        super()._start(seed)
        model = self._linear
        exponent = (model.output_exponent_ - model.item_exponent) / 2
        shrinkage = 1 - model.noise_variance_ / model.explained_variance_
        start = (model.components_ * np.sqrt(shrinkage)[:, None]).T
        start *= self._counts[:, None] ** exponent
        start *= 0.3 / np.linalg.norm(start, axis=1).mean()
        n_kept = min(start.shape[1], self._module.n_components)
        with torch.no_grad():
            weight = self._module.encoder.layers[0].weight
            weight.mul_(0.1)
            weight[:, :n_kept] = torch.from_numpy(start[:, :n_kept]).float()


METRICS = ("ndcg@100", "recall_relevant@20")


def main(arguments=None):
    """Score all settings on the sets, and write a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the sets")
    parser.add_argument("--sets", nargs="+", choices=sets.SETS, default=list(sets.SETS))
    parser.add_argument("--output", type=Path, default=RESULTS / "variants.md")
    options = parser.parse_args(arguments)
    columns = {name: scores(name, options.data) for name in options.sets}
    titles = list(next(iter(columns.values())))
    rows = [["setting", *columns]]
    rows += [[t, *(column[t] for column in columns.values())] for t in titles]
    lines = [
        "# Settings of MultVAERecommender, one change at a time",
        "",
        "NDCG@100 and Recall@20 (of all held-out items), one seed.",
        "",
        *aligned(rows),
        "",
        describe(environment()),
    ]
    options.output.write_text("\n".join(lines) + "\n")


def scores(name, folder):
    """Score every setting on a set: title -> text with both metrics."""
    X, fold_in, held_out = read(name, folder)
    base = clone(BASE)
    if name in WIDE:
        base.set_params(n_components=200)
    models = {"LinearVAERecommender, defaults": LinearVAERecommender(random_state=0)}
    for changes in VARIANTS:
        title = ", ".join(f"{k}={v}" for k, v in changes.items()) or "as the default"
        models[title] = clone(base).set_params(**changes)
    models["outputs start at the popularity"] = PopularityStart(**base.get_params())
    slow = clone(base).set_params(learning_rate_init=3e-4)
    models["learning_rate_init=0.0003"] = slow
    title = "weights start from the closed form, learning_rate_init=0.0003"
    models[title] = ClosedFormStart(**slow.get_params())
    found = {}
    for title, model in models.items():
        result = ranking_scores(model.fit(X), fold_in, held_out, METRICS)
        found[title] = " / ".join(f"{result[metric]:.4f}" for metric in METRICS)
        print(f"{name}, {title}: {found[title]}", flush=True)
    return found


def read(name, folder):
    """Training matrix, and fold-in and held-out interactions of the users scored."""
    if name not in ("yelp2018-part", "amazon-book-part"):
        fold = next(sets.SETS[name](SimpleNamespace(data=folder, folds=1)))
        return fold["train"], *fold["test"]
    X, held_out, _ = sets.read_split(name, folder)
    users = np.random.default_rng(0).permutation(X.shape[0])[: X.shape[0] // 3]
    items = np.argsort(-X[users].sum(axis=0), kind="stable")[:N_ITEMS]
    X, held_out = (sp.csr_array(part[users][:, items]) for part in (X, held_out))
    known = np.diff(X.indptr) > 0
    return X[known], X[known], held_out[known]


if __name__ == "__main__":
    sys.exit(main())
