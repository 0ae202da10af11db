"""MultVAERecommender, a contestant of the speed benchmark.

The timed actions: an epoch is a run of the training loop of `fit`, over all rows or
over the rows of the requested number of batches. Input validation is not timed, as for
the peers. Recommending and scoring are the public calls.
"""

import resource
import sys
from pathlib import Path

import torch

from benchmarks.speed.contestant import serve
from skvae import MultVAERecommender
from skvae._training import RowBatches, train
from skvae.metrics import make_ranking_scorer

# Network and training of Liang et al. 2018, as in the peers.
PAPER = {
    "tied_weights": False,
    "initial_log_variance": 0,
    "beta": 0.2,
    "dropout": 0.5,
    "label_smoothing": 0,
    "learning_rate_init": 1e-3,
    "lr_schedule": None,
    "max_iter": 200,
    "random_state": 0,
}


class Skvae:
    """`MultVAERecommender` for a matrix."""

    def __init__(self, X, settings):
        torch.set_num_threads(settings.threads)
        self.settings = settings
        self.model, self.linear_model = (
            MultVAERecommender(
                settings.latent,
                hidden_layer_sizes=sizes,
                batch_size=settings.batch_size,
                **PAPER,
            ).partial_fit(X[: settings.batch_size])
            for sizes in ((settings.hidden,), ())
        )
        self.X = X[: settings.n_users or X.shape[0]]
        rows = X
        if settings.n_batches is not None:
            rows = X[: settings.n_batches * settings.batch_size]
        self.batches = RowBatches(rows, self.model._module_device, for_training=True)
        self.net = self.model._make_net(X.shape[0], 1, None, False, None)
        self.score = make_ranking_scorer(f"ndcg@{settings.n_items}")

    def epoch(self):
        train(self.net, self.batches, 1)
        return {"count": -(-len(self.batches) // self.settings.batch_size)}

    def recommend(self):
        return self._recommend(self.model)

    def recommend_linear(self):
        """Recommend without hidden layer: scores from vectors of the latent width."""
        return self._recommend(self.linear_model)

    def _recommend(self, model):
        return {"count": len(model.recommend(self.X, self.settings.n_items))}

    def scorer(self):
        self.score(self.model, self.X)
        return {"count": self.X.shape[0]}

    def memory(self):
        """Return the largest resident set of this process so far, in bytes."""
        return {"bytes": _peak()}


def _peak():
    status = Path("/proc/self/status")
    if status.exists():  # on Linux, getrusage includes the size of the parent
        peak = next(s for s in status.read_text().splitlines() if s.startswith("VmHWM"))
        return 1024 * int(peak.split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


if __name__ == "__main__":
    serve(Skvae)
