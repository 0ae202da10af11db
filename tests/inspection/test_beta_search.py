import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError

from skvae import MultVAERecommender, load_model, save_model
from skvae.inspection import BetaSearchDisplay


def test_curves_are_those_of_the_search_and_not_of_the_training(recommender):
    display = BetaSearchDisplay.from_estimator(recommender)
    path = recommender.beta_path_
    assert_array_equal(display.score_line_.get_ydata(), path["score"])
    assert_array_equal(display.beta_line_.get_ydata(), path["beta"])
    assert_array_equal(display.beta_line_.get_xdata(), np.arange(1, 9))
    assert path["beta"][-1] == 1  # the search ends at 1, whichever beta it chose
    assert list(display.beta_line_.get_ydata()) != recommender.beta_curve_


def test_the_best_epoch_and_its_beta_are_marked(recommender):
    display = BetaSearchDisplay.from_estimator(recommender)
    best = int(np.argmax(recommender.beta_path_["score"])) + 1
    assert display.best_iter == best
    on_score, on_beta = display.best_
    top = max(recommender.beta_path_["score"])
    assert_array_equal(on_score.get_offsets(), [[best, top]])
    assert_array_equal(on_beta.get_offsets(), [[best, recommender.beta_]])
    texts = [panel.get_legend().get_texts()[0].get_text() for panel in display.axes_]
    assert texts == [f"best epoch: {best}", f"beta = {recommender.beta_:.3g}"]


def test_with_tol_the_beta_that_was_chosen_is_marked(users):
    settings = {"label_smoothing": 0, "batch_size": 8, "max_iter": 6}
    model = MultVAERecommender(6, beta="auto", tol=0.9, **settings, random_state=0).fit(
        users
    )
    # No later epoch is better than the first by more than tol.
    assert model.beta_ == model.beta_path_["beta"][0]
    assert np.argmax(model.beta_path_["score"]) != 0
    assert BetaSearchDisplay.from_estimator(model).best_iter == 1


def test_axes_and_labels(recommender):
    display = BetaSearchDisplay.from_estimator(recommender)
    upper, lower = display.axes_
    assert upper.get_ylabel() == "validation\nNDCG@100"
    assert lower.get_ylabel() == "beta\n(weight of KL)"
    assert lower.get_xlabel() == "epoch of the search"
    fig, axes = plt.subplots(2)
    display = BetaSearchDisplay.from_estimator(recommender, ax=axes)
    assert list(display.axes_) == list(axes)
    assert display.figure_ is fig


def test_a_saved_model_keeps_its_search(recommender, tmp_path):
    save_model(recommender, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    one = BetaSearchDisplay.from_estimator(recommender)
    two = BetaSearchDisplay.from_estimator(loaded)
    assert_array_equal(one.score_line_.get_ydata(), two.score_line_.get_ydata())
    assert one.best_iter == two.best_iter


def test_display_is_made_from_given_curves():
    display = BetaSearchDisplay(beta=[0.2, 0.4, 0.6], score=[0.1, 0.3, 0.2]).plot()
    assert_array_equal(display.best_[0].get_offsets(), [[2, 0.3]])
    with pytest.raises(ValueError, match=r"beta has shape \(2,\) and score \(3,\)"):
        BetaSearchDisplay(beta=[0.2, 0.4], score=[0.1, 0.3, 0.2]).plot()
    with pytest.raises(ValueError, match="pass one of the epochs, 1 to 2"):
        BetaSearchDisplay(beta=[0.2, 0.4], score=[0.1, 0.3], best_iter=3).plot()


def test_estimators_without_a_search_are_refused(vae, users):
    with pytest.raises(NotFittedError):
        BetaSearchDisplay.from_estimator(MultVAERecommender(beta="auto"))
    with pytest.raises(ValueError, match="VAETransformer has not searched for beta"):
        BetaSearchDisplay.from_estimator(vae)
    model = MultVAERecommender(
        2, beta="auto", variational=False, max_iter=1, random_state=0
    )
    with pytest.raises(ValueError, match='Fit a MultVAERecommender with beta="auto"'):
        BetaSearchDisplay.from_estimator(model.fit(users))
