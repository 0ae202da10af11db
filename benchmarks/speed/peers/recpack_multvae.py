"""MultVAE of RecPack, a contestant of the speed benchmark.

The timed actions: an epoch is a call of the algorithm's `_train_epoch`, which its `fit`
times and logs too; the validation, which `fit` requires, is not included. Recommending
is done as in its pipelines and metrics: `predict`, subtraction of the history, and
`get_top_K_ranks`. It is done in batches of users, because `predict` makes lists of
Python objects of the size users x items.
"""

import numpy as np
import recpack.algorithms.mult_vae as recpack_module
from recpack.algorithms import MultVAE
from recpack.algorithms.util import get_batches
from recpack.util import get_top_K_ranks

from benchmarks.speed.contestant import Batches, serve


class RecPackMultVAE:
    """The package's own algorithm for a matrix."""

    def __init__(self, X, settings):
        self.settings = settings
        self._batches = Batches(settings.n_batches)
        recpack_module.get_batches = lambda users, batch_size: self._batches(
            get_batches(users, batch_size)
        )
        self.model = MultVAE(
            batch_size=settings.batch_size,
            dim_hidden_layer=settings.hidden,
            dim_bottleneck_layer=settings.latent,
        )
        self._X = self.model._transform_predict_input(X)
        self.model._init_model(self._X)

    def epoch(self):
        self.model.model_.train()
        return self._batches.epoch(lambda: self.model._train_epoch(self._X))

    def recommend(self):
        return {"count": sum(ranks.shape[0] for ranks in self.top_ranks())}

    def top_ranks(self):
        """Return the ranks of each user's best items, as a CSR matrix per batch."""
        X = self._X[: self.settings.n_users]
        size = self.settings.batch_size
        return [
            self._rank(X[start : start + size]) for start in range(0, X.shape[0], size)
        ]

    def top_items(self):
        """Return the items of each user, best first."""
        k = self.settings.n_items
        return np.concatenate(
            [
                ranks.indices[np.lexsort((ranks.data, ranks.nonzero()[0]))].reshape(
                    -1, k
                )
                for ranks in self.top_ranks()
            ]
        )

    def _rank(self, X):
        scores = self.model.predict(X)
        scores = scores - scores.multiply(X)
        return get_top_K_ranks(scores, self.settings.n_items)


if __name__ == "__main__":
    serve(RecPackMultVAE)
