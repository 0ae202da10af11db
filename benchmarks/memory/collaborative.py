"""Memory of a fit of CollaborativeVAE in addition to its data, on citeulike-t.

    python -m benchmarks.memory.collaborative [--epochs 2] [--rounds 2]

The interactions (P = 10) and the words of 25,975 articles are loaded and weighted
before the measurement starts. The measurement is that of recommender.py.
"""

import argparse
from pathlib import Path

from benchmarks.environment import DATA
from benchmarks.memory.recommender import measure
from benchmarks.ranking.citeulike import load, tfidf
from skvae import CollaborativeVAE


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    train, _, counts, _ = load(args.data, "p10")
    features = tfidf(counts)
    model = CollaborativeVAE(
        content_epochs=args.epochs, max_iter=args.rounds, random_state=0, device="cpu"
    )
    for name, function in [
        ("fit", lambda: model.fit(train, item_features=features)),
        ("recommend", lambda: model.recommend(train, 100)),
        ("transform_items", lambda: model.transform_items(features)),
    ]:
        grown = measure(function)["peak"]
        print(f"{name}: {grown / 2**20:.0f} MiB above the data", flush=True)


if __name__ == "__main__":
    main()
