"""VAECF of Cornac, a contestant of the speed benchmark.

The timed actions: an epoch is the package's own loop, `learn`, for one epoch. It makes
a new Adam whose state is allocated in the first step, which is a small part of an
epoch. Recommending is `rank(user, items, k)` for one user after the other, among the
items that the user has not seen: the package takes one user at a time, and its
`recommend`, which also leaves out the seen items, sorts the whole catalogue first.
Building the data set is not timed.
"""

from collections import OrderedDict

import numpy as np
from cornac.data import Dataset
from cornac.models import VAECF
from cornac.models.vaecf.vaecf import learn

from benchmarks.speed.contestant import Batches, serve


class LimitedDataset(Dataset):
    """A data set whose batches of users are counted and can be limited."""

    batches = Batches()

    def user_iter(self, batch_size=1, shuffle=False):
        return self.batches(super().user_iter(batch_size, shuffle))


class CornacVAECF:
    """The package's own data set and model for a matrix."""

    def __init__(self, X, settings):
        self.settings = settings
        self._data = make_dataset(X)
        self._data.batches = Batches(settings.n_batches)
        self.model = VAECF(
            k=settings.latent,
            autoencoder_structure=[settings.hidden],
            act_fn="tanh",
            likelihood="mult",
            n_epochs=0,
            batch_size=settings.batch_size,
        )
        # With n_epochs=0, fit only makes the network.
        self.model.fit(self._data)

    def epoch(self):
        return self._data.batches.epoch(
            lambda: learn(
                self.model.vae,
                self._data,
                n_epochs=1,
                batch_size=self.model.batch_size,
                learn_rate=self.model.learning_rate,
                beta=self.model.beta,
                verbose=False,
                device=self.model.device,
            )
        )

    def recommend(self):
        return {"count": len(self.top_items())}

    def top_items(self):
        """Return the items of each user, best first."""
        n_users = self.settings.n_users or self._data.num_users
        return np.array([self._rank(user) for user in range(n_users)])

    def _rank(self, user):
        X = self._data.matrix
        unseen = np.ones(X.shape[1], dtype=bool)
        unseen[X.indices[X.indptr[user] : X.indptr[user + 1]]] = False
        k = self.settings.n_items
        ranked, _ = self.model.rank(user, np.flatnonzero(unseen), k=k)
        return ranked[:k]


def make_dataset(X):
    """Make the data set from arrays; `from_uir` would loop over tuples in Python."""
    users, items = X.nonzero()
    return LimitedDataset(
        num_users=X.shape[0],
        num_items=X.shape[1],
        uid_map=OrderedDict((user, user) for user in range(X.shape[0])),
        iid_map=OrderedDict((item, item) for item in range(X.shape[1])),
        uir_tuple=(users, items, np.ones(len(users))),
    )


if __name__ == "__main__":
    serve(CornacVAECF)
