"""MultiVAE of RecBole, a contestant of the speed benchmark.

What is timed: an epoch is a call of the trainer's `_train_epoch`, which is what the
package's own log gives as the training time of an epoch; validation and the saving of
checkpoints are outside. Recommending is `full_sort_topk` on batches of users, the call
of its documentation. Reading the files, building the dense matrix of histories and the
test loader belong to the preparation.
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
    """The package's own dataset, loaders, model and trainer on a matrix."""

    def __init__(self, X, settings):
        self.settings = settings
        self._batches = Batches(settings.n_batches)
        # Its logs go to the folder that one stands in.
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
        """Items of each user, best first, by the package's own numbers."""
        # Number 0 is padding, and the users come in the order of the file.
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
    """What differs from the defaults of the package."""
    return {
        "data_path": folder,
        "checkpoint_dir": str(Path(folder, "saved")),
        "benchmark_filename": ["train", "held_out", "held_out"],
        "train_batch_size": settings.batch_size,
        "mlp_hidden_size": [settings.hidden],
        # Half of it are the means, half the log-variances.
        "latent_dimension": 2 * settings.latent,
        "use_gpu": False,
        "show_progress": False,
        "state": "WARNING",
    }


def write_atomic_files(X, folder):
    """Write all interactions for training, and one unseen item a user as held out.

    What a test loader excludes is the history less what is held out, so that nothing
    of the history may be held out.
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
    """The least number that is not among these, which are sorted."""
    gaps = np.flatnonzero(seen != np.arange(len(seen)))
    return gaps[0] if len(gaps) else len(seen)


if __name__ == "__main__":
    serve(RecBoleMultiVAE)
