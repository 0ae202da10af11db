"""Saved models come back as they were, or are refused; no moment leaves half a file."""

import functools
import itertools
import json
import os
import pickle
import subprocess
import sys
import tracemalloc

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from skorch.callbacks import Callback, LRScheduler
from torch import nn

from skvae import (
    CollaborativeVAE,
    MultVAERecommender,
    VAETransformer,
    load_model,
    save_model,
)
from skvae.datasets import load_interactions
from skvae.utils._tensor_file import read_tensor_file, write_tensor_file

rng = np.random.default_rng(0)
X = sp.csr_array((rng.random((60, 25)) < 0.25).astype(np.float32))
REAL = rng.normal(size=(80, 6))
COUNTS = rng.poisson(2.0, size=(80, 6)).astype(float)
WORDS = rng.poisson(1.0, size=(25, 9)).astype(float)

SMALL = {"max_iter": 2, "random_state": 0}
MULT = {**SMALL, "n_components": 4}
CVAE = {**MULT, "content_epochs": 1, "batch_size": 10}


def make_network(n_in, n_out):
    """With weights that are shared, a buffer of integers, and half precision."""
    network = nn.Sequential(
        nn.Linear(n_in, 6),
        nn.BatchNorm1d(6),
        nn.Linear(6, 6),
        nn.Linear(6, 6),
        nn.Linear(6, n_out),
    )
    network[3].weight = network[2].weight
    network.register_buffer("unused", torch.ones(2, 3).T.to(torch.bfloat16))
    return network


def with_names(data):
    pd = pytest.importorskip("pandas")
    return pd.DataFrame(data, columns=[f"näme {i}" for i in range(data.shape[1])])


MODELS = {
    "mult": lambda: MultVAERecommender(**MULT).fit(X),
    "mult, hidden, validated": lambda: MultVAERecommender(
        **MULT,
        hidden_layer_sizes=(np.int64(5), 3),
        tied_weights=False,
        early_stopping=True,
    ).fit(X),
    "mult, beta searched, refit": lambda: MultVAERecommender(
        **MULT, hidden_layer_sizes=[5], beta="auto", refit=True
    ).fit(X),
    "mult-dae": lambda: MultVAERecommender(**MULT, variational=False).fit(X),
    "gaussian": lambda: VAETransformer(3, **SMALL).fit(REAL),
    "gaussian, names": lambda: VAETransformer(3, **SMALL, noise_variance="feature").fit(
        with_names(REAL)
    ),
    "gaussian, fixed": lambda: VAETransformer(
        3, **SMALL, noise_variance=np.float64(0.3), alpha=0.1
    ).fit(REAL),
    "bernoulli": lambda: VAETransformer(3, **SMALL, likelihood="bernoulli").fit(
        COUNTS / COUNTS.max()
    ),
    "poisson": lambda: VAETransformer(3, **SMALL, likelihood="poisson").fit(COUNTS),
    "multinomial": lambda: VAETransformer(3, **SMALL, likelihood="multinomial").fit(
        sp.csr_array(COUNTS)
    ),
    "autoencoder": lambda: VAETransformer(3, **SMALL, variational=False).fit(REAL),
    "cvae": lambda: CollaborativeVAE(**CVAE).fit(X, item_features=WORDS),
    "cvae, gaussian, hidden": lambda: CollaborativeVAE(
        **CVAE, likelihood="gaussian", hidden_layer_sizes=(5,), early_stopping=True
    ).fit(X, item_features=WORDS),
    "cvae, plain": lambda: CollaborativeVAE(
        **CVAE, variational=False, tied_weights=False
    ).fit(X, item_features=WORDS),
    "factorization": lambda: CollaborativeVAE(**CVAE).fit(X),
}


@functools.cache
def fitted(name):
    """A fitted model, which no test may change."""
    return MODELS[name]()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture(params=list(MODELS))
def model(request):
    return fitted(request.param)


