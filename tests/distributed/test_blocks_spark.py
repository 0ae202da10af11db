"""LinearVAERecommender on a data frame of Spark, against the matrix in memory."""

import os
import sys

import numpy as np
import pytest

from skvae import LinearVAERecommender
from skvae.datasets import SparkBlocks, make_interactions

X = make_interactions(600, 60, random_state=0).matrix
X.data[:] = np.random.default_rng(0).integers(1, 4, X.nnz)
MODEL = {"n_components": 8, "random_state": 0}

pytestmark = [
    pytest.mark.distributed,
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas"),
]


@pytest.fixture(scope="module")
def spark():
    sql = pytest.importorskip("pyspark.sql")
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        sql.SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "3")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "40")
        .getOrCreate()
    )
    yield session
    session.stop()


def frame_of(spark, X, weighted=True):
    rows = [
        (f"user {i}", X[[i]].indices.tolist(), X[[i]].data.tolist())
        for i in range(X.shape[0])
    ]
    frame = spark.createDataFrame(
        rows, "user string, items array<int>, values array<double>"
    )
    frame = frame.repartition(3, "user").sortWithinPartitions("user").cache()
    return frame if weighted else frame.drop("values")


@pytest.mark.parametrize("weighted", [True, False])
def test_factors_are_those_of_the_matrix(spark, weighted):
    blocks = SparkBlocks(frame_of(spark, X, weighted), n_items=60)
    assert blocks.shape == X.shape
    assert blocks.nnz == X.nnz
    assert len(blocks.sizes()) >= 15
    settings = {"noise_variance": "mle", "output_exponent": 0.1}
    model = LinearVAERecommender(**MODEL, **settings).fit(blocks)
    matrix = X if weighted else X.astype(bool).astype(np.float32)
    expected = LinearVAERecommender(**MODEL, **settings).fit(matrix)
    np.testing.assert_allclose(
        model.explained_variance_, expected.explained_variance_, rtol=1e-5
    )
    np.testing.assert_allclose(
        model.decision_function(matrix[:50]),
        expected.decision_function(matrix[:50]),
        rtol=1e-3,
        atol=1e-4,
    )


def test_users_are_held_out_to_choose_what_is_auto(spark):
    blocks = SparkBlocks(frame_of(spark, X), n_items=60)
    model = LinearVAERecommender(**MODEL).fit(blocks)
    expected = LinearVAERecommender(**MODEL).fit(X)
    # The users are in another order, so that others are held out.
    assert model.best_validation_score_ == pytest.approx(
        expected.best_validation_score_, abs=0.1
    )


def test_pairs_of_users_and_items_become_rows(spark):
    from pyspark.sql import functions as F

    rows, columns = X.nonzero()
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    table = spark.createDataFrame([*pairs] * 2, "user int, item int")
    grouped = table.groupBy("user").agg(F.collect_set("item").alias("items"))
    blocks = SparkBlocks(grouped.cache(), n_items=60)
    assert blocks.nnz == X.nnz
    sums = blocks.map_reduce(_item_sums)
    np.testing.assert_array_equal(sums, np.bincount(columns, minlength=60))


def _item_sums(number, block):
    return block.sum(axis=0)


def test_wrong_frames_are_refused(spark):
    frame = spark.createDataFrame([([70],)], "items array<int>")
    with pytest.raises(Exception, match="item 70, but there are 60"):
        _ = SparkBlocks(frame, n_items=60).shape
    with pytest.raises(ValueError, match="needs the column 'items'"):
        SparkBlocks(frame.withColumnRenamed("items", "songs"), n_items=60)
