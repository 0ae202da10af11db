"""ALS of implicit, a contestant of the speed benchmark; not a VAE, but widely used.

The timed actions: an epoch is one iteration of both half-steps, with the time that the
package passes to its callback; it does not include the transposition of the matrix at
the start of every `fit`. Recommending is `recommend` for batches of users, with the
stored factors of the users: they are not computed from rows, whereas a VAE encodes the
rows each time.

The number of factors is the latent width of the VAEs. Scores are products of vectors,
which have the length of the factors here and of the last hidden layer in a VAE. So
recommending is timed at both widths, and at 128, a usual number of factors.
"""

import numpy as np
from implicit.als import AlternatingLeastSquares

from benchmarks.speed.contestant import serve

FEW_FACTORS = 128
# The scores of this many users are in memory at the same time.
USERS_AT_ONCE = 1000


class ImplicitALS:
    """The package's own model for a matrix."""

    def __init__(self, X, settings):
        self.settings = settings
        self._X = X
        self._models = {}

    def model(self, n_factors):
        """Return the model with `n_factors` factors, after at least one iteration."""
        if n_factors not in self._models:
            self._models[n_factors] = AlternatingLeastSquares(
                factors=n_factors,
                iterations=1,
                num_threads=self.settings.threads,
                random_state=0,
            )
            self._iterate(n_factors)
        return self._models[n_factors]

    def _iterate(self, n_factors):
        seconds = []
        # A second fit continues with the factors of the first.
        self.model(n_factors).fit(
            self._X,
            show_progress=False,
            callback=lambda iteration, elapsed, loss: seconds.append(elapsed),
        )
        return sum(seconds)

    def epoch(self):
        return {"seconds": self._iterate(self.settings.latent)}

    def recommend(self):
        return {"count": len(self.top_items(self.settings.latent))}

    def recommend_wide(self):
        """Recommend with as many factors as the VAEs have units before the output."""
        return {"count": len(self.top_items(self.settings.hidden))}

    def recommend_few(self):
        return {"count": len(self.top_items(FEW_FACTORS))}

    def top_items(self, n_factors):
        """Return the items of each user, best first."""
        model = self.model(n_factors)
        users = np.arange(self.settings.n_users or self._X.shape[0])
        return np.concatenate(
            [
                self._recommend(model, users[start : start + USERS_AT_ONCE])
                for start in range(0, len(users), USERS_AT_ONCE)
            ]
        )

    def _recommend(self, model, users):
        items, _ = model.recommend(users, self._X[users], N=self.settings.n_items)
        return items


if __name__ == "__main__":
    serve(ImplicitALS)
