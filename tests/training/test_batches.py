import numpy as np
import pytest
import scipy.sparse as sp
import torch

from skvae._training import IndexedBatches, RowBatches, SampledBatches
from skvae._training._batches import _ResidentCSR
from skvae._training._blocks import _windows
from tests.datasets.on_disk import write_rows


@pytest.fixture
def X():
    return sp.csr_array(sp.random(23, 11, 0.3, random_state=0))


def test_an_epoch_visits_every_row_once(X):
    dense = X.toarray().astype(np.float32)
    batches = RowBatches(X, "cpu")
    parts = list(batches.shuffled(5, torch.Generator().manual_seed(0)))
    assert [part.n_rows for part in parts] == [5, 5, 5, 4, 4]
    seen = np.concatenate([part.dense.numpy() for part in parts])
    assert not np.array_equal(seen, dense)  # in another order
    order = np.lexsort(seen.T)
    np.testing.assert_array_equal(seen[order], dense[np.lexsort(dense.T)])


@pytest.mark.parametrize("n_rows", [1, 4, 20, 21, 39, 41])
@pytest.mark.parametrize("batch_size", [1, 20, 50])
def test_batches_of_an_epoch_have_equal_sizes_but_for_one_row(n_rows, batch_size):
    batches = RowBatches(np.zeros((n_rows, 2)), "cpu")
    parts = batches.shuffled(batch_size, torch.Generator().manual_seed(0))
    sizes = [len(part) for part in parts]
    assert sum(sizes) == n_rows
    assert len(sizes) == -(-n_rows // batch_size)
    assert max(sizes) <= min(sizes) + 1


def test_order_depends_on_the_generator_only(X):
    batches = RowBatches(X, "cpu")
    first, again, other = (
        next(batches.shuffled(5, torch.Generator().manual_seed(seed))).dense
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_rows_are_converted_to_float32_with_int32_indices(X):
    X = sp.csr_array(
        (X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)), shape=X.shape
    )
    rows = RowBatches(X, "cpu").take(np.array([3, 1]))
    assert rows.values.dtype == torch.float32
    assert rows.indices.dtype == rows.indptr.dtype == torch.int32
    np.testing.assert_array_equal(rows.dense, X.toarray()[[3, 1]].astype("f4"))


@pytest.mark.parametrize("n_floats", [1, 3, 7])
def test_batches_are_aligned_even_if_the_rows_in_memory_are_not(X, n_floats):
    """A library that chooses its kernel by the alignment then gives equal bits."""
    memory = np.empty(X.shape[0] * X.shape[1] + n_floats, dtype=np.float32)
    shifted = memory[n_floats:].reshape(X.shape)
    shifted[...] = X.toarray()
    assert shifted.ctypes.data % 64 != 0
    batch = RowBatches(shifted, "cpu").take(slice(0, 5))
    assert batch.data_ptr() % 64 == 0
    np.testing.assert_array_equal(batch, shifted[:5])


def test_gathering_on_the_device_is_the_same_as_on_the_host(X, device):
    resident = _ResidentCSR(X, torch.device(device))
    order = np.random.default_rng(0).permutation(23)[:9]
    on_device = resident.take(order)
    on_host = RowBatches(X, "cpu").take(order)
    for name in ("indptr", "indices", "values"):
        assert torch.equal(getattr(on_device, name).cpu(), getattr(on_host, name))


def test_the_product_is_chosen_by_density_only_for_training(X):
    thin = sp.csr_array(sp.random(23, 400, 0.01, random_state=0))
    assert RowBatches(X, "cpu", for_training=True).dense_product
    assert not RowBatches(thin, "cpu", for_training=True).dense_product
    assert not RowBatches(X, "cpu").dense_product


def test_dense_rows_are_copied_not_shared():
    X = np.arange(12.0, dtype=np.float32).reshape(4, 3)
    X.flags.writeable = False
    batch = RowBatches(X, "cpu").take(slice(0, 2))
    batch += 1
    np.testing.assert_array_equal(X[0], [0, 1, 2])


def test_indexed_batches_return_the_indices_of_their_rows(X):
    batches = IndexedBatches(X, "cpu")
    for rows, index in batches.shuffled(5, torch.Generator().manual_seed(0)):
        expected = X[index.numpy()].toarray().astype(np.float32)
        np.testing.assert_array_equal(rows.dense.numpy(), expected)
    _, (_, index) = next(batches.in_order(4))
    assert index.tolist() == [0, 1, 2, 3]


def test_sampled_batches_hold_the_rows_on_their_columns_and_the_drawn(X):
    dense = X.toarray().astype(np.float32)
    batches = SampledBatches(X, "cpu", n_drawn=2)
    whole = RowBatches(X, "cpu").shuffled(5, torch.Generator().manual_seed(0))
    for part in batches.shuffled(5, torch.Generator().manual_seed(0)):
        columns = part.columns.numpy()
        assert (np.diff(columns) > 0).all()
        restored = np.zeros((part.n_rows, dense.shape[1]), dtype=np.float32)
        restored[:, columns] = part.dense
        np.testing.assert_array_equal(restored, next(whole).dense)
        n_own = (restored != 0).any(axis=0).sum()
        assert n_own <= len(columns) <= n_own + 2


def test_the_weighted_sum_of_exponentials_is_unbiased():
    # Of ten users with few of thirty items, four are in a batch.
    rng = np.random.default_rng(0)
    X = sp.csr_array((rng.random((10, 30)) < 0.15).astype(float))
    logits = torch.from_numpy(rng.normal(size=30))
    batches = SampledBatches(X, "cpu", n_drawn=3)
    generator = torch.Generator().manual_seed(0)
    own = X.toarray() > 0
    sums = [[] for _ in range(10)]
    for _ in range(4000):
        order = torch.randperm(10, generator=generator).numpy()[:4]
        part = batches._batch_of(batches.take(order), 4, generator)
        weights = part.log_weights.double().exp()
        exponentials = logits[part.columns].exp()
        for user in order:
            kept = torch.from_numpy(own[user])[part.columns]
            each = torch.where(kept, exponentials, weights * exponentials)
            sums[user].append(each.sum().item())
    errors = [
        (np.mean(found) - logits.exp().sum().item()) / np.std(found) * len(found) ** 0.5
        for found in sums
    ]
    assert np.abs(errors).max() < 4
    assert np.sqrt(np.mean(np.square(errors))) < 2


# Rows on disk


@pytest.fixture
def on_disk(X, tmp_path):
    X = X.copy()
    X.data[:] = np.arange(1, X.nnz + 1)  # no two rows are equal
    return X, write_rows(X, tmp_path / "rows", form="parquet", block_size=9)


@pytest.mark.parametrize("window", [1, 20, 45, 10**6])
@pytest.mark.parametrize("batch_size", [1, 5, 22, 50])
def test_an_epoch_visits_every_row_on_disk_once(on_disk, window, batch_size):
    X, rows = on_disk
    rows.window = window
    assert rows.n_blocks > 6
    batches = RowBatches(rows, "cpu", for_training=True)
    parts = list(batches.shuffled(batch_size, torch.Generator().manual_seed(0)))
    sizes = [part.n_rows for part in parts]
    assert len(parts) == -(-23 // batch_size)
    assert max(sizes) <= min(sizes) + 1
    seen = np.concatenate([part.dense.numpy() for part in parts])
    dense = X.toarray().astype(np.float32)
    assert not np.array_equal(seen, dense)
    np.testing.assert_array_equal(seen[np.lexsort(seen.T)], dense[np.lexsort(dense.T)])


def test_rows_of_a_window_come_from_blocks_at_random_places(on_disk):
    X, rows = on_disk
    rows.window = 20
    first = X.data[X.indptr[:-1][np.diff(X.indptr) > 0]]  # first value of each row
    starts = set()
    for seed in range(8):
        windows = _windows(rows, torch.Generator().manual_seed(seed))
        sizes = [part.nnz for part in windows]
        assert max(sizes) <= 20
        assert sum(sizes) == X.nnz
        part = next(_windows(rows, torch.Generator().manual_seed(seed)))
        starts.add(part.data.min())
    assert len(starts) > 3
    assert starts <= set(first)


def test_one_window_has_the_order_of_rows_in_memory(on_disk):
    X, rows = on_disk
    ours, theirs = (
        list(RowBatches(Z, "cpu").shuffled(5, torch.Generator().manual_seed(3)))
        for Z in (rows, X)
    )
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one.dense, other.dense)
