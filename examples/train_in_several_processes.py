"""Fit one recommender in several processes, and print how well it ranks.

    torchrun --nproc-per-node 2 examples/train_in_several_processes.py
    torchrun --nproc-per-node 2 examples/train_in_several_processes.py \
        --data ratings.csv --user userId --item movieId

Spark runs the same function: ``TorchDistributor(num_processes=2, local_mode=True,
use_gpu=False).run(train)``.
"""

import argparse
from datetime import timedelta

import torch
import torch.distributed as dist

from skvae import MultVAERecommender
from skvae.datasets import load_interactions, make_interactions
from skvae.model_selection import hold_out_interactions


def train(n_users=2000, n_items=300, data=None, user="userId", item="movieId"):
    """Fit in the processes that have been started, of which this is one.

    Returns
    -------
    score : float
        NDCG@100 on users whose rows are not in the training data.
    """
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    # A process that does not answer for so long ends the fit in all of them.
    dist.init_process_group(backend, timeout=timedelta(minutes=10))
    rank, n_processes = dist.get_rank(), dist.get_world_size()
    if torch.cuda.is_available():
        torch.cuda.set_device(rank % torch.cuda.device_count())  # a GPU for each
    try:
        if data is None:
            X = make_interactions(n_users, n_items, random_state=0).matrix
        else:
            X = load_interactions(data, user=user, item=item).matrix
        n_test = X.shape[0] // 10
        X_train, X_test = X[n_test:], X[:n_test]
        # All have the same rows here. With distributed="sharded" each would pass rows
        # of its own, such as X_train[rank::n_processes].
        model = MultVAERecommender(
            100,
            distributed="replicated",
            random_state=0,
            verbose=2,  # shown by the first process
        ).fit(X_train)
    finally:
        dist.destroy_process_group()
    folded_in, truth = hold_out_interactions(X_test, random_state=0)
    score = model.score(folded_in, truth)  # the same in all
    if rank == 0:
        print(f"Fitted by {n_processes} processes: NDCG@100 {score:.3f}")
    return score


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=2000, help="users to generate")
    parser.add_argument("--items", type=int, default=300, help="items to generate")
    parser.add_argument("--data", help="CSV file with a line for each interaction")
    parser.add_argument("--user", default="userId", help="its column of users")
    parser.add_argument("--item", default="movieId", help="its column of items")
    options = parser.parse_args()
    train(options.users, options.items, options.data, options.user, options.item)