def data_for(model):
    if not isinstance(model, VAETransformer):
        return X
    if hasattr(model, "feature_names_in_"):
        return with_names(REAL)
    if model.likelihood == "bernoulli":
        return COUNTS / COUNTS.max()
    return REAL if model.likelihood == "gaussian" else COUNTS


def results(model):
    """All that the methods of a fitted model give."""
    data = data_for(model)
    codes = model.transform(data)
    yield codes
    yield model.inverse_transform(codes)
    yield model.get_feature_names_out()
    if hasattr(model, "recommend"):
        yield model.decision_function(data)
        yield from model.recommend(data, n_items=3, return_scores=True)
        yield model.predict(data)
    for method in ("score_samples", "elbo", "score"):
        if hasattr(model, method):
            yield getattr(model, method)(data)
    if hasattr(model, "sample"):
        sample = model.sample(5, random_state=0)
        yield sample.toarray() if sp.issparse(sample) else sample
    if hasattr(model, "item_content_factors_"):
        yield model.transform_items(WORDS)
        yield model.recommend(data, new_item_features=WORDS)
    if hasattr(model, "noise_variance_"):
        yield model.noise_variance_


def assert_same(one, other):
    """Compare to the last bit, the types included."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            assert_same(*pair)
    elif isinstance(one, nn.Module):
        assert one.training == other.training
        assert_same(dict(one.state_dict()), dict(other.state_dict()))
        wanted = [p.requires_grad for p in one.parameters()]
        assert wanted == [p.requires_grad for p in other.parameters()]
    elif isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    elif hasattr(one, "__dict__") and not isinstance(one, (BaseEstimator, type)):
        assert_same(vars(one), vars(other))
    else:
        np.testing.assert_equal(one, other)


def fitted_attributes(model):
    parameters = model.get_params(deep=False)
    return {
        name: value for name, value in vars(model).items() if name not in parameters
    }


# What comes back


def test_loaded_model_gives_the_same_bits(model, path):
    save_model(model, path)
    loaded = load_model(path)
    assert type(loaded) is type(model)
    for one, other in zip(results(loaded), results(model), strict=True):
        assert_same(one, other)


def test_loaded_model_has_all_that_fit_has_left(model, path):
    save_model(model, path)
    assert_same(fitted_attributes(load_model(path)), fitted_attributes(model))


def test_parameters_come_back_with_their_types(model, path):
    save_model(model, path)
    loaded = load_model(path).get_params()
    assert loaded == model.get_params()
    for name, value in model.get_params().items():
        expected = type(value.item() if isinstance(value, np.generic) else value)
        assert type(loaded[name]) is expected
    assert all(type(size) is int for size in loaded["hidden_layer_sizes"])


@pytest.mark.parametrize("name", ["mult", "gaussian", "multinomial"])
@pytest.mark.parametrize("how", ["partial_fit", "warm_start"])
def test_training_goes_on_with_the_same_bits(name, how, path):
    model = MODELS[name]()
    save_model(model, path)
    both = model, load_model(path)
    for one in both:
        if how == "partial_fit":
            one.partial_fit(data_for(one))
        else:
            one.set_params(warm_start=True).fit(data_for(one))
        assert one.n_iter_ > 2
    assert_same(fitted_attributes(both[1]), fitted_attributes(both[0]))


def test_networks_of_ones_own_are_made_by_their_factories(path):
    settings = {"encoder": make_network, "decoder": make_network}
    model = VAETransformer(3, **SMALL, **settings).fit(REAL)
    save_model(model, path, omit=("encoder", "decoder"))
    loaded = load_model(path, **settings)
    for one, other in zip(results(loaded), results(model), strict=True):
        assert_same(one, other)
    layers = loaded._module.encoder.module
    assert layers[3].weight is layers[2].weight
    for one in (model, loaded):
        one.partial_fit(REAL)
    assert_same(fitted_attributes(loaded), fitted_attributes(model))
    with pytest.raises(ValueError, match=r"encoder\.module"):
        load_model(path, encoder=nn.Linear, decoder=make_network)
    with pytest.raises(ValueError, match="lacks the tensor"):
        load_model(path, encoder=None, decoder=make_network)


def test_layers_that_networks_of_ones_own_replace_are_not_missed(path):
    settings = {"encoder": nn.Linear, "decoder": nn.Linear}
    model = VAETransformer(3, **SMALL, **settings, hidden_layer_sizes=[9] * 9).fit(REAL)
    save_model(model, path, omit=settings)
    assert_same(load_model(path, **settings).transform(REAL), model.transform(REAL))


def test_container_of_outputs_is_kept(path):
    pd = pytest.importorskip("pandas")
    model = MODELS["gaussian"]().set_output(transform="pandas")
    save_model(model, path)
    assert isinstance(load_model(path).transform(REAL), pd.DataFrame)


@pytest.mark.parametrize("dump", [pickle, joblib])
@pytest.mark.parametrize("name", ["mult", "gaussian", "cvae"])
def test_pickle_and_joblib_give_the_same_model(name, dump, tmp_path):
    with open(tmp_path / "model", "wb") as file:
        dump.dump(fitted(name), file)
    with open(tmp_path / "model", "rb") as file:
        loaded = dump.load(file)
    assert_same(fitted_attributes(loaded), fitted_attributes(fitted(name)))
    for one, other in zip(results(loaded), results(fitted(name)), strict=True):
        assert_same(one, other)


def test_another_version_is_warned_of(path, monkeypatch):
    monkeypatch.setattr("skvae._saving._save_load.__version__", "0.0.1")
    monkeypatch.setattr("skvae._base._module.__version__", "0.0.1")
    save_model(fitted("mult"), path)
    pickled = pickle.dumps(fitted("mult"))
    assert not hasattr(pickle.loads(pickled), "_skvae_version")
    monkeypatch.undo()
    for load in (lambda: load_model(path), lambda: pickle.loads(pickled)):
        with pytest.warns(InconsistentVersionWarning, match=r"skvae\.Mult.*0\.0\.1"):
            loaded = load()
        assert_same(loaded.transform(X), fitted("mult").transform(X))


def test_model_of_a_gpu_loads_without_one(path, device):
    model = MODELS["mult"]()
    if device == "cuda":
        model = MultVAERecommender(**MULT, device="cuda").fit(X)
    model.set_params(device="cuda")
    save_model(model, path)
    loaded = load_model(path, device="cpu")
    assert loaded._module_device.type == "cpu"
    np.testing.assert_allclose(
        loaded.decision_function(X), model.decision_function(X), rtol=1e-3, atol=1e-4
    )
    assert load_model(path)._module_device.type == device
    if device == "cpu" and not torch.cuda.is_available():
        with pytest.raises(ValueError, match="cannot be used on this machine"):
            load_model(path, device="cuda")


@pytest.mark.parametrize("device", ["meta", "cuda:99", "no device"])
def test_device_of_the_file_gives_way_where_it_is_none(device, path):
    save_model(MODELS["mult"]().set_params(device=device), path)
    assert load_model(path)._module_device.type == "cpu"
    with pytest.raises(ValueError, match="cannot be used on this machine"):
        load_model(path, device=device)


def test_model_without_a_whole_fit_is_saved_too(path):
    model = VAETransformer(3, **SMALL).partial_fit(REAL)
    save_model(model, path)
    assert_same(fitted_attributes(load_model(path)), fitted_attributes(model))


# Ids of the items


@pytest.mark.parametrize(
    "item_ids",
    [
        [f"ärtikel {i}" for i in range(25)],
        np.arange(25) * 10**12,
        np.array([f"{i}" for i in range(25)], dtype=object),
    ],
    ids=["text", "int", "object"],
)
def test_item_ids_stay_with_the_model(item_ids, path):
    model = MODELS["mult"]()
    save_model(model, path, item_ids=item_ids)
    assert not hasattr(model, "item_ids_")
    loaded = load_model(path)
    items = loaded.recommend(X, n_items=2)
    expected = np.asarray(item_ids).astype(loaded.item_ids_.dtype)[items]
    assert_same(loaded.item_ids_[items], expected)
    save_model(loaded.partial_fit(X), path)  # once more, as they are
    assert_same(load_model(path).item_ids_, loaded.item_ids_)
    assert not hasattr(loaded.fit(X[:, :20]), "item_ids_")


def test_item_ids_of_load_interactions_serve(path):
    users, items = X.nonzero()
    table = {"user": users, "item": np.char.add("item ", items.astype(str))}
    data = load_interactions(table, user="user", item="item")
    model = CollaborativeVAE(**CVAE).fit(data.matrix)
    save_model(model, path, item_ids=data.item_ids)
    loaded = load_model(path)
    np.testing.assert_array_equal(loaded.item_ids_, data.item_ids)
    new = {"user": [1, 1], "item": ["item 3", "item 4"]}
    new = load_interactions(new, user="user", item="item", item_ids=loaded.item_ids_)
    assert loaded.recommend(new.matrix, n_items=2).shape == (1, 2)
    assert not hasattr(loaded.fit(X), "item_ids_")


@pytest.mark.parametrize(
    ("item_ids", "message"),
    [
        (np.arange(24), "24 entries .* 25 columns"),
        (np.zeros(25, dtype=int), "more than once"),
        (np.arange(25) * 1j, "complex128; pass text or numbers"),
    ],
)
def test_wrong_item_ids_are_refused(item_ids, message, path):
    with pytest.raises(ValueError, match=message):
        save_model(fitted("mult"), path, item_ids=item_ids)
    assert not path.exists()


# What cannot be saved


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("gaussian", {"callbacks": [Callback()]}),
        ("gaussian", {"lr_schedule": LRScheduler()}),
        ("mult", {"random_state": np.random.RandomState(0)}),
        ("mult", {"device": torch.device("cpu")}),
        ("factorization", {"memory": joblib.Memory(None), "callbacks": [Callback()]}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value,
)
def test_objects_among_parameters_are_named_and_then_passed_at_load(
    name, parameters, path
):
    model = MODELS[name]().set_params(**parameters)
    with pytest.raises(ValueError, match=r"omit=\('.*pass it to") as error:
        save_model(model, path)
    assert all(f"{one}=" in str(error.value) for one in parameters)
    save_model(model, path, omit=parameters)
    with pytest.raises(ValueError, match=f"without {', '.join(sorted(parameters))}"):
        load_model(path)
    loaded = load_model(path, **parameters)
    assert all(getattr(loaded, n) is value for n, value in parameters.items())
    assert_same(loaded.transform(data_for(model)), model.transform(data_for(model)))


def test_only_what_was_left_out_can_be_passed_at_load(path):
    save_model(fitted("mult"), path, omit="callbacks")
    with pytest.raises(ValueError, match="given activation, dropout, but"):
        load_model(path, callbacks=None, activation="relu", dropout=0.1)
    with pytest.raises(ValueError, match="'callbacks' parameter"):
        load_model(path, callbacks=3)
    assert load_model(path, callbacks=None, device="cpu").device == "cpu"


def test_what_cannot_be_left_out_is_refused(path):
    with pytest.raises(ValueError, match="omit holds 'activation', 'memory'"):
        save_model(fitted("mult"), path, omit=["memory", "activation"])
    model = MODELS["mult"]().set_params(scoring=len)
    with pytest.raises(ValueError, match="scoring=.*plain value"):
        save_model(model, path)


def test_estimators_that_are_not_fitted_are_refused(path):
    with pytest.raises(NotFittedError):
        save_model(MultVAERecommender(), path)


class Derived(MultVAERecommender):
    pass


def test_other_classes_are_refused_with_advice(path):
    for estimator in (Derived(**MULT).fit(X), BaseEstimator()):
        with pytest.raises(TypeError, match=r"no class derived .* joblib\.dump"):
            save_model(estimator, path)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("mult", {"n_components": 5}),
        ("mult", {"hidden_layer_sizes": (3,)}),
        ("mult", {"label_smoothing": 0.1}),
        ("gaussian", {"activation": "tanh"}),
        ("gaussian", {"likelihood": "bernoulli"}),
        ("gaussian", {"hidden_layer_sizes": (3,)}),
        ("factorization", {"lambda_u": 3.0}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value,
)
def test_parameters_that_the_network_does_not_have_are_refused(name, parameters, path):
    model = MODELS[name]().set_params(**parameters)
    with pytest.raises(ValueError, match="cannot be saved.* Set back what"):
        save_model(model, path)
    assert not path.exists()


def test_what_could_not_be_loaded_is_not_saved(path):
    with pytest.raises(ValueError, match="'max_iter' parameter"):
        save_model(MODELS["mult"]().set_params(max_iter=-1), path)
    with pytest.raises(ValueError, match="must hold integers"):
        save_model(MODELS["mult"]().set_params(hidden_layer_sizes=[0.5]), path)
    with pytest.raises(ValueError, match="output is set to"):
        save_model(MODELS["gaussian"]().set_output(transform="paper"), path)
    assert not path.exists()


class WithMemory(nn.Linear):
    """A network whose state holds more than tensors."""

    def get_extra_state(self):
        return {"calls": 3}

    def set_extra_state(self, state):
        pass


class OfComplexNumbers(nn.Linear):
    def __init__(self, n_in, n_out):
        super().__init__(n_in, n_out)
        self.register_buffer("phase", torch.ones(2, dtype=torch.complex64))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            WithMemory,
            "_extra_state of a network of your own is not a tensor but a dict",
        ),
        (OfComplexNumbers, "phase is a tensor of torch.complex64 and torch.strided"),
    ],
)
def test_networks_that_model_files_do_not_hold_are_refused(network, message, path):
    model = VAETransformer(3, **SMALL, encoder=network).fit(REAL)
    with pytest.raises(ValueError, match=message):
        save_model(model, path, omit=["encoder"])
    assert not path.exists()


def test_parameters_of_later_training_may_have_changed(path):
    model = MODELS["mult"]().set_params(max_iter=7, learning_rate_init=0.1)
    save_model(model, path)
    assert load_model(path).get_params() == model.get_params()


# The file on the disk


def test_a_failed_save_leaves_the_old_file_and_no_other(path, monkeypatch):
    save_model(fitted("mult"), path)
    before = path.read_bytes()

    def fail(descriptor):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space left"):
        save_model(fitted("mult-dae"), path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_file_has_the_rights_of_any_new_file_and_links_stay(path, tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    link = tmp_path / "link"
    link.symlink_to(path)
    save_model(fitted("mult"), str(link))
    assert link.is_symlink()
    assert path.stat().st_mode == plain.stat().st_mode
    assert_same(load_model(link).transform(X), fitted("mult").transform(X))


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        load_model(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        save_model(fitted("mult"), tmp_path / "nowhere" / "model")
    with pytest.raises(IsADirectoryError):
        load_model(tmp_path)


KILLED = """
import os, pickle, random, signal, sys, time
from skvae import load_model, save_model

