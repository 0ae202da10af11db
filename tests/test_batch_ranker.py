"""Record batches of users are ranked as a matrix of the same users is."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp

from skvae import (
    LinearVAERecommender,
    VAETransformer,
    load_model,
    make_batch_ranker,
    save_model,
)
from skvae.datasets import load_interactions, make_interactions

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")

N_ITEMS = 50
IDS = {
    "text": [f"item {column}" for column in range(N_ITEMS)],
    "integers": (1000 - np.arange(N_ITEMS)).tolist(),
}
ARROW = {"text": pa.string(), "integers": pa.int64()}


@pytest.fixture
def X():
    return make_interactions(80, N_ITEMS, random_state=0).matrix


@pytest.fixture
def model(X):
    return LinearVAERecommender(5, random_state=0).fit(X)


@pytest.fixture(params=list(IDS))
def kind(request):
    return request.param


@pytest.fixture
def path(tmp_path, model, kind):
    path = tmp_path / "model.safetensors"
    save_model(model, path, item_ids=IDS[kind])
    return path


def one_batch(histories, ids=None, **kwargs):
    """Rank one batch of histories, which get the numbers of their rows as users."""
    if not isinstance(histories, pa.Array):
        histories = pa.array(histories, pa.list_(ids))
    users = pa.array([f"user {row}" for row in range(len(histories))], pa.string())
    batch = pa.RecordBatch.from_arrays([users, histories], ["user", "history"])
    (ranked,) = make_batch_ranker(**kwargs)([batch])
    assert ranked.column("user").equals(users)
    return ranked


def rows_of(lists, kind, **kwargs):
    """The matrix of the same histories, by `load_interactions`."""
    users = [row for row, items in enumerate(lists) for _ in items]
    items = [item for items in lists for item in items]
    table = {"user": users, "item": np.asarray(items, dtype=object)}
    n_users = {"user_ids": range(len(lists)), "item_ids": IDS[kind]}
    return load_interactions(
        table, user="user", item="item", **n_users, **kwargs
    ).matrix


def histories_of(X, kind):
    return [
        [IDS[kind][column] for column in X[[row]].indices] for row in range(X.shape[0])
    ]


def assert_ranked(ranked, model, X, kind, **kwargs):
    items, scores = model.recommend(X, 6, return_scores=True, **kwargs)
    expected = [[IDS[kind][item] for item in row if item >= 0] for row in items]
    assert ranked.column("items").to_pylist() == expected
    for found, row, best in zip(ranked["scores"], scores, items, strict=True):
        np.testing.assert_allclose(found.as_py(), row[best >= 0], rtol=1e-5)


def test_batches_are_ranked_as_recommend_ranks_a_matrix(path, model, X, kind):
    ranked = one_batch(histories_of(X, kind), ARROW[kind], path=path, n_items=6)
    assert_ranked(ranked, model, X, kind)
    assert ranked.column("items").type == pa.list_(ARROW[kind])
    assert ranked.column("scores").type == pa.list_(pa.float32())
    seen = one_batch(
        histories_of(X, kind), ARROW[kind], path=path, n_items=6, exclude_seen=False
    )
    assert_ranked(seen, model, X, kind, exclude_seen=False)


def test_each_batch_yields_one_and_the_function_can_be_pickled(path, model, X, kind):
    rank = pickle.loads(pickle.dumps(make_batch_ranker(path, n_items=6)))
    table = pa.table({"user": range(80), "history": histories_of(X, kind)})
    batches = table.to_batches(max_chunksize=30)
    ranked = list(rank(iter(batches)))
    assert [len(batch) for batch in ranked] == [30, 30, 20]
    assert_ranked(pa.Table.from_batches(ranked).combine_chunks(), model, X, kind)


def test_unknown_items_and_empty_histories(path, model, kind):
    a, b = IDS[kind][3], IDS[kind][40]
    unknown = {"text": "unknown", "integers": -5}[kind]
    lists = [[a, unknown, b], [unknown], [], [a, None], None]
    ranked = one_batch(lists, ARROW[kind], path=path, n_items=6)
    known = [[a, b], [], [], [a], []]
    assert_ranked(ranked, model, rows_of(known, kind), kind)


@pytest.mark.parametrize("values", ["binary", "count"])
def test_items_that_occur_several_times(tmp_path, X, kind, values):
    counts = 3 * X
    model = LinearVAERecommender(5, random_state=0).fit(counts)
    save_model(model, tmp_path / "model", item_ids=IDS[kind])
    a, b = IDS[kind][3], IDS[kind][40]
    lists = [[a, b, a, a], [b]]
    ranked = one_batch(
        lists, ARROW[kind], path=tmp_path / "model", n_items=6, values=values
    )
    assert_ranked(ranked, model, rows_of(lists, kind, values=values), kind)


def test_lists_of_users_who_have_seen_nearly_all_are_short(path, model, kind):
    lists = [IDS[kind][:-2], IDS[kind], IDS[kind][:5]]
    ranked = one_batch(lists, ARROW[kind], path=path, n_items=6)
    assert [len(items) for items in ranked["items"]] == [2, 0, 6]
    assert_ranked(ranked, model, rows_of(lists, kind), kind)


def test_only_candidates_are_ranked(path, model, X, kind):
    columns = [3, 40, 7, 7]
    unknown = {"text": "unknown", "integers": -5}[kind]
    ranked = one_batch(
        histories_of(X, kind),
        ARROW[kind],
        path=path,
        n_items=6,
        candidates=[*(IDS[kind][column] for column in columns), unknown],
    )
    assert_ranked(ranked, model, X, kind, candidates=columns)


def test_every_type_of_list_that_engines_pass(path, model, kind):
    a, b = IDS[kind][3], IDS[kind][40]
    plain = pa.list_(ARROW[kind])
    wide = {"text": pa.large_string(), "integers": pa.int16()}[kind]
    coded = pa.dictionary(pa.int32(), ARROW[kind])
    for histories, lists in [
        (pa.array([[a], [a, b]], pa.large_list(wide)), [[a], [a, b]]),
        (pa.array([[a, b], None], pa.list_(ARROW[kind], 2)), [[a, b], []]),
        (pa.array([[a], [b, a]], pa.list_(coded)), [[a], [a, b]]),
        (pa.array([[b], [a], [a, b], None], plain).slice(1), [[a], [a, b], []]),
        (pa.nulls(2), [[], []]),
        (pa.array([[], None]), [[], []]),
    ]:
        ranked = one_batch(histories, path=path, n_items=6)
        assert_ranked(ranked, model, rows_of(lists, kind), kind)


def test_an_empty_batch_has_the_same_columns(path, kind):
    ranked = one_batch([], ARROW[kind], path=path, n_items=6)
    assert len(ranked) == 0
    assert ranked.schema == one_batch([[]], ARROW[kind], path=path, n_items=6).schema


def test_without_ids_the_items_are_columns(tmp_path, model, X):
    save_model(model, tmp_path / "model")
    histories = [X[[row]].indices.tolist() for row in range(80)]
    ranked = one_batch(histories, pa.int32(), path=tmp_path / "model", n_items=6)
    items = model.recommend(X, 6)
    assert ranked["items"].to_pylist() == items.tolist()
    beyond = one_batch([[3, N_ITEMS, -1]], pa.int64(), path=tmp_path / "model")
    row = sp.csr_array(([1.0], ([0], [3])), shape=(1, N_ITEMS))
    assert beyond["items"].to_pylist() == model.recommend(row).tolist()


def test_a_file_is_loaded_once_and_again_if_it_was_replaced(
    path, model, X, kind, monkeypatch
):
    loaded = []

    def counting(*args, **kwargs):
        loaded.append(args)
        return load_model(*args, **kwargs)

    monkeypatch.setattr("skvae._batch_ranker.load_model", counting)
    histories = histories_of(X, kind)
    for _ in range(3):
        one_batch(histories, ARROW[kind], path=path, n_items=6)
    assert len(loaded) == 1
    other = LinearVAERecommender(2, random_state=0).fit(X[:40])
    save_model(other, path, item_ids=IDS[kind])
    ranked = one_batch(histories, ARROW[kind], path=path, n_items=6)
    assert len(loaded) == 2
    assert_ranked(ranked, other, X, kind)


def test_errors_say_what_to_change(path, tmp_path, kind):
    other = {"text": pa.int64(), "integers": pa.string()}[kind]
    with pytest.raises(TypeError, match="ids of the histories are of type"):
        one_batch([[{"text": 3, "integers": "3"}[kind]]], other, path=path)
    with pytest.raises(TypeError, match="pass a list of item ids"):
        one_batch(pa.array([1, 2]), path=path)
    with pytest.raises(ValueError, match="no 'history'"):
        list(make_batch_ranker(path)([pa.RecordBatch.from_pydict({"user": [1]})]))
    with pytest.raises(ValueError, match="n_items=51"):
        one_batch([[]], ARROW[kind], path=path, n_items=51)
    with pytest.raises(ValueError, match="n_items=0"):
        make_batch_ranker(path, 0)
    with pytest.raises(ValueError, match="values='rating'"):
        make_batch_ranker(path, values="rating")
    with pytest.raises(ValueError, match="name of a column of the result"):
        make_batch_ranker(path, user="scores")
    with pytest.raises(FileNotFoundError):
        one_batch([[]], ARROW[kind], path=tmp_path / "missing")
    vae = VAETransformer(2, max_iter=1, random_state=0).fit(np.eye(6))
    save_model(vae, tmp_path / "vae")
    with pytest.raises(TypeError, match="VAETransformer, which ranks no items"):
        one_batch([[]], ARROW[kind], path=tmp_path / "vae")


def test_without_pyarrow_the_error_names_it():
    code = (
        "import sys; sys.modules['pyarrow'] = None; "
        "from skvae import make_batch_ranker; rank = make_batch_ranker('model')\n"
        "try: next(rank([]))\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "skvae[arrow]" in done.stdout
