"""Seconds of an epoch of Mult-VAE in one process and in two.

    python -m benchmarks.speed.processes [--rounds 3] [--data ml-1m ml-20m]
        [--batch-sizes 500 2000] [--output benchmarks/results/processes.md]

Each contestant fits the defaults of `MultVAERecommender`: one process with one thread,
one with two threads, and two processes with one thread each, which
``distributed="replicated"`` joins by gloo over the loopback interface. Of
generated data of the shape of MovieLens 20M, some users are drawn, from whose steps the
seconds of a whole epoch are computed. Every round times each contestant once; the
fastest epoch counts. Run it on a machine that does nothing else.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from itertools import product
from pathlib import Path

import torch
import torch.distributed as dist
from skorch.callbacks import Callback

from benchmarks.environment import DATA, describe, environment
from benchmarks.speed import shapes
from skvae import MultVAERecommender
from skvae._training import _ranks

CONTESTANTS = ((1, 1), (1, 2), (2, 1))  # processes, threads of each
USERS = 6000  # of the 116,677 of MovieLens 20M, in a fit
# Epochs of a fit, of which the first warms up.
EPOCHS = {"ml-1m": 4, "ml-20m": 3}


class Clock(Callback):
    """Time each epoch, and in it what is sent and where processes meet."""

    def __init__(self):
        self.epochs = []

    def on_epoch_begin(self, net, **kwargs):
        """Start an epoch."""
        self.times_ = {"sending": 0.0, "meeting": 0.0, "steps": 0}
        self.started_ = time.perf_counter()

    def on_batch_end(self, net, **kwargs):
        """Count a step."""
        self.times_["steps"] += 1

    def on_epoch_end(self, net, **kwargs):
        """End the epoch."""
        self.times_["seconds"] = time.perf_counter() - self.started_
        self.epochs.append(self.times_)

    def timed(self, method, name):
        """Add the time of a function of `Ranks` to that of the epoch."""

        def call(*args, **kwargs):
            started = time.perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                if hasattr(self, "times_"):
                    self.times_[name] += time.perf_counter() - started

        return call


def main(arguments=None):
    options = parse(arguments)
    cases = list(product(options.data, options.batch_sizes, CONTESTANTS))
    fastest = {}
    for _ in range(options.rounds):
        for case in cases:
            epoch = fit(*case)
            best = fastest.setdefault(case, epoch)
            if epoch["seconds"] < best["seconds"]:
                fastest[case] = epoch
            print(*case, f"{epoch['whole']:.2f} s", flush=True)
    text = report(fastest)
    print(text)
    if options.output:
        Path(options.output).write_text(text, encoding="utf-8")


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", nargs="+", choices=list(EPOCHS), default=list(EPOCHS))
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[500, 2000])
    parser.add_argument("--output")
    return parser.parse_args(arguments)


def matrix(name):
    """Return the rows of the fit, and the number of users of the whole data."""
    if name == "ml-1m":
        X = shapes.ml_1m(DATA)
        return X, X.shape[0]
    n_users, n_items, n_interactions = shapes.ML_20M
    share = USERS / n_users
    return shapes.generated(USERS, n_items, int(share * n_interactions)), n_users


def fit(name, batch_size, contestant):
    """Fit in new processes; return the times of the fastest epoch of the first one."""
    n_processes, n_threads = contestant
    os.environ["OMP_NUM_THREADS"] = str(n_threads)
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        here, there = context.Pipe()
        processes = [
            context.Process(
                target=work, args=(name, batch_size, rank, contestant, folder, there)
            )
            for rank in range(n_processes)
        ]
        for process in processes:
            process.start()
        epoch = here.recv()
        for process in processes:
            process.join()
    return epoch


def work(name, batch_size, rank, contestant, folder, pipe):
    n_processes, n_threads = contestant
    torch.set_num_threads(n_threads)
    X, n_users = matrix(name)
    clock, distributed = Clock(), None
    if n_processes > 1:
        distributed = "replicated"
        dist.init_process_group(
            "gloo",
            init_method=f"file://{folder}/group",
            rank=rank,
            world_size=n_processes,
        )
        _ranks.Ranks.meet = clock.timed(_ranks.Ranks.meet, "meeting")
        _ranks._wait_for_all = clock.timed(_ranks._wait_for_all, "sending")
    MultVAERecommender(
        batch_size=batch_size,
        max_iter=EPOCHS[name],
        callbacks=[clock],
        distributed=distributed,
        random_state=0,
    ).fit(X)
    if distributed:
        dist.destroy_process_group()
    if rank == 0:
        epoch = min(clock.epochs[1:], key=lambda times: times["seconds"])
        pipe.send({**epoch, "whole": epoch["seconds"] / X.shape[0] * n_users})


def report(fastest):
    """Make the table of the results, in Markdown."""
    lines = [
        "| data | batch | processes | threads of each | s per step | s per epoch "
        "| speed | sending | waiting for the other |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (name, batch_size, contestant), times in fastest.items():
        n_processes, n_threads = contestant
        one = fastest[name, batch_size, CONTESTANTS[0]]["whole"]
        shares = [times[key] / times["seconds"] for key in ("sending", "meeting")]
        shown = [f"{share:.0%}" if n_processes > 1 else "-" for share in shares]
        lines.append(
            f"| {name} | {batch_size} | {n_processes} | {n_threads} "
            f"| {times['seconds'] / times['steps']:.3f} | {times['whole']:.1f} "
            f"| {one / times['whole']:.2f} | {shown[0]} | {shown[1]} |"
        )
    return "\n".join(
        [
            *lines,
            "",
            "Speed: how many times as fast as one process with one thread. Sending and "
            "waiting: shares of an",
            "epoch in the first process, for what is sent and for the other process to "
            "have computed as much.",
            "",
            describe(environment()),
            "",
        ]
    )


if __name__ == "__main__":
    main()
