"""ALS of implicit, a contestant of the speed benchmark; not a VAE, but what many use.

What is timed: an epoch is one iteration, both half-steps, by the time that the package
itself hands to its callback; the transposition of the matrix that every `fit` begins
with is outside. Recommending is `recommend` of batches of users, with the factors that
the model holds.
"""

import numpy as np
from contestant import serve
from implicit.als import AlternatingLeastSquares

N_FACTORS = 128
# Their scores are held at once.
USERS_AT_ONCE = 1000


class ImplicitALS:
    """The package's own model on a matrix."""

    def __init__(self, X, settings):
        self.settings = settings
        self._X = X
        self.model = AlternatingLeastSquares(
            factors=N_FACTORS,
            iterations=1,
            num_threads=settings.threads,
            random_state=0,
        )

    def epoch(self):
        seconds = []
        # A second fit goes on with the factors of the first.
        self.model.fit(
            self._X,
            show_progress=False,
            callback=lambda iteration, elapsed, loss: seconds.append(elapsed),
        )
        return {"seconds": sum(seconds)}

    def recommend(self):
        return {"count": len(self.top_items())}

    def top_items(self):
        """Items of each user, best first."""
        users = np.arange(self.settings.n_users or self._X.shape[0])
        return np.concatenate(
            [
                self._recommend(users[start : start + USERS_AT_ONCE])
                for start in range(0, len(users), USERS_AT_ONCE)
            ]
        )

    def _recommend(self, users):
        items, _ = self.model.recommend(users, self._X[users], N=self.settings.n_items)
        return items


if __name__ == "__main__":
    serve(ImplicitALS)
