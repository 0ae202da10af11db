"""Settings of MultVAERecommender compared on several sets, one change at a time.

    python -m benchmarks.ranking.variants
    python -m benchmarks.ranking.variants --sets ml-1m

On ml-1m, ml-latest-small and citeulike-t the users of one fold are held out, as in
`benchmarks.ranking.sets`. On parts of yelp2018-part and amazon-book-part, a third of
the users and the 15,000 most popular items, the validation interactions of the training
users are to be predicted. All fits have one seed, and on the wide sets 200 components
instead of the default. Defaults are chosen by these figures, so that they are no test
of the defaults.
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
BASE = MultVAERecommender(random_state=0)
VARIANTS = (
    {},
    {"init": "random"},
    {"learning_rate_init": 0.003},
    {"learning_rate_init": 0.0003},
    {"max_iter": 3},
    {"max_iter": 10},
    {"batch_size": 125},
    {"alpha": 1.0},
    {"dropout": 0.1},
    {"dropout": 0.7},
    {"label_smoothing": 0.5},
    {"label_smoothing": 0.97},
    {"initial_log_variance": -6.0},
    {"beta": 0.05},
    {"variational": False},
    {"variational": False, "init": "linear"},
)


class PopularityStart(MultVAERecommender):
    """Random start, from outputs that give every item its share of interactions."""

    def fit(self, X, y=None):
        """Fit the model."""
        counts = np.asarray(X.sum(axis=0)) + 1.0
        self._shift = torch.from_numpy(np.log(counts / counts.sum())).float()
        return super().fit(X)

    def _start(self, seed, X):
        super()._start(seed, X)
        self._module.shift_outputs(self._shift.to(self._module_device))


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
    models["init=random, outputs start at the popularity"] = PopularityStart(
        **{**base.get_params(), "init": "random"}
    )
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
