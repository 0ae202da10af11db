"""Output in notebooks: estimators as HTML, and progress only on request."""

import re

import numpy as np
import pytest
import sklearn
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer
from sklearn.utils.fixes import parse_version

from skvae import CollaborativeVAE, MultVAERecommender, VAETransformer

ESTIMATORS = [
    VAETransformer(2, hidden_layer_sizes=(), max_iter=3, random_state=0),
    MultVAERecommender(2, max_iter=3, random_state=0),
    CollaborativeVAE(2, max_iter=3, content_epochs=2, random_state=0),
]


@pytest.fixture(params=ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def estimator(request):
    return sklearn.base.clone(request.param)


def fit(estimator, X):
    if isinstance(estimator, CollaborativeVAE):
        return estimator.fit(X, item_features=np.eye(X.shape[1]))
    return estimator.fit(X)


def shown_state(html):
    return re.findall(r"<span>(Fitted|Not fitted)</span>", html)


def test_html_names_the_estimator_its_parameters_and_its_state(estimator, interactions):
    name = type(estimator).__name__
    before = estimator._repr_html_()
    assert name in before
    assert shown_state(before) == ["Not fitted"]
    after = fit(estimator, interactions)._repr_html_()
    assert "n_components" in after
    assert "max_iter" in after
    assert shown_state(after) == ["Fitted"]


@pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.9"),
    reason="older scikit-learn shows no fitted attributes",
)
def test_html_shows_fitted_attributes(estimator, interactions):
    attribute = "loss_curve_"
    assert attribute not in estimator._repr_html_()
    html = fit(estimator, interactions)._repr_html_()
    assert attribute in html
    assert "_module" not in html  # what is private stays so


def test_html_of_a_search_over_a_pipeline(interactions):
    pipeline = make_pipeline(Binarizer(), MultVAERecommender(2, max_iter=1))
    search = GridSearchCV(pipeline, {"multvaerecommender__dropout": [0.1]}, cv=2)
    html = search.fit(interactions)._repr_html_()
    assert "MultVAERecommender" in html
    assert "Fitted" in shown_state(html)


def test_mimebundle_has_text_beside_html(estimator):
    bundle = estimator._repr_mimebundle_()
    assert bundle["text/plain"] == repr(estimator)
    assert "text/html" in bundle


def test_fit_prints_nothing_by_default(estimator, interactions, capfd):
    fit(estimator, interactions)
    assert capfd.readouterr() == ("", "")


def test_a_training_has_one_progress_bar(estimator, interactions, capfd):
    fit(estimator.set_params(verbose=1), interactions)
    out, err = capfd.readouterr()
    assert out == ""
    name = type(estimator).__name__
    last = {line.rpartition("\r")[2] for line in err.split("\n")} - {""}
    bars = [bar for bar in last if bar.startswith(f"{name}, epoch 3/3: 100%")]
    assert len(bars) == 1
    others = last - set(bars)
    if isinstance(estimator, MultVAERecommender):  # it starts from a linear VAE
        assert [bar[:27] for bar in others] == ["LinearVAERecommender: 100%|"]
    elif not isinstance(estimator, CollaborativeVAE):  # it trains a content model first
        assert not others
