"""Rows on disk: both forms, the selection of rows, damaged files."""

import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skvae.datasets import RowsOnDisk, _rows_on_disk, make_interactions
from tests.datasets.on_disk import write_rows

X = make_interactions(200, 30, n_interactions_per_user=9, random_state=0).matrix
X.data[:] = np.random.default_rng(0).integers(1, 6, X.nnz)


@pytest.fixture(params=["parquet", "npy"])
def rows(request, tmp_path, monkeypatch):
    monkeypatch.setattr(_rows_on_disk, "BLOCK_SIZE", 200)
    return write_rows(X, tmp_path / "rows", form=request.param)


def assert_equal(one, other):
    assert one.shape == other.shape
    np.testing.assert_array_equal(one.toarray(), other.toarray())


def test_all_that_was_written_is_there(rows):
    assert rows.n_blocks > 7
    assert (rows.shape, rows.nnz, len(rows)) == (X.shape, X.nnz, 200)
    assert_equal(rows[:], X)
    assert rows.user_ids.tolist() == [f"user {i}" for i in range(200)]
    assert rows.item_ids.tolist() == list(range(100, 130))
    assert max(nnz for _, _, nnz in rows.sizes().values()) <= 200


@pytest.mark.parametrize(
    "index",
    [
        slice(0, 0),
        slice(5, 190),
        slice(None, None, 3),
        slice(None, None, -1),
        slice(190, 500),
        slice(7, 3),
        [3],
        [],
        [-1, 0, -200],
        np.array([150, 2, 2, 80], dtype=np.int32),
        np.arange(200) % 3 == 0,
    ],
)
def test_rows_are_selected_like_those_of_a_csr(rows, index):
    # scipy reads no empty list of indices
    expected = X[np.asarray(index, dtype=int)] if isinstance(index, list) else X[index]
    assert_equal(rows[index], expected)


@given(st.lists(st.integers(0, 199), max_size=40))
@settings(max_examples=30, deadline=None)
def test_rows_in_any_order(tmp_path_factory, index):
    rows = write_rows(X, tmp_path_factory.mktemp("rows") / "rows", form="npy")
    assert_equal(rows[index], X[np.array(index, dtype=int)])


def test_rows_beyond_the_last_one_are_refused(rows):
    with pytest.raises(IndexError, match="range from 3 to 200 but there are 200"):
        rows[[3, 200]]
    with pytest.raises(TypeError, match="such as \\[0\\] for the first"):
        rows[0]


def test_rows_that_are_left_out_are_in_no_block(rows):
    dropped = {0: np.array([0, 2]), 3: np.array([1])}
    places = [0, 2, int(rows._starts[3]) + 1]
    others = rows.without(dropped)
    left = np.delete(np.arange(200), places)
    assert_equal(others[:], X[left])
    assert others.nnz == X[left].nnz
    assert others.user_ids.tolist() == [f"user {i}" for i in left]
    assert_equal(rows[:], X)


def test_rows_can_be_pickled_for_other_processes(rows):
    rows[:3]  # which keeps a block
    pickled = pickle.dumps(rows)
    assert len(pickled) < 20_000
    assert_equal(pickle.loads(pickled)[:], X)


def test_files_of_parquet_that_others_wrote(tmp_path):
    """As Spark writes them: several files, 64-bit items, missing lists."""
    items = [[[4, 1], None, []], [[0], [2, 3, 1]]]
    for part, lists in enumerate(items):
        table = pa.table({"items": pa.array(lists, pa.list_(pa.int64()))})
        pq.write_table(table, tmp_path / f"part-{part}.parquet")
    rows = RowsOnDisk(tmp_path, n_items=5)
    expected = [[0, 1, 0, 0, 1], [0] * 5, [0] * 5, [1, 0, 0, 0, 0], [0, 1, 1, 1, 0]]
    np.testing.assert_array_equal(rows[:].toarray(), expected)
    assert rows.user_ids is None
    assert rows.item_ids is None
    single = RowsOnDisk(tmp_path / "part-1.parquet", n_items=5)
    np.testing.assert_array_equal(single[:].toarray(), expected[3:])


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        ({"items": [[5]]}, "Block 0 of .*item 5, but there are 5"),
        ({"items": [[2**40]]}, "Block 0 of .*item 1099511627776"),
        ({"items": [[-3]]}, "item -3"),
        ({"items": [[1, 1]]}, "occurs twice"),
        ({"items": [[1, None]]}, "none of them missing"),
        ({"items": [["a"]]}, "lists of string"),
        ({"items": [3]}, "must hold lists"),
        ({"items": [[1]], "values": [[-1.0]]}, "negative"),
        ({"items": [[1]], "values": [[float("nan")]]}, "not finite"),
        ({"items": [[1]], "values": [[1.0, 2.0]]}, "differ in length"),
    ],
)
def test_wrong_values_of_parquet_are_refused(tmp_path, columns, fault):
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    rows = RowsOnDisk(tmp_path, n_items=5)
    with pytest.raises(ValueError, match=fault):
        rows[:]


def test_wrong_arrays_are_refused(tmp_path):
    rows = write_rows(X, tmp_path / "rows", form="npy")
    indices = np.load(rows.path / "indices.npy")
    indices[7] = 30
    np.save(rows.path / "indices.npy", indices)
    with pytest.raises(ValueError, match="Block 0 of .*item 30, but there are 30"):
        rows[:]
    np.save(rows.path / "indices.npy", indices[:-1])
    with pytest.raises(ValueError, match="Block 0 of .*rows end at"):
        rows[:]
    np.save(rows.path / "indptr.npy", np.array([3, 4]))
    with pytest.raises(ValueError, match="not the indptr"):
        RowsOnDisk(rows.path)


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="no rows of interactions"):
        RowsOnDisk(tmp_path)
    pq.write_table(pa.table({"songs": [[1]]}), tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match="needs a column 'items'"):
        RowsOnDisk(tmp_path, n_items=5)
    pq.write_table(pa.table({"items": [[1]]}), tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match="pass n_items"):
        RowsOnDisk(tmp_path)


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    rows = write_rows(X, tmp_path / "rows", form="parquet")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(ImportError, match=r"skvae\[arrow\]"):
        RowsOnDisk(rows.path)
