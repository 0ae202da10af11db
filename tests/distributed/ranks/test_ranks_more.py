"""Distributed fits of other models, with checkpoints, and with processes that end."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone

from skvae import MultVAERecommender, VAETransformer
from skvae._training import ONE_PROCESS, RowBatches
from tests.distributed.ranks.fits import (
    At,
    AtEpoch,
    BatchNorm,
    Lazy,
    StopInOne,
    assert_same,
    fit,
    fit_and_look,
    fits_in_turn,
    gradients,
    left_by,
    partial_fits,
)
from tests.distributed.ranks.test_ranks import PLAIN, X, assert_close

pytestmark = pytest.mark.distributed

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "train_in_several_processes.py"
rng = np.random.default_rng(0)
REAL = rng.normal(size=(150, 3)) @ rng.normal(size=(3, 12)) + 5
SHARED = {"random_state": 0, "max_iter": 5}
VARIANTS = {
    "hidden layer": MultVAERecommender(8, hidden_layer_sizes=(9,), **PLAIN),
    "own decoder": MultVAERecommender(8, tied_weights=False, **PLAIN),
    "sampled": MultVAERecommender(8, n_sampled_items=5, **PLAIN),
    "sampled, own decoder": MultVAERecommender(
        8, n_sampled_items=5, tied_weights=False, alpha=0.1, **PLAIN
    ),
    "one step": MultVAERecommender(8, batch_size=1000, **PLAIN),
    "steps of a row": MultVAERecommender(8, batch_size=2, **PLAIN),
    "gaussian": VAETransformer(2, variational=False, **SHARED),
    "feature": VAETransformer(2, variational=False, noise_variance="feature", **SHARED),
    "poisson": VAETransformer(2, variational=False, likelihood="poisson", **SHARED),
    "multinomial": VAETransformer(
        2, variational=False, likelihood="multinomial", **SHARED
    ),
    "batch norm": VAETransformer(
        2, variational=False, encoder=BatchNorm, batch_size=1000, **SHARED
    ),
}
NOISY = {
    "mult": MultVAERecommender(8, random_state=0, max_iter=10),
    "search": MultVAERecommender(8, beta="auto", refit=True, **SHARED),
    "plateau": MultVAERecommender(
        8, lr_schedule="plateau", early_stopping=True, n_iter_no_change=3, **SHARED
    ),
    "vae": VAETransformer(2, random_state=0, max_iter=30),
    "bfloat16": MultVAERecommender(8, precision="bfloat16", **SHARED),
}


def rows_for(model):
    gaussian = getattr(model, "likelihood", "") == "gaussian"
    return REAL if gaussian else X


@pytest.mark.parametrize("distributed", ["replicated", "sharded"])
@pytest.mark.parametrize("name", VARIANTS)
def test_three_processes_compute_what_one_does(trio, name, distributed):
    model = VARIANTS[name]
    if name == "batch norm" and distributed == "sharded":
        pytest.skip("normalises the rows of each process, of which there must be two")
    data = rows_for(model)
    alone = left_by(clone(model).fit(data))
    rows = [data] * 3
    if distributed == "sharded":
        rows = [data[:100], data[:0], data[100:]]
    model = clone(model).set_params(distributed=distributed)
    results = trio.run(fit, model, rows)
    assert_same(results)
    if name == "batch norm":  # of the rows of each process
        assert np.isfinite(results[0]["loss_curve_"]).all()
    else:
        assert_close(results[0], alone)


@pytest.mark.parametrize("name", ["mult", "vae"])
def test_losses_with_noise_are_distributed_like_those_of_one_process(trio, name):
    model = NOISY[name]
    data = rows_for(model)
    losses, seeds = [[], []], range(8)
    for seed in seeds:
        one = clone(model).set_params(random_state=seed)
        several = clone(one).set_params(distributed="replicated")
        losses[0].append(one.fit(data).loss_curve_[-1])
        losses[1].append(trio.run(fit, several, [data] * 3)[0]["loss_curve_"][-1])
    errors = np.std(losses, axis=1, ddof=1) / len(seeds) ** 0.5
    assert abs(np.subtract(*np.mean(losses, axis=1))) < 4 * np.hypot(*errors)


@pytest.mark.parametrize("name", NOISY)
def test_all_processes_leave_the_same(trio, name):
    model = clone(NOISY[name]).set_params(distributed="replicated")
    results = trio.run(fit, model, [rows_for(model)] * 3)
    assert_same(results)
    assert results[0]["n_iter_"] == len(results[0]["loss_curve_"]) > 0


def test_partial_fit_and_warm_start_continue_in_all(trio):
    model = MultVAERecommender(8, **PLAIN)
    for function in (partial_fits, fits_in_turn):
        alone = function(0, clone(model), [X])
        rows = [X[:100], X[:0], X[100:]]
        several = clone(model).set_params(distributed="sharded")
        results = trio.run(function, several, rows)
        assert_same(results)
        assert_close(results[0], alone)


def test_gradients_are_those_of_the_mean_over_the_rows_of_a_step(trio):
    model = MultVAERecommender(8, **PLAIN).partial_fit(X)
    net = model._make_net(150, 1)
    batch = next(
        RowBatches(X, "cpu", ranks=ONE_PROCESS).shuffled(
            31, torch.Generator().manual_seed(0)
        )
    )
    net.noise_, net.step_ = None, 0
    net.module_.zero_grad()
    net.train_step_single(batch)
    alone = [one.grad.numpy() for one in model._module.parameters()]
    for summed in trio.run(gradients, model, X):
        for one, other in zip(alone, summed, strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-7)


def test_without_a_seed_all_take_that_of_the_first_process(trio):
    model = MultVAERecommender(8, max_iter=2, distributed="replicated")
    assert_same(trio.run(fit, model, [X] * 3))


def test_early_stopping_of_one_process_ends_the_fit_in_all(trio):
    stop = StopInOne(monitor="train_loss")
    model = MultVAERecommender(
        8, distributed="replicated", callbacks=[stop], random_state=0
    )
    results = trio.run(fit, model, [X] * 3)
    assert_same(results)
    assert results[0]["n_iter_"] == 2


@pytest.mark.parametrize("what", ["interrupt", "leave"])
@pytest.mark.parametrize("step", [0, 9, 10, 99])
def test_interruptions_at_other_steps(trio, what, step):
    model = MultVAERecommender(
        8,
        distributed="replicated",
        callbacks=[At(2, step + 1, what)],
        random_state=0,
        max_iter=10,
    )
    results = trio.run(fit_and_look, model, [X] * 3)
    assert [kind for kind, *_ in results] == ["KeyboardInterrupt"] * 3
    assert_same([left for *_, left in results])
    assert results[0][2]["n_iter_"] == step // 10


def test_an_interruption_between_training_and_validation(trio):
    for what in ("interrupt", "leave"):
        model = MultVAERecommender(
            8,
            distributed="replicated",
            callbacks=[AtEpoch(2, 3, what)],
            random_state=0,
            max_iter=10,
            early_stopping=True,
        )
        results = trio.run(fit_and_look, model, [X] * 3)
        assert [kind for kind, *_ in results] == ["KeyboardInterrupt"] * 3
        assert_same([left for *_, left in results])
        assert results[0][2]["n_iter_"] == 3


@pytest.mark.parametrize(
    ("rate", "reason"), [(1e18, "became"), (10.0, "loss without noise rose from")]
)
def test_divergence_ends_the_fit_in_all(trio, rate, reason):
    model = VAETransformer(
        2, learning_rate_init=rate, max_iter=10, random_state=0, distributed="sharded"
    )
    for kind, message, left in trio.run(
        fit_and_look, model, [REAL[:50], REAL[50:], REAL[:0]]
    ):
        assert kind == "DivergedError"
        assert reason in message
        assert left == set()


def test_what_cannot_be_distributed_is_refused_by_all(trio):
    refused = {
        "holds out no rows": MultVAERecommender(8, early_stopping=True),
        "lazy weights": VAETransformer(2, encoder=Lazy, likelihood="poisson"),
    }
    for message, model in refused.items():
        model.set_params(distributed="sharded")
        for kind, text, _ in trio.run(fit_and_look, model, [X[:50], X[50:], X[:0]]):
            assert kind == "ValueError"
            assert message in text
    empty = MultVAERecommender(8, distributed="sharded")
    for kind, text, _ in trio.run(fit_and_look, empty, [X[:0]] * 3):
        assert kind == "ValueError"
        assert "in any of the processes" in text


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("distributed", ["replicated", "sharded"])
def test_a_killed_process_ends_the_others_and_a_checkpoint_resumes(
    start, tmp_path, rank, distributed
):
    model = MultVAERecommender(8, distributed=distributed, random_state=0, max_iter=8)
    rows = [X, X] if distributed == "replicated" else [X[:40], X[40:]]
    whole = start().run(fit, clone(model), rows)
    model.set_params(
        checkpoint=tmp_path / "checkpoint", callbacks=[At(rank, 42, "die")]
    )
    processes = start()
    started = time.monotonic()
    results = processes.run(fit_and_look, model, rows)
    assert results[rank] is None
    kind, message, left = results[1 - rank]
    assert kind == "RanksError"
    assert "has ended" in message
    assert left == set()
    assert time.monotonic() - started < 60  # the timeout of the group
    assert (tmp_path / "checkpoint").exists()
    resumed = start().run(fit, model.set_params(callbacks=None), rows)
    assert_same(resumed)
    assert resumed[0]["weights"] == whole[0]["weights"]
    assert resumed[0]["loss_curve_"] == whole[0]["loss_curve_"]
    assert not (tmp_path / "checkpoint").exists()


def test_a_process_that_does_not_answer_ends_the_others_after_the_timeout(start):
    processes = start(timeout=5)
    model = MultVAERecommender(
        8, distributed="replicated", random_state=0, callbacks=[At(1, 3, "sleep")]
    )
    started = time.monotonic()
    processes.pipes[0].send((fit_and_look, (model, [X, X])))
    processes.pipes[1].send((fit_and_look, (model, [X, X])))
    assert processes.pipes[0].poll(60)
    kind, message, _ = processes.pipes[0].recv()
    assert kind == "RanksError"
    assert "timeout" in message
    assert processes.pipes[1].poll(60)
    assert processes.pipes[1].recv()[0] == "RanksError"
    assert time.monotonic() - started > 5


def test_a_checkpoint_of_several_processes_is_resumed_by_one(start, tmp_path):
    path = tmp_path / "checkpoint"
    model = MultVAERecommender(8, checkpoint=path, **PLAIN)
    alone = left_by(clone(model).fit(X))
    several = clone(model).set_params(
        distributed="replicated", callbacks=[At(1, 32, "die")]
    )
    start().run(fit_and_look, several, [X, X])
    assert path.exists()
    epochs = []

    class Count(At):
        def __init__(self):
            pass

        def on_batch_end(self, net, **kwargs):
            pass

        def on_epoch_end(self, net, **kwargs):
            epochs.append(len(net.history))

    resumed = left_by(model.set_params(callbacks=[Count()]).fit(X))
    assert_close(resumed, alone)
    assert epochs[-1] == 4
    assert len(epochs) < 4


def torchrun(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
        + [str(one) for one in arguments],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        check=False,
    )


def test_torchrun_runs_the_example():
    done = torchrun(EXAMPLE, "--users", 300, "--items", 80)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("NDCG@100") == 1
    assert "2 processes" in done.stdout


def test_torchrun_runs_the_example_on_ratings(tmp_path):
    users, items = sp.coo_array(X).coords
    lines = [f"u{user},i{item}" for user, item in zip(users, items, strict=True)]
    path = tmp_path / "ratings.csv"
    path.write_text("\n".join(["user,item", *lines]) + "\n")
    done = torchrun(EXAMPLE, "--data", path, "--user", "user", "--item", "item")
    assert done.returncode == 0, done.stderr
    assert "NDCG@100" in done.stdout


def test_spark_runs_the_function_of_the_example():
    pytest.importorskip("pyspark")
    script = (
        "from pyspark.sql import SparkSession\n"
        "from pyspark.ml.torch.distributor import TorchDistributor\n"
        "from train_in_several_processes import train\n"
        "spark = SparkSession.builder.master('local[2]').getOrCreate()\n"
        "distributor = TorchDistributor(\n"
        "    num_processes=2, local_mode=True, use_gpu=False)\n"
        "score = distributor.run(train, 300, 80)\n"
        "print('score', score)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{EXAMPLE.parent}"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    score = float(done.stdout.split("score ")[-1].split()[0])
    assert 0 < score <= 1


def test_ray_train_fits_one_model_in_its_workers(tmp_path):
    pytest.importorskip("ray")
    environment = {
        "PYTHONPATH": str(ROOT),  # of the workers
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("ray_train.py"), tmp_path],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    left = [(tmp_path / f"rank-{rank}").read_text() for rank in range(2)]
    assert left[0] == left[1]
    assert left[0].split()[1] == "20"
