"""LinearVAERecommender on blocks that Dask computes, against the matrix in memory."""

import numpy as np
import pytest
import scipy.sparse as sp

from skvae import LinearVAERecommender
from skvae.datasets import DaskBlocks, RowBlocks, make_interactions

dask = pytest.importorskip("dask")
X = make_interactions(600, 60, random_state=0).matrix
MODEL = {"n_components": 8, "random_state": 0}
CUTS = [0, 50, 51, *range(100, 601, 25)]


def part(start, stop):
    return X[start:stop]


def delayed_parts():
    make = dask.delayed(part)
    return [make(a, b) for a, b in zip(CUTS, CUTS[1:], strict=False)]


def assert_same_factors(model, expected):
    assert model.n_components_ == expected.n_components_
    np.testing.assert_allclose(
        model.explained_variance_, expected.explained_variance_, rtol=1e-5
    )
    assert model.noise_variance_ == pytest.approx(expected.noise_variance_, rel=1e-5)
    assert model.output_exponent_ == expected.output_exponent_
    np.testing.assert_allclose(
        model.decision_function(X[:50]),
        expected.decision_function(X[:50]),
        rtol=1e-3,
        atol=1e-4,
    )


def as_bag():
    return pytest.importorskip("dask.bag").from_delayed(
        [dask.delayed(lambda one: [one[:10], one[10:]])(one) for one in delayed_parts()]
    )


def as_array():
    da = pytest.importorskip("dask.array")
    return da.from_array(X.toarray(), chunks=(70, 60)).map_blocks(sp.csr_array)


@pytest.mark.parametrize("make", [delayed_parts, as_bag, as_array])
def test_collections_in_threads_give_the_factors_of_the_matrix(make):
    with dask.config.set(scheduler="threads", num_workers=2):
        blocks = DaskBlocks(make())
        assert blocks.shape == X.shape
        assert blocks.nnz == X.nnz
        model = LinearVAERecommender(**MODEL).fit(blocks)
    assert_same_factors(model, LinearVAERecommender(**MODEL).fit(X))


def test_chunks_with_a_part_of_the_columns_are_refused():
    da = pytest.importorskip("dask.array")
    with pytest.raises(ValueError, match=r"rechunk\(\{1: -1\}\)"):
        DaskBlocks(da.from_array(X.toarray(), chunks=(70, 30)))


def test_a_wrong_block_is_named():
    wrong = X[:3].copy()
    wrong.data[2] = -1
    with dask.config.set(scheduler="synchronous"):
        blocks = DaskBlocks([*delayed_parts()[:2], dask.delayed(wrong)])
        with pytest.raises(ValueError, match="Block 2 cannot be used: .*negative"):
            LinearVAERecommender(**MODEL).fit(blocks)


@pytest.mark.distributed
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_processes_of_a_cluster_add_up_the_sums():
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    expected = LinearVAERecommender(**MODEL).fit(X)
    with (
        distributed.LocalCluster(processes=True, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        parts = client.persist(delayed_parts())
        blocks = DaskBlocks(parts)
        model = LinearVAERecommender(**MODEL).fit(blocks)
        assert_same_factors(model, expected)
        # Each pass has been computed on the workers, and its result is one sum.
        pids = blocks.map_reduce(_pid, set.union)
        assert pids <= set(client.run(_worker_pid).values())
        assert len(pids) == 2
    assert_same_factors(LinearVAERecommender(**MODEL).fit(RowBlocks([X])), expected)


def _pid(number, block):
    import os

    return {os.getpid()}


def _worker_pid():
    import os

    return os.getpid()
