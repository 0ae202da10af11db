"""A changed checkpoint is refused, or the fit ends as if it had not been changed."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone

from skvae import VAETransformer
from skvae._training import _checkpoint
from skvae.utils._tensor_file import read_tensor_file, write_tensor_file
from tests.guarantees.test_checkpoint import assert_same_fit, interrupted

CASES = runpy.run_path(str(Path(__file__).parent / "killed_fits.py"))["CASES"]
SETTINGS = {"max_iter": 6, "n_iter_no_change": 20}
CASES["overfitted"] = (
    clone(CASES["plain"][0]).set_params(
        init="random", learning_rate_init=0.3, early_stopping=True, batch_size=15
    ),
    CASES["plain"][1],
)
# Name of the checkpoint -> case, and the epoch in which the fit is interrupted.
FITS = {
    "plain": ("plain", 4),
    "search": ("search", 4),
    "after the search": ("search", 10),
    "refit": ("search", 15),
    "gaussian": ("gaussian", 5),
    "past the best": ("overfitted", 6),
}
# Those of which every tensor is changed.
DIFFERENT = ("plain", "gaussian", "refit", "past the best")


@pytest.fixture(autouse=True)
def every_epoch_is_written(monkeypatch):
    monkeypatch.setattr(_checkpoint, "WAIT", 0)


@pytest.fixture(scope="module")
def fits(tmp_path_factory):
    """Return the model, the data, the whole fit and a checkpoint of each fit."""
    wait, _checkpoint.WAIT = _checkpoint.WAIT, 0
    found = {}
    for name, (case, n) in FITS.items():
        model, data = CASES[case]
        model = clone(model).set_params(**SETTINGS)
        path = tmp_path_factory.mktemp("fits") / "fit"
        interrupted(clone(model).set_params(checkpoint=path), data, n)
        found[name] = model, data, clone(model).fit(data), path.read_bytes()
    _checkpoint.WAIT = wait
    return found


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fit"


def attributes(model):
    return {name for name in vars(model) if name != "checkpoint"}


def resumes_or_refuses(fit, path, document, tensors):
    """Resume from a file with this content; return the error or None."""
    model, data, whole, _ = fit
    write_tensor_file(path, document, tensors)
    written = path.read_bytes()
    resumed = clone(model).set_params(checkpoint=path)
    try:
        resumed.fit(data)
    except ValueError as error:
        refusal = error
    else:
        assert_same_fit(whole, resumed)
        assert attributes(resumed) == attributes(whole)
        return None
    assert str(path) in str(refusal)
    assert "diverged" not in str(refusal)
    assert path.read_bytes() == written  # it is kept, for the user to look at
    assert not hasattr(resumed, "_module")
    return refusal


def refuses(*args, match=""):
    error = resumes_or_refuses(*args)
    assert error is not None
    assert match in str(error)


def content(fit, path):
    path.write_bytes(fit[-1])
    return read_tensor_file(path)


def names_of(fit, path):
    return sorted(content(fit, path)[1])


def changed_layouts(tensor):
    """The tensor with other shapes and types."""
    yield tensor.unsqueeze(0)
    yield torch.cat([tensor.flatten(), tensor.flatten()])
    yield tensor.flatten()[:0]
    yield torch.zeros(2**20, 0)
    for dtype in (torch.float64, torch.float32, torch.float16, torch.int64, torch.bool):
        if dtype != tensor.dtype:
            yield tensor.to(dtype)


@pytest.mark.parametrize("name", FITS)
def test_a_checkpoint_that_is_not_changed_is_resumed(name, fits, path):
    assert resumes_or_refuses(fits[name], path, *content(fits[name], path)) is None
    assert not path.exists()


def test_the_checkpoints_below_have_tensors_of_all_kinds(fits, path):
    kinds = {
        n.partition(".")[0] for name in DIFFERENT for n in names_of(fits[name], path)
    }
    assert kinds == {"module", "moments", "best", "history", "outcomes"}


@pytest.mark.parametrize("name", DIFFERENT)
def test_tensors_of_another_shape_or_type_are_refused(name, fits, path):
    document, tensors = content(fits[name], path)
    for which, tensor in tensors.items():
        for other in changed_layouts(tensor):
            refuses(fits[name], path, document, {**tensors, which: other})


@pytest.mark.parametrize("name", DIFFERENT)
def test_missing_and_renamed_tensors_are_refused(name, fits, path):
    document, tensors = content(fits[name], path)
    for which in tensors:
        rest = {other: t for other, t in tensors.items() if other != which}
        refuses(fits[name], path, document, rest)
        renamed = {**rest, which + "x": tensors[which]}
        refuses(fits[name], path, document, renamed)


UNKNOWN = [
    "more",
    "module.more",
    "module.transform",
    "best.more",
    "best.encoder.layers.0.weight",
    "moments.more.step",
    "moments.encoder.layers.0.weight.max_exp_avg_sq",
    "moments.step",
    "history.more",
    "history.batches",
    "history.__class__",
    "history.valid_score",
    "progress",
    "stopping",
    "outcomes.training.transform",
    "outcomes.training.fit",
    "outcomes.training.best_iter_",
    "outcomes.search.__class__",
    "outcomes.search.best",
    "outcomes.refit.best_iter_",
    "outcomes.more.best",
    "outcomes.more",
    "outcomes.training.best_iter_.more",
    "../../more",
    "",
]


@pytest.mark.parametrize("name", FITS)
def test_unknown_tensors_are_refused(name, fits, path):
    document, tensors = content(fits[name], path)
    for unknown in set(UNKNOWN) - tensors.keys():
        for value in (torch.tensor(1.0), torch.ones(3, dtype=torch.float64)):
            refuses(fits[name], path, document, {**tensors, unknown: value})


def bad_values(name):
    """Values that no fit writes into the tensor of this name."""
    inf, nan = float("inf"), float("nan")
    if name.endswith(".step"):
        return (0.0, -1.0, 0.5, 1e30, nan, inf, -inf)
    if name.endswith("exp_avg_sq"):
        return (-1e-3, nan, -inf)
    if name == "history.valid_score":
        return (inf,)
    if name.endswith((".beta", ".best")):
        return (-0.1, 1.1, nan, inf, -inf)
    if name.endswith(".best_iter_"):
        return (0.0, -1.0, 1.5, 99.0, 1e300, nan, inf)
    if name.endswith((".score", ".validation_scores_")):
        return (inf,)
    return (nan, inf, -inf)


@pytest.mark.parametrize("name", DIFFERENT)
def test_numbers_out_of_range_are_refused(name, fits, path):
    document, tensors = content(fits[name], path)
    for which, tensor in tensors.items():
        for value in bad_values(which):
            for place in {0, tensor.numel() - 1}:
                other = tensor.clone()
                other.view(-1)[place] = value
                refuses(fits[name], path, document, {**tensors, which: other})


def test_histories_are_no_longer_than_the_plan(fits, path):
    document, tensors = content(fits["plain"], path)
    for n in (0, 7, 10**6):
        columns = {
            name: torch.ones(n, dtype=torch.float64)
            for name in tensors
            if name.startswith("history.")
        }
        refuses(fits["plain"], path, document, {**tensors, **columns}, match="epochs")


def test_a_refit_is_no_longer_than_the_best_epoch_that_was_found(fits, path):
    document, tensors = content(fits["refit"], path)
    best = int(tensors["outcomes.training.best_iter_"])
    columns = {
        name: torch.ones(best + 1, dtype=torch.float64)
        for name in tensors
        if name.startswith("history.")
    }
    refuses(fits["refit"], path, document, {**tensors, **columns}, match="epochs")


def test_outcomes_that_contradict_their_scores_are_refused(fits, path):
    document, tensors = content(fits["refit"], path)
    best = tensors["outcomes.training.best_iter_"]
    changes = {
        "outcomes.training.best_iter_": best % 6 + 1,
        "outcomes.training.best_validation_score_": torch.tensor(
            0.5, dtype=torch.float64
        ),
        "outcomes.search.best": torch.tensor(0.5, dtype=torch.float64),
        "outcomes.training.validation_scores_": torch.full(
            (6,), np.nan, dtype=torch.float64
        ),
    }
    for name, value in changes.items():
        refuses(fits["refit"], path, document, {**tensors, name: value})


NOTHING = object()


FORGED = {
    "checkpoint": [0, 2, "1", None, 1.0, True, NOTHING],
    "skvae_version": [1, None, [], NOTHING],
    "seed": [-1, 2**31, 10**40, 1.0, "1", None, True, 5, NOTHING],
    "stage": ["more", "", 0, None, ["training"], {}, NOTHING],
    "fit": [None, [], "fit", {}, NOTHING],
    "more": [1],
    "fit.estimator": [None, 1, ["MultVAERecommender"], "os", NOTHING],
    "fit.random_state": [1, "0", [], 0.0, NOTHING],
    "fit.parameters": [None, [], "max_iter", NOTHING],
    "fit.parameters.max_iter": [5, "6", 6.0, None, [6], {}, NOTHING],
    "fit.parameters.more": [1],
    "fit.data": [None, [], {}, "X", NOTHING],
    "fit.data.X": [None, [], "X", {}, 1, NOTHING],
    "fit.data.more": [None, 1, {}],
    "fit.data.X.shape": [None, 3, "ab", [1], [None], {}, NOTHING],
    "fit.data.X.stored": [None, "1", 1, [], NOTHING],
    "fit.data.X.sha256": [None, "", 1, NOTHING],
}


@pytest.mark.parametrize("where", FORGED)
def test_forged_documents_are_refused(where, fits, path):
    *parts, last = where.split(".")
    for name in ("plain", "refit"):
        for value in FORGED[where]:
            document, tensors = content(fits[name], path)
            part = document
            for key in parts:
                part = part[key]
            part.pop(last, None)
            if value is not NOTHING:
                part[last] = value
            refuses(fits[name], path, document, tensors)


def test_stages_that_the_fit_does_not_have_are_refused(fits, path):
    """Else it would skip the training, and keep the initial weights."""
    for name in FITS:
        document, tensors = content(fits[name], path)
        for stage in {"search", "training", "refit"} - {document["stage"]}:
            refuses(fits[name], path, {**document, "stage": stage}, tensors)
    document, tensors = content(fits["plain"], path)
    outcome = {
        "outcomes.training.validation_scores_": torch.ones(3, dtype=torch.float64),
        "outcomes.training.best_iter_": torch.tensor(1.0, dtype=torch.float64),
        "outcomes.training.best_validation_score_": torch.tensor(
            1.0, dtype=torch.float64
        ),
    }
    for stage in ("training", "refit"):
        forged = {**document, "stage": stage}
        refuses(fits["plain"], path, forged, {**tensors, **outcome})


def test_non_json_and_whole_model_files_are_refused(fits, path):
    for document in (3, "fit", [], None):
        refuses(fits["plain"], path, document, {}, match="not a checkpoint")


class Unusual(torch.nn.Module):
    """Network with lazy, frozen and unused weights, and a buffer of infinities."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.used = torch.nn.Linear(n_in, n_out)
        self.used.bias.requires_grad_(False)
        self.unused = torch.nn.Linear(2, 2)
        self.lazy = torch.nn.LazyLinear(n_in)
        self.register_buffer("mask", torch.full((n_out, n_out), float("-inf")))

    def forward(self, x):
        return self.used(self.lazy(x))


def test_unusual_networks_of_the_caller_are_resumed(path):
    _, data = CASES["gaussian"]
    model = VAETransformer(3, **SETTINGS, random_state=0, encoder=Unusual)
    interrupted(clone(model).set_params(checkpoint=path), data, 4)
    resumed = clone(model).set_params(checkpoint=path).fit(data)
    assert_same_fit(clone(model).fit(data), resumed)