folder = sys.argv[1]
path = os.path.join(folder, "model")
models = [pickle.load(open(os.path.join(folder, name), "rb")) for name in "ab"]
save_model(models[0], path)
random.seed(0)
fsync = os.fsync
for round in range(50):
    told, tell = os.pipe()
    n_saves = random.randint(1, 4)
    child = os.fork()
    if not child:
        if round % 2:  # killed in the middle of a write
            whole = iter(range(2 * n_saves - 2))  # of the file and of its folder
            def wait(file):
                if next(whole, None) is None:
                    os.write(tell, b"m")
                    time.sleep(600)
                fsync(file)
            os.fsync = wait
        while True:
            for model in models[:: (-1) ** round]:
                save_model(model, path)
                os.write(tell, b"s")
    if round % 2:
        while os.read(told, 1) != b"m":
            pass
    else:  # killed at any moment
        os.read(told, 1)
        time.sleep(random.uniform(0, 0.05))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print(load_model(path).random_state)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_saves_leave_the_old_model_or_the_new_one(tmp_path):
    for name, seed in (("a", 1), ("b", 2)):
        model = MultVAERecommender(100, max_iter=1, random_state=seed)
        wide = sp.csr_array(np.tile(X.toarray(), 20))
        (tmp_path / name).write_bytes(pickle.dumps(model.fit(wide)))
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    loaded = done.stdout.split()
    assert len(loaded) == 50
    assert set(loaded) == {"1", "2"}
    # Every second kill came in the middle of a write.
    assert len(list(tmp_path.glob(".model.*.tmp"))) >= 25


