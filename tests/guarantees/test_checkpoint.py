"""An interrupted fit resumes from its checkpoint and ends with the same bits."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback, EarlyStopping, Freezer, LRScheduler

from skvae import MultVAERecommender, VAETransformer, load_model, save_model
from skvae._training import _checkpoint
from skvae.metrics import make_ranking_scorer
from skvae.model_selection import hold_out_interactions
from skvae.utils._tensor_file import read_tensor_file, write_tensor_file

SCRIPT = Path(__file__).parent / "killed_fits.py"
CASES, X = (runpy.run_path(str(SCRIPT))[name] for name in ("CASES", "X"))
SMALL = {"n_components": 6, "max_iter": 6, "random_state": 0}


class InterruptAt(Callback):
    """Interrupt in the first batch of the n-th epoch; record the epochs begun."""

    begun = []  # of the class: callbacks are cloned

    def __init__(self, n):
        self.n = n

    def on_epoch_begin(self, net, **kwargs):
        InterruptAt.begun.append(len(net.history))

    def on_batch_end(self, net, **kwargs):
        if len(InterruptAt.begun) == self.n:
            raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def every_epoch_is_written(monkeypatch):
    monkeypatch.setattr(_checkpoint, "WAIT", 0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fit.safetensors"


def interrupted(model, X, n, **data):
    """Fit `model` until the n-th epoch; return it."""
    InterruptAt.begun.clear()
    model.set_params(callbacks=[InterruptAt(n)])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, **data)
    return model.set_params(callbacks=None)


def left_unfinished(path, X=X, model=None, n=4, **data):
    """Leave the checkpoint of a fit that was interrupted in its n-th epoch."""
    if model is None:
        model = MultVAERecommender(**SMALL)
    interrupted(clone(model).set_params(checkpoint=path), X, n, **data)
    assert path.exists()


def assert_same_fit(one, other):
    """Assert that weights, moments and public attributes have the same bits."""
    for name, value in one._module.state_dict().items():
        assert torch.equal(value, other._module.state_dict()[name]), name
    for name, moments in one._state.optimizer.items():
        for kind, value in moments.items():
            assert torch.equal(value, other._state.optimizer[name][kind])
    ours, theirs = vars(one), vars(other)
    assert ours.keys() == theirs.keys()
    for name in ours.keys() - one.get_params().keys():
        if name.endswith("_") and not isinstance(ours[name], dict):
            assert type(ours[name]) is type(theirs[name])
            np.testing.assert_array_equal(ours[name], theirs[name], name)
    for name, value in getattr(one, "beta_path_", {}).items():
        np.testing.assert_array_equal(value, other.beta_path_[name])


# Resuming


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    "case",
    [
        "plain",
        pytest.param("search", marks=pytest.mark.slow),
        pytest.param("stopping", marks=pytest.mark.slow),
        pytest.param("gaussian", marks=pytest.mark.slow),
    ],
)
def test_killed_and_resumed_fits_have_the_bits_of_an_uninterrupted_one(case, tmp_path):
    command = [sys.executable, SCRIPT, case, tmp_path]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert not [name for name in os.listdir(tmp_path) if "checkpoint" in name]
    first_epochs = {}
    for line in (tmp_path / "epochs").read_text().splitlines():
        process, epoch = line.split()
        first_epochs.setdefault(process, int(epoch))
    assert sum(epoch > 1 for epoch in first_epochs.values()) >= 2  # were resumed
    killed = load_model(tmp_path / "model", callbacks=None)
    model, data = CASES[case]
    assert_same_fit(clone(model).fit(data), killed)


@pytest.mark.parametrize(
    "name", ["search", "gaussian", pytest.param("stopping", marks=pytest.mark.slow)]
)
def test_interrupted_fit_resumes_in_every_stage(name, path):
    model, data = CASES[name]
    whole = clone(model).fit(data)
    n_epochs = len(_begun(clone(model), data))
    resumed = clone(model).set_params(checkpoint=path)
    for n in (1, 2, n_epochs // 3, n_epochs // 3):
        interrupted(resumed, data, n)
        check_is_fitted(resumed)
    before = n_epochs - len(_begun(resumed, data))
    assert before == n_epochs // 3 * 2 - 1  # the epochs cut short are trained again
    assert_same_fit(whole, resumed)
    assert not path.exists()


def test_early_stopping_resumes_its_count_and_keeps_the_best_weights(path):
    model = MultVAERecommender(
        8,
        random_state=0,
        learning_rate_init=0.1,
        max_iter=40,
        early_stopping=True,
        n_iter_no_change=6,
    )
    whole = clone(model).fit(X)
    assert whole.n_iter_ == whole.best_iter_ + 6 < 40
    resumed = clone(model).set_params(checkpoint=path)
    interrupted(resumed, X, whole.best_iter_ + 3)
    InterruptAt.begun.clear()
    assert_same_fit(whole, resumed.fit(X))


def _begun(model, data):
    """Epochs that a fit begins."""
    InterruptAt.begun.clear()
    model.set_params(callbacks=[InterruptAt(0)]).fit(data)
    return list(InterruptAt.begun)


# Checkpoints of other fits


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"dropout": 0.1}, "dropout was 0.35 and is 0.1 now"),
        ({"annealing": 1}, r"annealing was 1.0 and is 1 now"),
        ({"random_state": 1}, "random_state was 0 and is 1 now"),
        ({"random_state": None}, "random_state was 0 and is None now"),
    ],
)
def test_checkpoint_of_other_parameters_is_refused_with_the_differences(
    path, changed, said
):
    model = MultVAERecommender(**SMALL, annealing=1.0)
    left_unfinished(path, model=model)
    content = path.read_bytes()
    other = clone(model).set_params(checkpoint=path, **changed)
    with pytest.raises(ValueError, match=f"is of another fit.*: {said}.*delete"):
        other.fit(X)
    assert path.read_bytes() == content
    with pytest.raises(NotFittedError):
        check_is_fitted(other)


def test_checkpoint_of_other_data_is_refused_with_the_differences(path):
    left_unfinished(path)
    model = MultVAERecommender(**SMALL, checkpoint=path)
    with pytest.raises(ValueError, match=r"X was of shape \(150, 60\) with .* \(149,"):
        model.fit(X[:149])
    changed = X.copy()
    changed.data[7] += 1
    with pytest.raises(ValueError, match="X has other values"):
        model.fit(changed)
    with pytest.raises(ValueError, match="X has other values"):
        model.fit(X[::-1])
    X_val, y_val = hold_out_interactions(X[:20], random_state=0)
    with pytest.raises(ValueError, match="X_val was not given then; y_val was not"):
        model.fit(X, X_val=X_val, y_val=y_val)
    with pytest.raises(ValueError, match="estimator was 'MultVAERecommender'"):
        VAETransformer(checkpoint=path).fit(X)
    model.fit(sp.csc_matrix(X.astype(np.float32)))  # the same, otherwise stored
    assert not path.exists()


def test_fit_with_a_validation_set_is_resumed(path):
    data = dict(
        zip(("X_val", "y_val"), hold_out_interactions(X[:50], random_state=0), strict=1)
    )
    left_unfinished(path, **data)
    resumed = MultVAERecommender(**SMALL, checkpoint=path).fit(X, **data)
    assert_same_fit(MultVAERecommender(**SMALL).fit(X, **data), resumed)


def test_other_files_are_refused_and_kept(path):
    model = MultVAERecommender(**SMALL).fit(X)
    save_model(model, path)
    saved = path.read_bytes()
    left_unfinished(path.with_name("whole"))
    damaged = bytearray(path.with_name("whole").read_bytes())
    damaged[-5] ^= 1
    for content in (saved, b"", b"\x80\x05cos\nsystem\n.", bytes(damaged)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is not a checkpoint.*another path"):
            MultVAERecommender(**SMALL, checkpoint=path).fit(X)
        assert path.read_bytes() == content


@pytest.mark.parametrize("random_state", [None, "instance"])
def test_seed_of_the_file_is_used_if_random_state_is_not_an_int(path, random_state):
    def model():
        seed = random_state and np.random.RandomState(0)
        return MultVAERecommender(**{**SMALL, "random_state": seed}, checkpoint=path)

    left_unfinished(path, model=model())
    seed = read_tensor_file(path)[0]["seed"]
    again = model()
    if random_state:
        again.random_state.rand()  # as far as it has come in this process
    again.fit(X)
    assert again._state.seed == seed


def test_checkpoint_of_a_network_of_another_shape_is_refused(path):
    def network(width):
        def encoder(n_in, n_out):
            layers = [torch.nn.Linear(n_in, width), torch.nn.Linear(width, n_out)]
            return torch.nn.Sequential(*layers)

        return VAETransformer(**SMALL, encoder=encoder)

    left_unfinished(path, model=network(5))
    with pytest.raises(ValueError, match="not hold the state of this network"):
        network(7).set_params(checkpoint=path).fit(X)
    resumed = network(5).set_params(checkpoint=path).fit(X)
    assert_same_fit(network(5).fit(X), resumed)


def test_checkpoint_of_another_version_is_resumed_with_a_warning(path):
    left_unfinished(path)
    document, tensors = read_tensor_file(path)
    write_tensor_file(path, {**document, "skvae_version": "0.0.1"}, tensors)
    with pytest.warns(InconsistentVersionWarning, match="0.0.1"):
        MultVAERecommender(**SMALL, checkpoint=path).fit(X)


# The file


def test_uninterrupted_fit_leaves_no_file_and_has_the_same_bits(tmp_path):
    for checkpoint in (tmp_path / "file", str(tmp_path)):
        model = MultVAERecommender(**SMALL, checkpoint=checkpoint).fit(X)
        assert_same_fit(MultVAERecommender(**SMALL).fit(X), model)
        assert os.listdir(tmp_path) == []
        assert clone(model).checkpoint == checkpoint


def test_fit_that_diverges_leaves_no_file(path):
    class Spoil(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 4:
                assert path.exists()
                net.module_.encoder.layers[0].weight.data.fill_(np.nan)

    model = MultVAERecommender(**SMALL, checkpoint=path, callbacks=[Spoil()])
    with pytest.raises(ValueError, match="epoch 4, batch 1: .*has diverged"):
        model.fit(X)
    assert not path.exists()


def test_fit_that_fails_for_another_reason_can_be_resumed(path):
    class Fail(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 4:
                raise MemoryError

    model = MultVAERecommender(**SMALL, checkpoint=path, callbacks=[Fail()])
    with pytest.raises(MemoryError):
        model.fit(X)
    with pytest.raises(NotFittedError):
        check_is_fitted(model)
    InterruptAt.begun.clear()
    model.set_params(callbacks=[InterruptAt(0)]).fit(X)
    assert InterruptAt.begun == [4, 5, 6]


def test_writing_takes_a_bounded_share_of_the_time(path, monkeypatch):
    times = []

    def writing(*args):
        times.append(now[0])
        now[0] += 1.0  # it takes a second

    now = [0.0]
    monkeypatch.setattr(_checkpoint, "WAIT", 10)
    monkeypatch.setattr(_checkpoint, "write_tensor_file", writing)
    monkeypatch.setattr(_checkpoint.time, "monotonic", lambda: now[0])

    class Clock(Callback):
        def on_epoch_begin(self, net, **kwargs):
            now[0] += 3.0

    settings = {**SMALL, "max_iter": 12}
    MultVAERecommender(**settings, checkpoint=path, callbacks=[Clock()]).fit(X)
    assert times == [3.0, 16.0, 29.0]


def test_failing_write_does_not_end_the_fit(path, monkeypatch):
    def full(*args):
        raise OSError("No space left on device")

    monkeypatch.setattr(_checkpoint, "write_tensor_file", full)
    with pytest.warns(RuntimeWarning, match="could not be written.*No space"):
        model = MultVAERecommender(**SMALL, checkpoint=path).fit(X)
    assert model.n_iter_ == 6


def test_leftovers_of_killed_writes_are_removed(path):
    left_unfinished(path)
    mine = path.with_name(f".{path.name}.{'0' * 16}.tmp")
    others = path.with_name(f".other.{'0' * 16}.tmp")
    mine.touch()
    others.touch()
    MultVAERecommender(**SMALL, checkpoint=path).fit(X)
    assert os.listdir(path.parent) == [others.name]


def test_interrupted_search_with_a_folder_is_resumed(tmp_path):
    def search(**settings):
        return GridSearchCV(
            MultVAERecommender(**SMALL, **settings),
            {"dropout": [0.2, 0.5]},
            scoring=make_ranking_scorer("ndcg@10"),
            cv=2,
        )

    whole = search().fit(X)
    InterruptAt.begun.clear()
    with pytest.raises(KeyboardInterrupt):  # in the third of four fits
        search(checkpoint=tmp_path, callbacks=[InterruptAt(16)]).fit(X)
    assert len(os.listdir(tmp_path)) == 1
    InterruptAt.begun.clear()
    resumed = search(checkpoint=tmp_path, callbacks=[InterruptAt(0)]).fit(X)
    assert InterruptAt.begun == [1, 2, 3, 4, 5, 6] * 2 + [4, 5, 6] + [
        *range(1, 7),
        *range(1, 7),  # the best, on all rows
    ]
    assert os.listdir(tmp_path) == []
    np.testing.assert_array_equal(
        whole.cv_results_["mean_test_score"], resumed.cv_results_["mean_test_score"]
    )
    assert_same_fit(whole.best_estimator_, resumed.best_estimator_)


def test_search_on_one_file_refuses_the_fit_of_another_candidate(path):
    left_unfinished(path)
    search = GridSearchCV(
        MultVAERecommender(**SMALL, checkpoint=path),
        {"dropout": [0.2, 0.5]},
        scoring=make_ranking_scorer("ndcg@10"),
        error_score="raise",
        cv=2,
    )
    with pytest.raises(ValueError, match="a folder, in which every fit has a file"):
        search.fit(X)


# Parameters that exclude a checkpoint


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"checkpoint": ""}, "checkpoint='' is not a path"),
        ({"checkpoint": "a\0b"}, "is not a path"),
        ({"checkpoint": os.devnull}, "is not a regular file"),
        ({"warm_start": True}, "warm_start"),
        ({"lr_schedule": LRScheduler("StepLR", step_size=2)}, "lr_schedule"),
        ({"callbacks": [EarlyStopping("train_loss")]}, "callbacks holds EarlyStopping"),
        ({"callbacks": [("mine", Freezer("encoder*"))]}, "callbacks holds Freezer"),
    ],
)
def test_parameters_that_cannot_be_resumed_are_refused(path, settings, match):
    model = MultVAERecommender(**{**SMALL, "checkpoint": path, **settings})
    with pytest.raises(ValueError, match=match):
        model.fit(X)
    with pytest.raises(NotFittedError):
        check_is_fitted(model)


@pytest.mark.skipif(os.name != "posix", reason="needs the files of Unix")
def test_links_in_a_circle_and_pipes_are_refused_before_training(path):
    path.symlink_to(path.with_name("other"))
    path.with_name("other").symlink_to(path)
    os.mkfifo(path.with_name("pipe"))
    for one in (path, path.with_name("pipe")):
        with pytest.raises(ValueError, match="is not a regular file"):
            MultVAERecommender(**SMALL, checkpoint=one).fit(X)


def test_missing_folder_is_refused_before_training(tmp_path):
    model = MultVAERecommender(**SMALL, checkpoint=tmp_path / "none" / "file")
    with pytest.raises(ValueError, match="not a folder.*another path"):
        model.fit(X)


def test_partial_fit_neither_reads_nor_writes(path):
    path.write_bytes(b"not mine")
    model = MultVAERecommender(**SMALL, checkpoint=path).partial_fit(X)
    assert model.n_iter_ == 1
    assert path.read_bytes() == b"not mine"


def test_saved_model_holds_no_path_of_a_checkpoint(tmp_path):
    model = MultVAERecommender(**SMALL, checkpoint=tmp_path / "mine").fit(X)
    save_model(model, tmp_path / "model")
    document, tensors = read_tensor_file(tmp_path / "model")
    assert "mine" not in str(document)
    assert load_model(tmp_path / "model").checkpoint is None
    document["parameters"]["checkpoint"] = "/anywhere"
    write_tensor_file(tmp_path / "model", document, tensors)
    with pytest.raises(ValueError, match="'checkpoint'"):
        load_model(tmp_path / "model")
