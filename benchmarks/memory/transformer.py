"""Memory of a fit of VAETransformer in addition to its data, 100,000 x 500 float32.

    python -m benchmarks.memory.transformer [--rows 100000] [--features 500]
        [--epochs 2]

The data are made before the measurement starts. A thread then samples the resident size
of the process during fit, transform and elbo.
"""

import argparse

import numpy as np

from benchmarks.memory.recommender import measure
from skvae import VAETransformer


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=2)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    X = rng.standard_normal((args.rows, args.features), dtype=np.float32)
    print(f"data: {X.nbytes / 2**20:.0f} MiB")
    model = VAETransformer(max_iter=args.epochs, random_state=0, device="cpu")
    for name, function in [
        ("fit", lambda: model.fit(X)),
        ("transform", lambda: model.transform(X)),
        ("elbo", lambda: model.elbo(X, n_draws=2)),
    ]:
        found = measure(function)
        print(
            f"{name}: {found['peak'] / 2**20:.0f} MiB above the data, "
            f"{found['seconds']:.1f} s"
        )


if __name__ == "__main__":
    main()
