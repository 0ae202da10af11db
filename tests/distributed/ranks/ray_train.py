"""Fit one model in two workers of Ray Train; called as ``ray_train.py FOLDER``.

Each worker writes what its fit has left.
"""

import sys
from pathlib import Path

import ray
import torch.distributed as dist
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from skvae import MultVAERecommender
from tests.distributed.ranks.fits import fit
from tests.distributed.ranks.test_ranks import X


def train(settings):
    model = MultVAERecommender(8, random_state=0, distributed="replicated")
    rank = dist.get_rank()
    left = fit(rank, model, [X] * dist.get_world_size())
    shown = f"{left['weights']} {left['n_iter_']} {left['loss_curve_']}"
    Path(settings["folder"], f"rank-{rank}").write_text(shown)


if __name__ == "__main__":
    folder = sys.argv[1]
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        _node_ip_address="127.0.0.1",
        object_store_memory=200 * 2**20,
    )
    TorchTrainer(
        train,
        train_loop_config={"folder": folder},
        scaling_config=ScalingConfig(num_workers=2),
        run_config=RunConfig(storage_path=f"{folder}/ray"),
    ).fit()
    ray.shutdown()
