"""Quality of the defaults on MovieLens-1M and citeulike-t; needs the real data."""

import pytest
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfTransformer

from skvae import CollaborativeVAE, MultVAERecommender
from skvae.datasets import fetch_citeulike
from skvae.metrics import make_ranking_scorer


@pytest.fixture
def split(data_home):
    folder = data_home / "ml-1m-split"
    if not folder.is_dir():
        pytest.skip("no ml-1m-split in the folder with real data")
    names = ("train", "test_in", "test_out")
    return {name: sp.csr_array(sp.load_npz(folder / f"{name}.npz")) for name in names}


@pytest.mark.slow
def test_defaults_rank_movielens_1m_as_well_as_the_best_linear_models(split):
    """The VAEs of other packages reach an NDCG@100 of at most .474 on this split."""
    model = MultVAERecommender(random_state=0).fit(split["train"])
    scorer = make_ranking_scorer(("ndcg@100", "recall@20"))
    scores = scorer(model, split["test_in"], split["test_out"])
    assert scores["ndcg@100"] > 0.49
    assert scores["recall@20"] > 0.42


@pytest.mark.slow
def test_settings_of_the_paper_learn_movielens_1m(split):
    model = MultVAERecommender(
        200,
        hidden_layer_sizes=(600,),
        tied_weights=False,
        initial_log_variance=0,
        beta=0.2,
        dropout=0.5,
        label_smoothing=0,
        learning_rate_init=0.001,
        lr_schedule=None,
        batch_size=500,
        max_iter=40,
        random_state=0,
    ).fit(split["train"])
    scorer = make_ranking_scorer("ndcg@100")
    assert scorer(model, split["test_in"], split["test_out"]) > 0.44


@pytest.mark.slow
def test_defaults_beat_the_published_models_on_citeulike_t(data_home):
    """At P = 10, CVAE reaches .2387 and .4854 (Ferrari Dacrema et al. 2021)."""
    if not (data_home / "citeulike-t").is_dir():
        pytest.skip("no citeulike-t in the folder with real data")
    data = fetch_citeulike("t", data_home=data_home, download_if_missing=False, p=10)
    words = TfidfTransformer(sublinear_tf=True).fit_transform(data.item_features)
    model = CollaborativeVAE(random_state=0)
    model.fit(data.train, item_features=words)
    scorer = make_ranking_scorer(("recall_relevant@50", "recall_relevant@300"))
    scores = scorer(model, data.train, data.test)
    assert scores["recall_relevant@50"] > 0.25
    assert scores["recall_relevant@300"] > 0.486
