"""A loaded model is the one that was saved: results, parameters, training, ids."""

import pickle

import joblib
import numpy as np
import pytest
import torch
from sklearn.exceptions import InconsistentVersionWarning
from torch import nn

from skvae import (
    CollaborativeVAE,
    MultVAERecommender,
    VAETransformer,
    load_model,
    save_model,
)
from skvae.datasets import load_interactions
from skvae.utils._tensor_file import read_tensor_file
from tests.saving.models import (
    CVAE,
    MODELS,
    MULT,
    REAL,
    SMALL,
    X,
    assert_same,
    data_for,
    fitted,
    fitted_attributes,
    make_network,
    results,
)


def test_loaded_model_returns_the_same_bits(model, path):
    save_model(model, path)
    loaded = load_model(path)
    assert type(loaded) is type(model)
    for one, other in zip(results(loaded), results(model), strict=True):
        assert_same(one, other)


def test_loaded_model_has_all_fitted_attributes(model, path):
    save_model(model, path)
    assert_same(fitted_attributes(load_model(path)), fitted_attributes(model))


def test_other_tools_read_the_tensors(model, path):
    """The library safetensors, and whatever tools are built on it."""
    safetensors_torch = pytest.importorskip("safetensors.torch")
    save_model(model, path)
    _, tensors = read_tensor_file(path)
    assert_same(
        dict(sorted(safetensors_torch.load_file(path).items())),
        dict(sorted(tensors.items())),
    )


def test_parameters_keep_their_types(model, path):
    save_model(model, path)
    loaded = load_model(path).get_params()
    assert loaded == model.get_params()
    for name, value in model.get_params().items():
        expected = type(value.item() if isinstance(value, np.generic) else value)
        assert type(loaded[name]) is expected
    assert all(type(size) is int for size in loaded.get("hidden_layer_sizes", ()))


@pytest.mark.parametrize("name", ["mult", "gaussian", "multinomial"])
@pytest.mark.parametrize("how", ["partial_fit", "warm_start"])
def test_training_continues_with_the_same_bits(name, how, path):
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


def test_custom_networks_are_created_by_their_factories(path):
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


def test_hidden_layers_are_ignored_if_both_networks_are_own_ones(path):
    settings = {"encoder": nn.Linear, "decoder": nn.Linear}
    model = VAETransformer(3, **SMALL, **settings, hidden_layer_sizes=[9] * 9).fit(REAL)
    save_model(model, path, omit=settings)
    assert_same(load_model(path, **settings).transform(REAL), model.transform(REAL))


def test_output_container_is_kept(path):
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


def test_file_of_another_version_warns(path, monkeypatch):
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


@pytest.mark.parametrize(
    "device", ["meta", "cuda:99", "no device", "hpu", "privateuseone", "xla", "cpu:x"]
)
def test_missing_device_of_the_file_is_replaced_by_the_cpu(device, path):
    save_model(MODELS["mult"]().set_params(device=device), path)
    assert load_model(path)._module_device.type == "cpu"
    with pytest.raises(ValueError, match="cannot be used on this machine"):
        load_model(path, device=device)


def test_caches_and_checkpoints_stay_on_the_machine(tmp_path, path):
    """The next fit would unpickle what another person may have put into a cache."""
    folder = tmp_path / "my own folder"
    for memory in (str(folder), joblib.Memory(folder)):
        save_model(MODELS["cvae"]().set_params(memory=memory), path)
        assert b"my own folder" not in path.read_bytes()
        assert load_model(path).memory is None
    model = MODELS["mult"]().set_params(checkpoint=folder, distributed="sharded")
    save_model(model, path)
    assert b"my own folder" not in path.read_bytes()
    assert load_model(path).checkpoint is None
    assert load_model(path).distributed is None


def test_model_of_partial_fit_can_be_saved(path):
    model = VAETransformer(3, **SMALL).partial_fit(REAL)
    save_model(model, path)
    assert_same(fitted_attributes(load_model(path)), fitted_attributes(model))


@pytest.mark.parametrize(
    "item_ids",
    [
        [f"ärtikel {i}" for i in range(25)],
        np.arange(25) * 10**12,
        np.array([f"{i}" for i in range(25)], dtype=object),
        np.array([*range(23), 2**63, 2**63 + 1], dtype=np.uint64),
        [*range(24), 2**63 + 1],
    ],
    ids=["text", "int", "object", "uint64", "past 2**63"],
)
def test_item_ids_are_saved_with_the_model(item_ids, path):
    model = MODELS["mult"]()
    save_model(model, path, item_ids=item_ids)
    assert not hasattr(model, "item_ids_")
    loaded = load_model(path)
    items = loaded.recommend(X, n_items=2)
    assert loaded.item_ids_.tolist() == np.asarray(item_ids, dtype=object).tolist()
    expected = np.array(item_ids, dtype=loaded.item_ids_.dtype)[items]
    assert_same(loaded.item_ids_[items], expected)
    save_model(loaded.partial_fit(X), path)  # once more, as they are
    assert_same(load_model(path).item_ids_, loaded.item_ids_)
    assert not hasattr(loaded.fit(X[:, :20]), "item_ids_")


def test_item_ids_of_load_interactions_can_be_saved(path):
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
        ([*range(24), 2.0**53], "item_ids include 9007199254740992.0"),
        ([*range(-1, 23), 2**63], "item_ids are integers from -1 to 9223372036854"),
        ([*map(str, range(24)), "x" * 10**6], "a text of 1,000,000 characters"),
    ],
)
def test_wrong_item_ids_are_refused(item_ids, message, path):
    with pytest.raises(ValueError, match=message):
        save_model(fitted("mult"), path, item_ids=item_ids)
    assert not path.exists()
