import re
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp

from benchmarks.speed import environments
from benchmarks.speed.contestant import (
    SETTINGS,
    Batches,
    Contestant,
    ContestantError,
)
from benchmarks.speed.rounds import run_rounds, start_all

WORKER = """
import os
import sys

print("hello from an import")

from benchmarks.speed.contestant import serve

print("ready to import more")


class Toy:
    def __init__(self, X, settings):
        print("chatter while it is made")
        os.system("echo chatter of a grandchild")
        self.X, self.settings = X, settings

    def epoch(self):
        print('{"name": "epoch", "seconds": "chatter in an action"}')

    def look(self):
        return {
            "shape": self.X.shape,
            "sum": float(self.X.sum()),
            "settings": vars(self.settings),
            "threads": os.environ["OMP_NUM_THREADS"],
        }

    def clocked(self):
        return {"seconds": 42.0, "count": 7}

    def fail(self):
        print("about to fail")
        raise ValueError("the toy is broken")


serve(Toy)
"""


@pytest.fixture
def matrix(tmp_path):
    path = tmp_path / "matrix.npz"
    sp.save_npz(path, sp.csr_array(np.eye(4, 6, dtype=np.float32)))
    return path


@pytest.fixture
def start(tmp_path, matrix):
    """Start contestants with a given text as worker, and close them at the end."""
    started = []

    def start(text=WORKER, title="toy", **settings):
        worker = tmp_path / f"{title}.py"
        worker.write_text(text)
        started.append(Contestant(title, worker, {"matrix": matrix, **settings}))
        return started[-1]

    yield start
    for contestant in started:
        contestant.close()


def test_actions_are_timed_and_other_output_is_ignored(start):
    contestant = start()

    for _ in range(2):
        reply = contestant.run("epoch")
        assert reply.keys() == {"name", "seconds"}
        assert reply["name"] == "epoch"
        assert 0 <= reply["seconds"] < 60


def test_the_child_receives_the_matrix_the_settings_and_the_threads(start, matrix):
    reply = start(latent=20, threads=3).run("look")

    assert reply["shape"] == [4, 6]
    assert reply["sum"] == 4
    expected = {"matrix": str(matrix), "latent": 20, "threads": 3}
    assert reply["settings"] == SETTINGS | expected
    assert reply["threads"] == "3"


def test_an_action_can_return_its_own_time(start):
    assert start().run("clocked") == {"name": "clocked", "seconds": 42.0, "count": 7}


@pytest.mark.parametrize(
    ("action", "told"),
    [("fail", "about to fail.*the toy is broken"), ("sing", "no attribute 'sing'")],
)
def test_error_of_a_failing_action_has_the_end_of_its_output(start, action, told):
    contestant = start()

    with pytest.raises(ContestantError, match=f"toy ended in '{action}'") as error:
        contestant.run(action)

    assert re.search(told, str(error.value), re.DOTALL)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import a_package_that_is_not_there", "ModuleNotFoundError"),
        (
            "from benchmarks.speed.contestant import serve\n"
            "serve(lambda X, settings: 1 / 0)",
            "ZeroDiv",
        ),
    ],
)
def test_error_of_a_child_that_cannot_start_has_its_output(start, text, told):
    with pytest.raises(ContestantError, match=told):
        start(text)


def test_a_missing_interpreter_raises_a_clear_error(tmp_path, matrix):
    with pytest.raises(ContestantError, match="cannot be started"):
        Contestant("toy", "toy.py", {"matrix": matrix}, tmp_path / "python")


def test_rounds_continue_without_contestants_that_fail(start):
    said = []
    contestants = start_all(
        [
            partial(start, title="good"),
            partial(start, "1 / 0", title="bad"),
            partial(start, WORKER.replace("def epoch", "def other"), title="frail"),
        ],
        say=said.append,
    )
    assert [contestant.title for contestant in contestants] == ["good", "frail"]

    replies = run_rounds(contestants, "epoch", n_rounds=3, say=said.append)

    assert {title: len(rounds) for title, rounds in replies.items()} == {
        "good": 3,
        "frail": 0,
    }
    assert [contestant.title for contestant in contestants] == ["good"]
    assert "bad ended" in said[0]
    assert "frail ended" in said[1]
    assert len(said) == 2


def test_close_ends_the_child_process(start):
    contestant = start()

    contestant.close()

    assert contestant._process.returncode == 0


@pytest.mark.parametrize(("limit", "count"), [(None, 5), (2, 2), (9, 5)])
def test_batches_are_counted_and_limited(limit, count):
    batches = Batches(limit)
    taken = []

    for _ in range(2):
        reply = batches.epoch(lambda: taken.extend(batches(range(5))))
        assert reply["count"] == count

    assert taken == 2 * list(range(count))


@pytest.mark.parametrize(("limit", "seconds"), [(None, 15), (5, 5)])
def test_time_before_the_first_batch_counts_only_in_whole_epochs(
    monkeypatch, limit, seconds
):
    now = 0
    clock = SimpleNamespace(perf_counter=lambda: now)
    monkeypatch.setattr("benchmarks.speed.contestant.time", clock)
    batches = Batches(limit)

    def train():
        nonlocal now
        now += 10
        for _ in batches(range(5)):
            now += 1

    assert batches.epoch(train) == {"count": 5, "seconds": seconds}


@pytest.mark.parametrize("peer", environments.WORKERS)
def test_every_peer_has_a_worker_and_pinned_requirements(peer):
    assert environments.WORKERS[peer].exists()
    requirements = environments.requirements(peer).read_text().splitlines()
    assert any(line.startswith(f"{peer}==") for line in requirements)


def test_an_environment_that_is_up_to_date_is_not_changed(tmp_path):
    (tmp_path / "implicit").mkdir()
    stamp = tmp_path / "implicit" / environments.INSTALLED
    stamp.write_text(environments.requirements("implicit").read_text())

    python = environments.interpreter("implicit", tmp_path)

    assert python.is_relative_to(tmp_path)
    assert python.stem == "python"
    assert list((tmp_path / "implicit").iterdir()) == [stamp]


def test_error_of_a_failed_installation_has_the_output_of_pip(tmp_path, monkeypatch):
    def create(environment, **options):
        python = environment / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text("#!/bin/sh\necho no matching version >&2\nexit 1\n")
        python.chmod(0o755)

    monkeypatch.setattr("benchmarks.speed.environments.venv.create", create)

    with pytest.raises(environments.PeerError, match="no matching version"):
        environments.interpreter("implicit", tmp_path)

    assert not (tmp_path / "implicit" / environments.INSTALLED).exists()
