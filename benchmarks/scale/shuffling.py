"""Quality of training that shuffles rows within windows of blocks on disk, on ml-1m.

    OMP_NUM_THREADS=1 python -m benchmarks.scale.shuffling

`MultVAERecommender` is trained on the users of a fold, written to disk in blocks of a
fortieth of the interactions, with windows of a quarter to a fortieth of them (one block
at a time). A window of all gives the batches of a matrix in memory. Rows are in the
order of the data, or sorted by their number of interactions, so that every block has
users of one kind: the worst case for windows. NDCG@100 is that of the test users of the
fold.
"""

import argparse
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from benchmarks.environment import DATA, RESULTS, describe, environment
from benchmarks.ranking import sets
from benchmarks.ranking.ml1m import aligned
from skvae import MultVAERecommender
from skvae.datasets import RowsOnDisk
from skvae.metrics import make_ranking_scorer

N_BLOCKS = 40
SHARES = (1, 4, 10, 40)


def main(arguments=None):
    """Fit with all windows and orders, and write a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the sets")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--components", type=int, default=64)
    parser.add_argument("--output", type=Path, default=RESULTS / "shuffling.md")
    options = parser.parse_args(arguments)
    fold = next(sets.SETS["ml-1m"](SimpleNamespace(data=options.data, folds=1)))
    X = fold["train"]
    orders = {
        "order of the data": np.arange(X.shape[0]),
        "sorted by activity": np.argsort(np.diff(X.indptr), kind="stable"),
    }
    rows = [["window", *orders]]
    with tempfile.TemporaryDirectory() as folder:
        found = {
            name: write_csr(X[order], Path(folder, str(number)))
            for number, (name, order) in enumerate(orders.items())
        }
        for share in SHARES:
            cells = []
            for path in found.values():
                window = -(-X.nnz // share)
                scores = [
                    score(RowsOnDisk(path, window=window), fold, seed, options)
                    for seed in range(options.seeds)
                ]
                cells.append(f"{np.mean(scores):.4f} ± {np.std(scores, ddof=1):.4f}")
            rows.append(["all" if share == 1 else f"1/{share}", *cells])
            print(rows[-1], flush=True)
    lines = [
        "# Training that shuffles rows within windows, on ml-1m",
        "",
        f"NDCG@100 of MultVAERecommender with {options.components} components after "
        f"{options.epochs} epochs: mean and standard deviation over {options.seeds} "
        f"seeds. {X.nnz:,} interactions of {X.shape[0]:,} users are in {N_BLOCKS} "
        "blocks. The window is the share of the interactions that are shuffled "
        "together; all is the full shuffle of a matrix in memory.",
        "",
        *aligned(rows),
        "",
        describe(environment()),
    ]
    options.output.write_text("\n".join(lines) + "\n")


def write_csr(X, folder):
    """Write a CSR as Parquet in `N_BLOCKS` blocks; the folder."""
    from skvae.datasets._rows_on_disk import RowsWriter

    folder.mkdir()
    ids = (np.arange(n) for n in X.shape)
    writer = RowsWriter(folder, "parquet", *ids, np.diff(X.indptr), weighted=False)
    writer.write(X, -(-X.nnz // N_BLOCKS))
    writer.close()
    return folder


def score(rows, fold, seed, options):
    """NDCG@100 of a fit on rows on disk."""
    model = MultVAERecommender(
        options.components, max_iter=options.epochs, random_state=seed
    )
    model.fit(rows)
    return make_ranking_scorer("ndcg@100")(model, *fold["test"])


if __name__ == "__main__":
    main()
