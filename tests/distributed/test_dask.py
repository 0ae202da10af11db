"""Searches and rankings on a Dask cluster of two processes.

The tests without a mark are the thin part that `make test` runs.
"""

import os
import signal

import numpy as np
import pytest
import scipy.sparse as sp
from joblib import parallel_config
from sklearn.model_selection import GridSearchCV, KFold

from benchmarks.distributed import sent_by_search
from skvae import LinearVAERecommender, make_batch_ranker, save_model
from skvae.baselines import ItemKNN
from skvae.model_selection import look_up_ids
from skvae.utils._dask import tell_dask_sizes
from tests.distributed.searches import (
    CASES,
    KillsAWorker,
    assert_same_scores,
    claim,
    loaded_interactions,
    scores_of,
)

pytest.importorskip("distributed", reason="Dask is not installed")
pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def X():
    return loaded_interactions()


@pytest.fixture
def model_file(tmp_path, X):
    path = tmp_path / "model.safetensors"
    model = LinearVAERecommender(8, random_state=0).fit(X)
    save_model(model, path, item_ids=[f"item {column}" for column in range(X.shape[1])])
    return path


def batches_of(X, n_rows=40):
    """Users and their histories as record batches."""
    ids = np.array([f"item {column}" for column in range(X.shape[1])])
    histories = [ids[X[[row]].indices].tolist() for row in range(X.shape[0])]
    return [
        pa.RecordBatch.from_pydict(
            {
                "user": list(range(start, min(start + n_rows, X.shape[0]))),
                "history": histories[start : start + n_rows],
            }
        )
        for start in range(0, X.shape[0], n_rows)
    ]


def expected_ranking(model, X, n_items):
    items, scores = model.recommend(X, n_items, return_scores=True)
    ids = [f"item {column}" for column in range(X.shape[1])]
    return look_up_ids(items, ids).tolist(), scores


def assert_same_ranking(table, model, X, n_items):
    items, scores = expected_ranking(model, X, n_items)
    found = table.sort_by("user").to_pydict()
    assert found["user"] == list(range(X.shape[0]))
    assert found["items"] == items
    np.testing.assert_allclose(found["scores"], scores, rtol=1e-5)


def test_a_search_sends_its_matrix_once_to_each_worker(dask_client):
    X = sent_by_search.interactions(2000, 300)
    expected = sent_by_search.search(X, "threading")
    np.testing.assert_array_equal(sent_by_search.search(X, "dask"), expected)
    # Without skvae, each batch of tasks takes a copy to the scheduler and to a worker;
    # joblib makes four batches of one task before it measures how long they take.
    sent_by_search.forget_sparse_arrays()
    assert sent_by_search.sent_by_dask(dask_client, X) > 8
    tell_dask_sizes()
    # To the scheduler, to one worker and to the other; and indices of rows.
    for container in (sp.csr_array, sp.csr_matrix):
        assert sent_by_search.sent_by_dask(dask_client, container(X)) < 4.5
    assert sent_by_search.sent_by_dask(dask_client, X, scatter=[X]) < 4.5


def test_workers_rank_record_batches_as_one_process_does(dask_client, model_file, X):
    rank = make_batch_ranker(model_file, n_items=5)

    def rank_one(batch):
        return next(rank([batch]))

    ranked = dask_client.gather(dask_client.map(rank_one, batches_of(X)))
    model = LinearVAERecommender(8, random_state=0).fit(X)
    assert_same_ranking(pa.Table.from_batches(ranked), model, X, 5)


@pytest.mark.distributed
@pytest.mark.parametrize("name", CASES)
def test_searches_have_the_same_bits_as_in_one_process(dask_client, name, X):
    expected = scores_of(name, X)
    for container in (sp.csr_array, sp.csr_matrix):
        with parallel_config("dask"):
            assert_same_scores(scores_of(name, container(X)), expected)


@pytest.mark.distributed
def test_a_killed_worker_loses_nothing_of_a_search(dask_client, tmp_path, X):
    splits = list(KFold(3).split(X))
    grid = {"n_neighbors": [3, 5, 10, 20]}

    def search(estimator):
        return GridSearchCV(estimator, grid, cv=splits, refit=False).fit(X)

    expected = search(ItemKNN())
    dask_client.amm.stop()
    try:
        rows = [indices for split in splits for indices in split]
        with parallel_config("dask", scatter=[X, *rows]):
            found = search(KillsAWorker(str(tmp_path)))
    finally:
        dask_client.amm.start()
    assert (tmp_path / "killed").exists()
    np.testing.assert_array_equal(
        found.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"]
    )


@pytest.mark.distributed
def test_a_ranking_is_complete_after_a_worker_was_killed(
    dask_client, model_file, tmp_path, X
):
    dd = pytest.importorskip("dask.dataframe", reason="dask.dataframe is not installed")
    rank = make_batch_ranker(model_file, n_items=5)
    folder = tmp_path / "parts"
    folder.mkdir()
    for number, batch in enumerate(batches_of(X, 20)):
        table = pa.Table.from_batches([batch])
        parquet.write_table(table, folder / f"{number}.parquet")

    def rank_part(frame):
        first = frame["user"].min()
        if first == 60 and claim(tmp_path / "killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        batch = pa.RecordBatch.from_pandas(frame[["user", "history"]])
        return pa.Table.from_batches(rank([batch])).to_pandas()

    users = dd.read_parquet(folder)
    meta = {"user": "int64", "items": object, "scores": object}
    ranked = users.map_partitions(rank_part, meta=meta).compute()
    assert (tmp_path / "killed").exists()
    model = LinearVAERecommender(8, random_state=0).fit(X)
    table = pa.Table.from_pandas(ranked, preserve_index=False)
    assert_same_ranking(table, model, X, 5)
