"""MultiVAE of RecBole, a contestant of the speed benchmark.

The timed actions: an epoch is a call of the trainer's `_train_epoch`, whose time the
package's own log gives as the training time of an epoch; validation and the saving of
checkpoints are not included. Recommending is `full_sort_topk` for batches of users, as
in its documentation. Reading the files, and building the dense matrix of histories and
the test loader, are not timed.
"""

import tempfile
from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.model.general_recommender import MultiVAE
from recbole.trainer import Trainer
from recbole.utils.case_study import full_sort_topk

from benchmarks.speed.contestant import Batches, serve

NAME = "matrix"


class RecBoleMultiVAE:
    """The package's own dataset, loaders, model and trainer for a matrix."""

    def __init__(self, X, settings):
        self.settings = settings
        self._batches = Batches(settings.n_batches)
        # The package writes its logs to the current folder.
        with tempfile.TemporaryDirectory() as folder, chdir(folder):
            write_atomic_files(X, Path(folder))
            config = Config("MultiVAE", NAME, config_dict=parameters(folder, settings))
            self.dataset = create_dataset(config)
            self._train_data, _, self._test_data = data_preparation(
                config, self.dataset
            )
            self.model = MultiVAE(config, self._train_data.dataset)
            self.trainer = Trainer(config, self.model)

    def epoch(self):
        return self._batches.epoch(
            lambda: self.trainer._train_epoch(self._batches(self._train_data), 0)
        )

    def recommend(self):
        return {"count": len(self.top_items())}

    def top_items(self):
        """Return the items of each user, best first, as numbers of the package."""
        # Number 0 is padding, and the users are in the order of the file.
        n_users = self.settings.n_users or self.dataset.user_num - 1
        users = np.arange(1, n_users + 1)
        return np.concatenate(
            [
                full_sort_topk(
                    users[start : start + self.settings.batch_size],
                    self.model,
                    self._test_data,
                    k=self.settings.n_items,
                )[1].numpy()
                for start in range(0, len(users), self.settings.batch_size)
            ]
        )


def parameters(folder, settings):
    """Return the parameters that differ from the defaults of the package."""
    return {
        "data_path": folder,
        "checkpoint_dir": str(Path(folder, "saved")),
        "benchmark_filename": ["train", "held_out", "held_out"],
        "train_batch_size": settings.batch_size,
        "mlp_hidden_size": [settings.hidden],
        # One half is for the means, the other for the log-variances.
        "latent_dimension": 2 * settings.latent,
        "use_gpu": False,
        "show_progress": False,
        "state": "WARNING",
    }


def write_atomic_files(X, folder):
    """Write all interactions for training, and one unseen item per user as held out.

    A test loader excludes the items of the history that are not held out, so no item of
    the history may be held out.
    """
    users, items = X.nonzero()
    write_interactions(folder, "train", users, items)
    unseen = np.array([first_unseen(row) for row in np.split(items, X.indptr[1:-1])])
    users = np.flatnonzero(unseen < X.shape[1])
    write_interactions(folder, "held_out", users, unseen[users])


def write_interactions(folder, part, users, items):
    frame = pd.DataFrame({"user_id:token": users, "item_id:token": items})
    file = folder / NAME / f"{NAME}.{part}.inter"
    file.parent.mkdir(exist_ok=True)
    frame.to_csv(file, sep="\t", index=False)


def first_unseen(seen):
    """Return the smallest number from 0 that is not in the sorted array `seen`."""
    gaps = np.flatnonzero(seen != np.arange(len(seen)))
    return gaps[0] if len(gaps) else len(seen)


if __name__ == "__main__":
    serve(RecBoleMultiVAE)
