"""Damaged and forged files are refused, and no code of theirs is run."""

import itertools
import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import nn

from skvae import (
    CollaborativeVAE,
    MultVAERecommender,
    VAETransformer,
    load_model,
    save_model,
)
from skvae.utils import _tensor_file
from skvae.utils._tensor_file import read_tensor_file, write_tensor_file
from tests.saving.models import (
    CVAE,
    REAL,
    SMALL,
    WORDS,
    X,
    fitted,
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Bytes of a valid file."""
    path = tmp_path_factory.mktemp("saved") / "model"
    model = MultVAERecommender(2, max_iter=1, random_state=0).fit(X[:, :5])
    save_model(model, path, item_ids=list("abcde"))
    return path.read_bytes()


def assert_refused(path, message="cannot be loaded"):
    with pytest.raises(ValueError, match=message) as error:
        load_model(path)
    assert str(path) in str(error.value)


def parts(saved):
    """Parsed header of a file, and the rest."""
    end = 8 + int.from_bytes(saved[:8], "little")
    return json.loads(saved[8:end]), saved[end:]


def joined(header, rest):
    if not isinstance(header, bytes):
        header = json.dumps(header).encode()
    return len(header).to_bytes(8, "little") + header + rest


def forge(path, saved, change_document=None, **tensors):
    """Write a changed file with a correct hash; a tensor of None is left out."""
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


@pytest.mark.parametrize("change", ["truncate", "remove", "replace"])
def test_a_file_may_change_while_it_is_read(change, path, saved, monkeypatch):
    """A part that is missing is an error; memory mapped from the file would crash."""
    path.write_bytes(saved)
    read_header = _tensor_file._read_header

    def changed_then(file, size):
        header = read_header(file, size)
        if change == "truncate":
            os.truncate(path, size - 1000)
        elif change == "remove":
            path.unlink()
        else:
            save_model(VAETransformer(3, **SMALL).fit(REAL), path)
        return header

    monkeypatch.setattr(_tensor_file, "_read_header", changed_then)
    if change == "truncate":
        assert_refused(path, "was truncated while it was read")
    else:
        assert load_model(path).item_ids_.tolist() == list("abcde")


TRUNCATING = """
import os, random, sys
from skvae import load_model

path, content = sys.argv[1], open(sys.argv[1], "rb").read()
child = os.fork()
if not child:
    while True:
        with open(path, "r+b") as file:
            file.truncate(random.randrange(len(content)))
            file.seek(0)
            file.write(content)
n_loaded = n_refused = 0
try:
    while min(n_loaded, n_refused) < 20:
        try:
            load_model(path)
            n_loaded += 1
        except ValueError as error:
            assert path in str(error)
            n_refused += 1
finally:
    os.kill(child, 9)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_file_that_another_process_truncates_is_loaded_or_refused(path):
    model = MultVAERecommender(100, max_iter=1, random_state=0)
    save_model(model.fit(sp.csr_array(np.tile(X.toarray(), 20))), path)
    command = [sys.executable, "-c", TRUNCATING, str(path)]
    subprocess.run(command, check=True, timeout=300)


def test_flipped_bits_are_detected(path, saved):
    for place in (*range(16), *range(16, len(saved), 19)):
        changed = bytearray(saved)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        assert_refused(path)


def test_other_formats_are_refused(path, saved):
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
        (["estimator"], "Pipeline", "holds a 'Pipeline'"),
        (["estimator"], "../../etc/passwd", "holds a '../../etc/passwd'"),
        (["estimator"], "os.system", "holds a"),
        (["estimator"], ["MultVAERecommender"], "estimator is not a str"),
        (["skvae_version"], 1, "skvae_version is not a str"),
        (["more"], 1, "does not have exactly"),
        (["output"], {"transform": "os"}, "output is set to"),
        (["output"], {"__class__": "os"}, "output is set to"),
        (["omitted"], ["activation"], "leave out .* 'activation'"),
        (["omitted"], [["callbacks"]], "leave out"),
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


@pytest.mark.parametrize("where", ["parameters", "omitted"])
def test_a_file_cannot_name_a_cache_whose_content_would_be_unpickled(
    where, path, monkeypatch
):
    monkeypatch.chdir(path.parent)
    model = CollaborativeVAE(**CVAE, memory="cache").fit(X, item_features=WORDS)
    results = list(path.parent.glob("cache/**/output.pkl"))
    assert results
    for result in results:
        result.write_bytes(pickle.dumps(Payload()))
    save_model(model, path)
    load_model(path).fit(X, item_features=WORDS)
    assert not os.path.exists("hit")

    def name_the_cache(document):
        if where == "parameters":
            document["parameters"]["memory"] = "cache"
        else:
            document["omitted"].append("memory")

    forge(path, path.read_bytes(), name_the_cache)
    assert_refused(path, "'memory'")


@pytest.mark.parametrize("name", ["checkpoint", "memory"])
def test_paths_of_the_machine_are_refused_in_a_file(name, path):
    model = fitted("mult" if name == "checkpoint" else "cvae")
    save_model(model, path)
    forge(path, path.read_bytes(), lambda d: d["parameters"].update({name: "there"}))
    assert_refused(path, f"parameter {name!r}, which is a path on one machine")
    forge(path, path.read_bytes(), lambda d: d["parameters"].update({name: None}))
    assert getattr(load_model(path), name) is None


def test_forged_file_without_changes_loads(path, saved):
    """So the files above are refused because of what was changed in them."""
    forge(path, saved)
    assert load_model(path).item_ids_.tolist() == list("abcde")


def test_absurd_headers_are_refused(path, saved):
    header, rest = parts(saved)
    text = json.dumps(header)
    twice = '{"__metadata__":{"format":"skvae 1",' + text[len('{"__metadata__": {') :]
    repeated = json.dumps({"n_iter_": header["n_iter_"]})[1:-1]
    huge = {**header, "n_iter_": {**header["n_iter_"], "shape": [2**40, 2**40]}}
    beyond = {**header, "n_iter_": {**header["n_iter_"], "data_offsets": [0, 2**60]}}

    def with_entry(**changes):
        entry = {**header["n_iter_"], **changes}
        return joined({**header, "n_iter_": entry}, rest)

    def with_empty(shape):
        begin = header["n_iter_"]["data_offsets"][0]
        entry = {"dtype": "I64", "shape": shape, "data_offsets": [begin, begin]}
        return joined({**header, "empty": entry}, rest)

    metadata = header["__metadata__"]
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
        "type": with_entry(dtype="C64"),
        "type no text": with_entry(dtype=["I64"]),
        "type missing": with_entry(dtype=None),
        "no shape": with_entry(shape=None),
        "negative shape": with_entry(shape=[-1]),
        "truth values as shape": with_entry(shape=[True]),
        "text as shape": with_entry(shape="1"),
        "endless shape": with_entry(shape=[2**62] * 10**5),
        "many dimensions": with_entry(shape=[1] * 10**5),
        "empty with a huge shape": with_empty([2**62, 2**62, 0]),
        "empty with a shape beyond 64 bits": with_empty([2**64, 0]),
        "empty with an endless shape": with_empty([0] * 10**5),
        "no offsets": with_entry(data_offsets=None),
        "one offset": with_entry(data_offsets=[0]),
        "overlapping offsets": with_entry(data_offsets=[0, 8]),
        "fractions": with_entry(data_offsets=[0.0, 8.0]),
        "no entry": joined({**header, "n_iter_": 3}, rest),
        "surplus bytes": joined(header, rest + bytes(8)),
        "metadata no text": joined({**header, "__metadata__": {"format": 1}}, rest),
        "metadata a list": joined({**header, "__metadata__": []}, rest),
        "metadata missing": joined({**header, "__metadata__": None}, rest),
        "more metadata": joined(
            {**header, "__metadata__": {**metadata, "more": ""}}, rest
        ),
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
        ("3", "does not have exactly"),
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


def test_truth_values_other_than_0_and_1_are_refused(path, saved):
    path.write_bytes(saved)
    document, tensors = read_tensor_file(path)
    write_tensor_file(path, document, {**tensors, "flags": torch.ones(3).bool()})
    content = path.read_bytes()
    place = content.rindex(b"\1\1\1")
    path.write_bytes(content[:place] + b"\2" + content[place + 1 :])
    assert_refused(path, "neither 0 nor 1")


def test_own_factories_are_not_called_with_wrong_widths(path):
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
