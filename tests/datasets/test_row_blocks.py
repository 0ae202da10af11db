"""Blocks of rows: the checks of a block, sums over blocks, rows left out."""

import operator
import weakref

import numpy as np
import pytest
import scipy.sparse as sp

from skvae import LinearVAERecommender
from skvae.baselines import EASE
from skvae.datasets import RowBlocks, make_interactions
from skvae.datasets._row_blocks import check_block

X = make_interactions(300, 40, random_state=0).matrix
PARTS = [X[:100], X[100:130], X[130:]]


def csr(data, indices, indptr, shape):
    """Make a CSR without any check."""
    rows = sp.csr_array(shape, dtype=np.asarray(data).dtype)
    rows.data, rows.indices, rows.indptr = map(np.asarray, (data, indices, indptr))
    return rows


@pytest.mark.parametrize(
    ("parts", "fault"),
    [
        (([1.0], [5], [0, 1]), "item 5, but there are 5"),
        (([1.0], [-1], [0, 1]), "item -1"),
        (([1.0, 2.0], [3, 3], [0, 2]), "occurs twice"),
        (([1.0, 2.0, 1.0], [3, 1, 3], [0, 3]), "occurs twice"),
        (([-1.0], [0], [0, 1]), "negative value -1"),
        (([np.nan], [0], [0, 1]), "not finite"),
        (([np.inf], [0], [0, 1]), "not finite"),
        (([1e300], [0], [0, 1]), "not finite in float32"),
        (([1.0], [0], [0, 2]), "end at 2, but it has 1 items"),
        (([1.0], [0], [1, 1]), "not increasing from 0"),
        (([1.0], [0], [0, 1, 0]), "not increasing from 0"),
    ],
)
def test_a_block_that_cannot_be_used_is_named(parts, fault):
    wrong = csr(*parts, shape=(1, 5))
    with pytest.raises(ValueError, match=f"Block 7 cannot be used: .*{fault}"):
        check_block(wrong, 7)
    blocks = RowBlocks([X[:, :5], wrong])
    with pytest.raises(ValueError, match=f"Block 1 .*{fault}"):
        LinearVAERecommender().fit(blocks)


def test_a_block_becomes_canonical_without_a_change_of_the_original():
    data, indices = np.array([1.0, 0.0, 3.0, 2.0]), np.array([3, 4, 0, 1])
    block = csr(data, indices, [0, 2, 2, 4], (3, 5))
    checked = check_block(block, 0)
    assert checked.indices.tolist() == [3, 0, 1]
    assert checked.data.tolist() == [1, 3, 2]
    np.testing.assert_array_equal(checked.toarray(), block.toarray())
    assert indices.tolist() == [3, 4, 0, 1]


@pytest.mark.parametrize("block", [X.tocoo(), "text", np.zeros(3), None])
def test_a_block_that_is_no_csr_is_refused(block):
    with pytest.raises(TypeError, match="Block 1 is a .*pass CSR"):
        _ = RowBlocks([X, block]).shape


def test_blocks_of_different_widths_are_refused():
    with pytest.raises(ValueError, match="Block 1 has 39 columns but block 0 has 40"):
        _ = RowBlocks([X, X[:, :39]]).shape
    with pytest.raises(ValueError, match="no blocks"):
        _ = RowBlocks([]).shape


def test_what_can_be_read_only_once_is_refused():
    with pytest.raises(TypeError, match="generator.*only once"):
        RowBlocks(part for part in PARTS)


def test_sums_over_blocks_are_those_of_the_matrix():
    blocks = RowBlocks(PARTS)
    assert blocks.shape == X.shape
    assert blocks.nnz == X.nnz
    sums = blocks.map_reduce(lambda number, block: block.sum(axis=0))
    np.testing.assert_array_equal(sums, X.sum(axis=0))
    sizes = blocks.map_reduce(lambda i, block: {i: block.shape[0]}, operator.or_)
    assert sizes == {0: 100, 1: 30, 2: 170}


def test_rows_are_left_out_by_their_place_in_the_block():
    others = RowBlocks(PARTS).without({0: np.array([0, 99]), 2: np.array([5])})
    left = np.delete(np.arange(300), [0, 99, 135])
    assert others.shape == (297, 40)
    sums = others.map_reduce(lambda number, block: block.sum(axis=0))
    np.testing.assert_array_equal(sums, X[left].sum(axis=0))


class Read:
    """Blocks that are made anew in each pass, with the number of those alive."""

    def __init__(self):
        self.alive, self.most = weakref.WeakValueDictionary(), 0

    def __iter__(self):
        for start in range(0, 300, 20):
            block = X[start : start + 20]
            data = block.data.copy()
            block.data = data
            self.alive[id(data)] = data
            del data
            self.most = max(self.most, len(self.alive))
            yield block


def test_a_fit_holds_few_blocks_at_a_time():
    read = Read()
    LinearVAERecommender(4, random_state=0).fit(RowBlocks(read))
    assert read.most <= 3  # of 15: the present one, and one that is on its way out


@pytest.mark.parametrize("method", ["recommend", "transform", "score"])
def test_blocks_whose_rows_cannot_be_selected_serve_for_fits_only(method):
    model = LinearVAERecommender(4, random_state=0).fit(X)
    with pytest.raises(TypeError, match="RowBlocks, .*a matrix or RowsOnDisk here"):
        getattr(model, method)(RowBlocks(PARTS))


def test_recommenders_that_need_the_matrix_refuse_blocks():
    with pytest.raises(TypeError, match="EASE takes a matrix here"):
        EASE().fit(RowBlocks(PARTS))
    with pytest.raises(TypeError, match="not a matrix in memory"):
        np.asarray(RowBlocks(PARTS))
