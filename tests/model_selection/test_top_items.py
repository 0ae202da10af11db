import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import coo_array, csr_array, csr_matrix
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectKBest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, MaxAbsScaler

from skvae.model_selection import _top_items, top_items


class FixedScores(BaseEstimator):
    """Score items by adding up the rows of a table for the items of a user."""

    def __init__(self, table):
        self.table = table

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def decision_function(self, X):
        return np.asarray(X @ self.table)


RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(12, 12))
X = (RNG.random((70, 12)) < 0.3).astype(float)


def reference(scores, X, n_items, exclude_seen=True, candidates=None):
    allowed = np.zeros_like(scores, dtype=bool)
    allowed[:, slice(None) if candidates is None else candidates] = True
    if exclude_seen:
        allowed &= X == 0
    scores = np.where(allowed, scores, -np.inf)
    items = np.argsort(-scores, axis=1, kind="stable")[:, :n_items]
    best = np.take_along_axis(scores, items, 1)
    return np.where(best == -np.inf, -1, items), best


@pytest.mark.parametrize(
    "container", [csr_matrix, csr_array, coo_array, np.asarray, pd.DataFrame, list]
)
@pytest.mark.parametrize("exclude_seen", [True, False])
@pytest.mark.parametrize("candidates", [None, [7, 2, 9, 4, 2]])
def test_top_items_are_the_best_allowed_items(container, exclude_seen, candidates):
    estimator = FixedScores(TABLE)
    items, scores = top_items(
        estimator,
        container(X),
        4,
        exclude_seen=exclude_seen,
        candidates=candidates,
        return_scores=True,
    )
    expected_items, expected = reference(X @ TABLE, X, 4, exclude_seen, candidates)
    assert items.dtype == np.int64
    np.testing.assert_array_equal(items, expected_items)
    np.testing.assert_allclose(scores, expected)


def test_pandas_rows_are_selected_by_position(monkeypatch):
    monkeypatch.setattr(_top_items, "CHUNK_BYTES", 8 * 12 * 16)
    frame = pd.DataFrame(X, index=np.arange(70)[::-1] / 2)
    items = top_items(FixedScores(TABLE), frame, 3)
    np.testing.assert_array_equal(items, reference(X @ TABLE, X, 3)[0])


def test_polars_dataframes_are_accepted():
    class Scores:
        def decision_function(self, X):
            assert isinstance(X, pl.DataFrame)
            return X.to_numpy() @ TABLE

    frame = pl.DataFrame(X, schema=[str(i) for i in range(12)])
    np.testing.assert_array_equal(
        top_items(Scores(), frame, 3), reference(X @ TABLE, X, 3)[0]
    )


@pytest.mark.parametrize("chunk_bytes", [1, 8 * 12 * 5, 8 * 12 * 40])
def test_chunk_size_does_not_change_the_ranking(monkeypatch, chunk_bytes):
    whole = top_items(FixedScores(TABLE), csr_array(X), 5, return_scores=True)
    monkeypatch.setattr(_top_items, "CHUNK_BYTES", chunk_bytes)
    chunks = list(_top_items.iter_top_items(FixedScores(TABLE), csr_array(X), 5))
    assert len(chunks) > 1
    assert [c.start for c, _ in chunks[1:]] == [c.stop for c, _ in chunks[:-1]]
    parts = top_items(FixedScores(TABLE), csr_array(X), 5, return_scores=True)
    np.testing.assert_array_equal(parts[0], whole[0])
    np.testing.assert_allclose(parts[1], whole[1])


def test_chunks_are_multiples_of_16_rows_within_the_limit():
    sizes = {s.stop - s.start for s in _top_items.row_chunks(10**5, 8 * 3696)}
    largest = max(sizes)
    assert largest % 16 == 0
    assert largest * 8 * 3696 <= 64 * 2**20 < (largest + 16) * 8 * 3696
    assert list(_top_items.row_chunks(2, 10**12)) == [slice(0, 1), slice(1, 2)]


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.float16, np.float32),
        (np.int64, np.float64),
        (bool, np.float64),
    ],
)
def test_scores_of_any_dtype_are_accepted(dtype, expected):
    class Scores:
        def decision_function(self, X):
            return np.tile(np.array([0, 1, 0, 1]), (len(X), 1)).astype(dtype)

    items, scores = top_items(Scores(), np.zeros((2, 4)), 3, return_scores=True)
    assert items.tolist() == [[1, 3, 0]] * 2
    assert scores.dtype == expected


@pytest.mark.parametrize("view", [lambda s: s[:, ::-1], np.asfortranarray, np.asarray])
@pytest.mark.filterwarnings("error")
def test_scores_of_the_estimator_are_not_modified(view):
    scores = np.ascontiguousarray(X @ TABLE)
    if view is np.asarray:
        scores.flags.writeable = False
    before = scores.copy()

    class Scores:
        def decision_function(self, X):
            return view(scores)

    items = top_items(Scores(), X, 3)
    np.testing.assert_array_equal(items, reference(view(before), X, 3)[0])
    np.testing.assert_array_equal(scores, before)


def test_stored_zeros_are_not_seen_items():
    seen = csr_array((np.array([0.0, 1.0]), np.array([0, 1]), np.array([0, 2])), (1, 3))

    class Scores:
        def decision_function(self, X):
            return np.array([[3.0, 2.0, 1.0]])

    assert top_items(Scores(), seen, 3).tolist() == [[0, 2, -1]]


def test_pipelines_rank_the_items_of_their_input():
    pipeline = make_pipeline(Binarizer(), MaxAbsScaler(), FixedScores(TABLE)).fit(X)
    np.testing.assert_array_equal(
        top_items(pipeline, csr_array(X), 3), reference(X @ TABLE, X, 3)[0]
    )