def test_weights_are_written_from_their_memory(path):
    wide = sp.csr_array(np.tile(X.toarray(), 40))
    model = MultVAERecommender(1000, max_iter=1, random_state=0).fit(wide)
    tracemalloc.start()
    try:
        save_model(model, path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 12e6
    assert peak < 1e6


# Hostile files


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The bytes of a file that is good."""
    path = tmp_path_factory.mktemp("saved") / "model"
    model = MultVAERecommender(2, max_iter=1, random_state=0).fit(X[:, :5])
    save_model(model, path, item_ids=list("abcde"))
    return path.read_bytes()


def assert_refused(path, message="cannot be loaded"):
    with pytest.raises(ValueError, match=message) as error:
        load_model(path)
    assert str(path) in str(error.value)


def parts(saved):
    """Header of a file, parsed, and the rest."""
    end = 8 + int.from_bytes(saved[:8], "little")
    return json.loads(saved[8:end]), saved[end:]


def joined(header, rest):
    if not isinstance(header, bytes):
        header = json.dumps(header).encode()
    return len(header).to_bytes(8, "little") + header + rest


def forge(path, saved, change_document=None, **tensors):
    """Write a changed file, with the right hash; a tensor of None is left out."""
    path.write_bytes(saved)
    document, old = read_tensor_file(path)
    if change_document:
        change_document(document)
    new = {**old, **tensors}
    new = {name: tensor for name, tensor in new.items() if tensor is not None}
    write_tensor_file(path, document, new)


class Payload:
    def __reduce__(self):
        return os.mkdir, ("hit",)


def test_pickles_are_not_run(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    for dump in (pickle.dumps, lambda value: pickle.dumps([value] * 1000)):
        path.write_bytes(dump(Payload()))
        assert_refused(path, "damaged or not a model file")
    torch.save({"a": Payload()}, path)
    assert_refused(path, "damaged or not a model file")
    assert not os.path.exists("hit")


def test_truncated_files_are_refused(path, saved):
    for length in (*range(16), *range(16, len(saved), 97), len(saved) - 1):
        path.write_bytes(saved[:length])
        assert_refused(path)
    path.write_bytes(saved + b"\0")
    assert_refused(path)


def test_flipped_bits_are_noticed(path, saved):
    for place in (*range(16), *range(16, len(saved), 19)):
        changed = bytearray(saved)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        assert_refused(path)


def test_files_of_others_and_other_formats_are_refused(path, saved):
    header, rest = parts(saved)
    header["__metadata__"]["format"] = "skvae 2"
    path.write_bytes(joined(header, rest))
    assert_refused(path, "states the format 'skvae 2'.*reads 'skvae 1'")
    del header["__metadata__"]
    path.write_bytes(joined(header, rest))
    assert_refused(path, "states the format None")


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (["estimator"], "Pipeline", "the class 'Pipeline'"),
        (["estimator"], "../../etc/passwd", "the class '../../etc/passwd'"),
        (["estimator"], "os.system", "the class"),
        (["estimator"], ["MultVAERecommender"], "estimator is no str"),
        (["skvae_version"], 1, "skvae_version is no str"),
        (["more"], 1, "does not hold just"),
        (["output"], {"transform": "os"}, "output is set to"),
        (["output"], {"__class__": "os"}, "output is set to"),
        (["omitted"], ["activation"], "'activation' open"),
        (["omitted"], [["callbacks"]], "open"),
        (["parameters", "__class__"], "os", "no parameter '__class__'"),
        (["parameters", "likelihood"], "gaussian", "no parameter 'likelihood'"),
        (["parameters", "n_components"], -1, "'n_components' parameter"),
        (["parameters", "n_components"], "2", "'n_components' parameter"),
        (["parameters", "n_components"], [2], "'n_components' parameter"),
        (["parameters", "activation"], "exec", "'activation' parameter"),
        (["parameters", "callbacks"], "os.system", "'callbacks' parameter"),
        (["parameters", "callbacks"], ["os.system"], "callbacks holds"),
        (["parameters", "hidden_layer_sizes"], 3, "'hidden_layer_sizes'"),
        (["parameters", "hidden_layer_sizes"], [-3], "hidden_layer_sizes"),
        (["parameters", "hidden_layer_sizes"], [3], "lacks the tensor"),
        (["parameters", "hidden_layer_sizes"], [1] * 10**5, "100000 hidden layers"),
        (["parameters", "hidden_layer_sizes"], {"tuple": 3}, "keys"),
        (["parameters", "hidden_layer_sizes"], {"set": []}, "keys"),
        (["parameters", "n_components"], 3, "type and shape"),
        (["parameters", "n_components"], 10**9, "type and shape"),
        (["parameters", "n_components"], 10**19, "cannot be loaded"),
        (["parameters", "tied_weights"], False, "lacks the tensor"),
        (["parameters", "variational"], False, "has no place for"),
    ],
)
def test_bad_documents_are_refused(where, value, message, path, saved):
    def change(document):
        for key in where[:-1]:
            document = document[key]
        document[where[-1]] = value

    resource = pytest.importorskip("resource")
    forge(path, saved, change)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert_refused(path, message)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 2**16  # in KiB on Linux; no network of that size was made


LATENT, WIDTH = 2, 5


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("module.encoder.layers.0.weight", None, "lacks the tensor"),
        ("module.encoder.layers.0.weight", torch.zeros(WIDTH, LATENT + 1), "shape"),
        ("module.encoder.layers.0.weight", torch.zeros(LATENT, WIDTH), "shape"),
        ("module.encoder.layers.0.weight", torch.zeros(2**40, 0), "shape"),
        (
            "module.encoder.layers.0.weight",
            torch.zeros(WIDTH, LATENT, dtype=torch.float64),
            "type",
        ),
        ("module.more", torch.zeros(1), "has no place for"),
        ("module.encoder.module.more", torch.zeros(1), "has no place for"),
        ("more", torch.zeros(1), "has no place for"),
        ("../../more", torch.zeros(1), "has no place for"),
        ("__class__", torch.zeros(1), "has no place for"),
        ("moments.encoder.layers.0.weight.exp_avg", torch.zeros(1), "shape"),
        ("moments.encoder.layers.0.weight.exp_avg", None, "lacks the tensor"),
        ("moments.more.step", torch.zeros(()), "has no place for"),
        ("n_features_in_", None, "lacks the tensor"),
        ("n_features_in_", torch.tensor(6), "shape"),
        ("n_features_in_", torch.tensor(-1), "cannot be loaded"),
        ("n_features_in_", torch.tensor(10**12), "shape"),
        ("n_features_in_", torch.tensor([5]), "shape"),
        ("n_features_in_", torch.tensor(5.0), "type"),
        ("n_iter_", torch.tensor(-1), "n_iter_ is -1"),
        ("n_iter_", None, "lacks the tensor"),
        ("loss_curve_", torch.zeros(7, dtype=torch.float64), "shape"),
        ("_row_totals.values", torch.zeros(1000, dtype=torch.int64), "shape"),
        ("best_iter_", torch.tensor(1), "lacks the tensor"),
        ("component_kl_", torch.zeros(2), "has no place for"),
        ("user_factors_", torch.zeros(60, 2), "has no place for"),
        ("item_ids_", b'["a"]', "1 entries for 5"),
        ("item_ids_", b'{"a": 1}', "neither all text nor"),
        ("item_ids_", b'["a", 1, 2, 3, 4]', "neither all text nor"),
        ("item_ids_", b"[[], [], [], [], []]", "neither all text nor"),
        ("item_ids_", b"[1, 2, 3, 4, 1" + b"0" * 100 + b"]", "neither all text nor"),
        ("item_ids_", b"[NaN, NaN, NaN, NaN, NaN]", "JSON holds NaN"),
        ("item_ids_", b"[1e999]", "not finite"),
        ("item_ids_", b"[" * 10**6, "nested too deep"),
        ("item_ids_", b'{"a": 1, "a": 2}', "key twice"),
        ("item_ids_", b"\xff\xfe\xff", "cannot be loaded"),
        ("item_ids_", torch.zeros(5), "type"),
    ],
)
def test_bad_tensors_are_refused(name, tensor, message, path, saved):
    if isinstance(tensor, bytes):
        tensor = torch.frombuffer(bytearray(tensor), dtype=torch.uint8)
    forge(path, saved, **{name: tensor})
    assert_refused(path, message)


def test_untouched_forgery_loads(path, saved):
    """The forgeries above are refused for what was changed in them."""
    forge(path, saved)
    assert load_model(path).item_ids_.tolist() == list("abcde")


def test_absurd_headers_are_refused(path, saved):
    header, rest = parts(saved)
    text = json.dumps(header)
    twice = '{"__metadata__":{"format":"skvae 1",' + text[len('{"__metadata__": {') :]
    repeated = json.dumps({"n_iter_": header["n_iter_"]})[1:-1]
    huge = {**header, "n_iter_": {**header["n_iter_"], "shape": [2**40, 2**40]}}
    beyond = {**header, "n_iter_": {**header["n_iter_"], "data_offsets": [0, 2**60]}}
    files = {
        "length past the end": (2**40).to_bytes(8, "little") + saved[8:],
        "length of 2**64 - 1": b"\xff" * 8 + saved[8:],
        "nested": joined(b'{"a":' * 10**5, b""),
        "list": joined(b"[]", b""),
        "metadata twice in part": joined(twice.encode(), rest),
        "tensor twice": joined(f"{text[:-1]}, {repeated}}}".encode(), rest),
        "shape": joined(huge, rest),
        "offsets": joined(beyond, rest),
        "NaN": joined(text.replace('"shape": []', '"shape": [NaN]', 1).encode(), rest),
        "empty": b"",
        "nothing in it": joined(b"{}", b""),
    }
    for content in files.values():
        path.write_bytes(content)
        assert_refused(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 10**5, "nested too deep"),
        ('{"a": NaN}', "holds NaN"),
        ('{"a": -Infinity}', "holds -Infinity"),
        ('{"a": 1e400}', "not finite"),
        ('{"a": 1, "a": 2}', "key twice"),
        ("3", "does not hold just"),
        ("", "cannot be loaded"),
    ],
)
def test_json_that_is_not_strict_is_refused(text, message, path, saved, monkeypatch):
    forge(path, saved)
    _, tensors = read_tensor_file(path)
    monkeypatch.setattr(
        "skvae.utils._tensor_file.json.dumps", dumps_with_document(text)
    )
    write_tensor_file(path, "the document", tensors)
    monkeypatch.undo()
    assert_refused(path, message)


def dumps_with_document(text, dumps=json.dumps):
    return lambda value, **kw: text if value == "the document" else dumps(value, **kw)


def test_own_factories_are_not_called_with_widths_that_weights_contradict(path):
    calls = itertools.count()

    def factory(n_in, n_out):
        next(calls)
        return nn.Linear(n_in, n_out)

    model = VAETransformer(3, **SMALL, encoder=factory).fit(REAL)
    save_model(model, path, omit=("encoder",))
    n_calls = next(calls)
    forge(path, path.read_bytes(), lambda d: d["parameters"].update(n_components=9**9))
    with pytest.raises(ValueError, match="type and shape"):
        load_model(path, encoder=factory)
    assert next(calls) == n_calls + 1
