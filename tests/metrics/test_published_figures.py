import numpy as np
import pytest
from scipy.sparse import load_npz

from skvae.metrics import make_ranking_scorer


@pytest.mark.slow
def test_ease_on_movielens_1m_has_the_known_scores(data_home):
    """EASE (Steck 2019) has the scores that other code computed on this split."""
    split = data_home / "ml-1m-split"
    train, fold_in, held_out = (
        load_npz(split / f"{part}.npz") for part in ("train", "test_in", "test_out")
    )
    gram = (train.T @ train).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += 1000
    precision = np.linalg.inv(gram)
    weights = -precision / np.diag(precision)
    np.fill_diagonal(weights, 0)

    class Ease:
        def decision_function(self, X):
            return np.asarray(X @ weights)

    scorer = make_ranking_scorer(("ndcg@100", "recall@20", "recall@50"))
    assert scorer(Ease(), fold_in, held_out) == pytest.approx(
        {"ndcg@100": 0.5015, "recall@20": 0.4344, "recall@50": 0.5098}, abs=1e-4
    )