def test_a_pipeline_that_drops_items_is_refused():
    select = SelectKBest(lambda X, y: X.sum(axis=0), k=5)
    pipeline = make_pipeline(select, FixedScores(np.eye(5))).fit(X, X[:, 0])
    with pytest.raises(ValueError, match=r"shape \(70, 5\) for X of shape \(70, 12\)"):
        top_items(pipeline, X, 3)


class Recommender:
    def __init__(self):
        self.calls = []

    def recommend(
        self,
        X,
        n_items=10,
        *,
        exclude_seen=True,
        candidates=None,
        return_scores=False,
    ):
        self.calls.append((X.shape, n_items, exclude_seen, candidates, return_scores))
        items = np.tile(np.arange(n_items), (X.shape[0], 1))
        return (items, -items.astype(float)) if return_scores else items


def test_recommend_is_called_if_the_estimator_has_it():
    recommender = Recommender()
    items, scores = top_items(
        recommender, X, 3, exclude_seen=False, candidates=[1, 2], return_scores=True
    )
    assert recommender.calls == [((70, 12), 3, False, [1, 2], True)]
    assert items[0].tolist() == [0, 1, 2]
    assert scores[0].tolist() == [0, -1, -2]


def test_recommend_is_called_in_chunks(monkeypatch):
    monkeypatch.setattr(_top_items, "CHUNK_BYTES", 16 * 3 * 32)
    recommender = Recommender()
    chunks = list(_top_items.iter_top_items(recommender, csr_array(X), 3))
    assert [call[0] for call in recommender.calls] == [(32, 12), (32, 12), (6, 12)]
    assert [rows for rows, _ in chunks] == [slice(0, 32), slice(32, 64), slice(64, 70)]
    rows, items, scores = next(
        _top_items.iter_top_items(recommender, X, 3, return_scores=True)
    )
    assert items.shape == scores.shape == (32, 3)


def test_a_recommend_with_other_keywords_is_not_called():
    class Other(FixedScores):
        def recommend(self, user_id, n=10):
            raise AssertionError

    np.testing.assert_array_equal(
        top_items(Other(TABLE), X, 3), top_items(FixedScores(TABLE), X, 3)
    )


def test_matrix_without_users():
    items, scores = top_items(
        FixedScores(TABLE), np.empty((0, 12)), 3, return_scores=True
    )
    assert items.shape == scores.shape == (0, 3)
    assert top_items(FixedScores(TABLE), csr_array((0, 12)), 3).shape == (0, 3)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"n_items": 13}, "n_items=13 but there are 12 items"),
        ({"n_items": 13, "candidates": [1]}, "n_items=13 but there are 12 items"),
        ({"n_items": 0}, "n_items=0: pass an integer"),
        ({"n_items": 2.0}, "n_items=2.0: pass an integer"),
        ({"n_items": True}, "n_items=True: pass an integer"),
        ({"n_items": 1, "candidates": [12]}, "12 to 12 but there are 12 items"),
        ({"n_items": 1, "candidates": [-1, 3]}, "range from -1 to 3"),
        ({"n_items": 1, "candidates": [0.5]}, "dtype float64"),
        ({"n_items": 1, "candidates": np.ones(12, bool)}, "flatnonzero"),
        ({"n_items": 1, "candidates": [[1]]}, "shape .1, 1."),
        ({"n_items": 1, "candidates": [[]]}, "shape .1, 0."),
    ],
)
def test_invalid_arguments_are_refused(keywords, message):
    with pytest.raises(ValueError, match=message):
        top_items(FixedScores(TABLE), X, **keywords)


@pytest.mark.parametrize("candidates", [[3, 5], [5, 3, 3], []])
def test_fewer_candidates_than_items_are_filled_up(candidates):
    estimator = FixedScores(TABLE)
    options = {"candidates": candidates, "exclude_seen": False}
    items, scores = top_items(estimator, X, 4, return_scores=True, **options)
    n_found = len(set(candidates))
    expected, best = reference(
        X @ TABLE, X, n_found, False, np.unique(candidates).astype(int)
    )
    np.testing.assert_array_equal(items[:, :n_found], expected)
    np.testing.assert_allclose(scores[:, :n_found], best)
    assert (items[:, n_found:] == -1).all()
    assert (scores[:, n_found:] == -np.inf).all()


def test_nan_scores_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        top_items(FixedScores(np.full((12, 12), np.nan)), X, 3)


def test_an_estimator_without_decision_function_is_refused():
    with pytest.raises(TypeError, match="MaxAbsScaler cannot rank items"):
        top_items(MaxAbsScaler(), X, 3)


@pytest.mark.parametrize("X", [np.ones(3), np.ones((2, 3, 1)), 3, np.ndarray])
def test_X_without_two_dimensions_is_refused(X):
    scores = FixedScores(np.eye(3)).fit(np.eye(3))
    with pytest.raises((TypeError, ValueError), match="^X (has shape|is a)"):
        top_items(scores, X, 1)


def test_a_class_instead_of_an_instance_is_refused():
    with pytest.raises(TypeError, match="class FixedScores .* fitted instance"):
        top_items(FixedScores, np.eye(3), 1)


@pytest.mark.parametrize("candidates", [[[0], [1, 2]], {0, 1}])
def test_errors_name_candidates_that_are_not_an_array(candidates):
    scores = FixedScores(np.eye(3)).fit(np.eye(3))
    with pytest.raises(ValueError, match="^candidates (has|is a)"):
        top_items(scores, np.eye(3), 1, candidates=candidates)
