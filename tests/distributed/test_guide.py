"""The blocks of the guide run on Dask, Ray, Spark and in two processes."""

import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone

from tests.distributed.conftest import ROOT
from tests.distributed.guide import run_blocks, script

pytestmark = pytest.mark.distributed
pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return {"__name__": "__main__"}


@pytest.fixture
def dask_default(dask_client):
    """What `Client()` connects to."""
    import dask

    with dask.config.set({"scheduler-address": dask_client.scheduler.address}):
        yield dask_client
    dask_client.amm.start()


def assert_searched_as_in_one_process(names):
    found, X = names["search"], names["X"]
    expected = clone(found).fit(X)
    np.testing.assert_array_equal(
        found.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"]
    )


def assert_ranked_as_in_one_process(names, folder):
    ranked = parquet.read_table(folder).sort_by("user")
    items, scores = names["model"].recommend(names["X"], 5, return_scores=True)
    assert ranked["user"].to_pylist() == list(range(len(items)))
    assert ranked["items"].to_pylist() == [[f"item {i}" for i in row] for row in items]
    np.testing.assert_allclose(ranked["scores"].to_pylist(), scores, rtol=1e-5)


@pytest.mark.parametrize("extra", [(), ("client.amm.stop()",)], ids=["", "replicas"])
def test_search_on_dask(names, dask_default, extra):
    run_blocks(names, "client = Client()", *extra)
    assert_searched_as_in_one_process(names)
    names["client"].close()


def test_features_of_a_file_are_read_by_the_workers(names, dask_default, tmp_path):
    from joblib import parallel_config
    from sklearn.model_selection import GridSearchCV

    from skvae import CollaborativeVAE

    run_blocks(names)
    words = np.random.default_rng(0).poisson(1.0, (100, 20)).astype(float)
    np.save(tmp_path / "content.npy", words)
    search = GridSearchCV(
        CollaborativeVAE(4, max_iter=2, random_state=0), {"lambda_v": [0.1, 10]}, cv=2
    )
    expected = clone(search).fit(names["X"], item_features={"features": words})
    features = names["FeaturesOfFile"](str(tmp_path / "content.npy"))
    with parallel_config("dask"):
        search.fit(names["X"], item_features=features)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"]
    )


def test_workers_of_dask_use_one_thread(dask_client):
    def n_threads():
        import torch

        return torch.get_num_threads()

    assert set(dask_client.run(n_threads).values()) == {1}


def test_search_on_ray(names, ray):
    run_blocks(names, "register_ray()")
    assert_searched_as_in_one_process(names)
    del names["search"].best_estimator_
    run_blocks(names, "register_ray()", "send_once(X)")
    assert_searched_as_in_one_process(names)


def test_ranking_on_dask(names, dask_client):
    pytest.importorskip("dask.dataframe", reason="dask.dataframe is not installed")
    run_blocks(names, "dask.dataframe")
    assert_ranked_as_in_one_process(names, "ranked by Dask")


@pytest.mark.filterwarnings(
    "ignore:`[a-z0-9_]+` is deprecated:DeprecationWarning"  # in ray.data
)
def test_ranking_on_ray(names, ray):
    run_blocks(names, "ray.data.read_parquet")
    assert_ranked_as_in_one_process(names, "ranked by Ray")


@pytest.mark.filterwarnings(
    "ignore:PySpark does not yet fully support pandas:FutureWarning"
)
def test_ranking_on_spark(names, spark):
    run_blocks(names, "mapInArrow")
    assert_ranked_as_in_one_process(names, "ranked by Spark")


def test_two_processes_share_a_study_and_prune(tmp_path):
    optuna = pytest.importorskip("optuna", reason="Optuna is not installed")
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    (tmp_path / "optimize.py").write_text(script("study.journal"), encoding="utf-8")
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen([sys.executable, "optimize.py"], cwd=tmp_path, env=env)
        for _ in range(2)
    ]
    try:
        assert [process.wait(timeout=300) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    study = optuna.load_study(
        study_name="recommender",
        storage=JournalStorage(JournalFileBackend(str(tmp_path / "study.journal"))),
    )
    states = [trial.state for trial in study.trials]
    assert 16 <= len(states) <= 17  # both may begin the last one
    assert {trial.user_attrs["process"] for trial in study.trials} == {
        process.pid for process in processes
    }
    pruned, complete = optuna.trial.TrialState.PRUNED, optuna.trial.TrialState.COMPLETE
    assert set(states) == {pruned, complete}
    for trial in study.trials:
        values = trial.intermediate_values
        assert list(values) == list(range(len(values)))
        assert 1 <= len(values) <= 8  # pruned after the last epoch too
        if trial.state is complete:
            assert len(values) == 8
            assert trial.value == max(values.values())
    # The bad ones, of rates over three powers of ten, ended early.
    assert min(len(trial.intermediate_values) for trial in study.trials) < 8
