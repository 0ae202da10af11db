"""ALS of implicit, a contestant of the speed benchmark; not a VAE, but what many use.

What is timed: an epoch is one iteration, both half-steps, by the time that the package
itself hands to its callback; the transposition of the matrix that every `fit` begins
with is outside. Recommending is `recommend` of batches of users, with the factors that
the model holds: no factors are computed from rows, as a VAE encodes them each time.

The latent width is that of the VAEs. Scores are products of vectors as long as the
factors, in a VAE as long as its last hidden layer, so recommending is timed at both
widths, and at 128, a usual number of factors.
"""

import numpy as np
from implicit.als import AlternatingLeastSquares

from benchmarks.speed.contestant import serve

FEW_FACTORS = 128
# Their scores are held at once.
USERS_AT_ONCE = 1000


class ImplicitALS:
    """The package's own model on a matrix."""

    def __init__(self, X, settings):
        self.settings = settings
        self._X = X
        self._models = {}

    def model(self, n_factors):
        """Model of so many factors, after one iteration."""
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
        # A second fit goes on with the factors of the first.
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
        """Recommend by factors as many as the last hidden layer of the VAEs has."""
        return {"count": len(self.top_items(self.settings.hidden))}

    def recommend_few(self):
        return {"count": len(self.top_items(FEW_FACTORS))}

    def top_items(self, n_factors):
        """Items of each user, best first."""
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
