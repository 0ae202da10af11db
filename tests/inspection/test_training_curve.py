import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae import VAETransformer
from skvae.inspection import TrainingCurveDisplay


def labels_of(panel):
    legend = panel.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def test_lines_hold_the_curves_of_the_estimator(validated_vae):
    display = TrainingCurveDisplay.from_estimator(validated_vae)
    expected = {
        "loss": validated_vae.loss_curve_,
        "kl": validated_vae.kl_curve_,
        "beta": validated_vae.beta_curve_,
        "validation": validated_vae.validation_scores_,
    }
    assert list(display.lines_) == list(expected)
    for panel, (curve, values) in zip(display.axes_, expected.items(), strict=True):
        line = display.lines_[curve]
        assert line.axes is panel
        assert_array_equal(line.get_xdata(), [1, 2, 3, 4, 5])
        assert_array_equal(line.get_ydata(), values)
    assert display.ax_ is display.axes_[0]
    assert display.figure_ is display.ax_.figure


def test_axes_are_labelled_with_quantity_and_unit(
    validated_vae, autoencoder, recommender
):
    display = TrainingCurveDisplay.from_estimator(validated_vae)
    assert [panel.get_ylabel().replace("\n", " ") for panel in display.axes_] == [
        "loss (nats per row)",
        "KL (nats per row)",
        "beta (weight of KL)",
        "validation bound (nats per row)",
    ]
    assert display.axes_[-1].get_xlabel() == "epoch"
    display = TrainingCurveDisplay.from_estimator(recommender, curves="validation")
    assert display.ax_.get_ylabel() == "validation\nNDCG@100"


def test_the_best_epoch_is_marked(validated_vae):
    display = TrainingCurveDisplay.from_estimator(validated_vae)
    scores = validated_vae.validation_scores_
    best = int(np.argmax(scores)) + 1
    assert_array_equal(display.best_.get_offsets(), [[best, max(scores)]])
    assert labels_of(display.axes_[-1]) == [f"best epoch: {best}"]


def test_without_validation_no_epoch_is_marked(vae):
    display = TrainingCurveDisplay.from_estimator(vae)
    assert list(display.lines_) == ["loss", "kl", "beta"]
    assert display.best_ is None


def test_objective_and_rounds_of_the_collaborative_model(collaborative):
    display = TrainingCurveDisplay.from_estimator(collaborative)
    assert list(display.lines_) == ["objective", "loss", "kl"]
    assert_array_equal(
        display.lines_["objective"].get_ydata(), collaborative.objective_curve_
    )
    assert display.axes_[-1].get_xlabel() == "round"
    assert display.axes_[1].get_ylabel() == "loss\n(nats per item)"


def test_only_the_given_curves_are_drawn(vae):
    display = TrainingCurveDisplay.from_estimator(vae, curves=["reconstruction", "kl"])
    assert list(display.lines_) == ["reconstruction", "kl"]
    assert_array_equal(
        display.lines_["reconstruction"].get_ydata(), vae.reconstruction_curve_
    )
    assert len(display.axes_) == 2


def test_a_second_estimator_on_the_same_axes_has_another_style(vae, validated_vae):
    first = TrainingCurveDisplay.from_estimator(
        vae, curves=["loss", "kl"], name="three epochs"
    )
    second = TrainingCurveDisplay.from_estimator(
        validated_vae, curves=["loss", "kl"], name="five", ax=first.axes_
    )
    assert list(second.axes_) == list(first.axes_)
    assert len(first.ax_.get_lines()) == 2
    one, two = first.lines_["kl"], second.lines_["kl"]
    assert one.get_color() != two.get_color()
    assert one.get_linestyle() != two.get_linestyle()  # they differ in grey print
    assert one.get_marker() != two.get_marker()
    assert labels_of(first.ax_) == ["three epochs", "five"]


def test_a_single_axes_holds_one_curve_or_is_divided(vae):
    fig, (left, right) = plt.subplots(1, 2)
    display = TrainingCurveDisplay.from_estimator(vae, curves="loss", ax=left)
    assert display.ax_ is left
    assert display.figure_ is fig
    display = TrainingCurveDisplay.from_estimator(vae, ax=right)
    assert len(display.axes_) == 3
    assert {panel.figure for panel in display.axes_} == {fig}
    assert not right.axison
    box = right.get_position()
    for panel in display.axes_:
        assert box.x0 <= panel.get_position().x0
        assert panel.get_position().y0 >= box.y0 - 1e-9


def test_unsuitable_axes_are_refused(vae):
    _, axes = plt.subplots(2)
    with pytest.raises(ValueError, match="holds 2 Axes but TrainingCurveDisplay draws"):
        TrainingCurveDisplay.from_estimator(vae, ax=axes)
    free = plt.figure().add_axes([0, 0, 1, 1])
    with pytest.raises(
        ValueError, match="cannot be divided because it is not a subplot"
    ):
        TrainingCurveDisplay.from_estimator(vae, ax=free)
    with pytest.raises(TypeError, match="pass matplotlib Axes"):
        TrainingCurveDisplay.from_estimator(vae, ax="here")


def test_aliases_of_style_keywords_are_accepted(vae):
    display = TrainingCurveDisplay.from_estimator(
        vae, curves="loss", line_kw={"c": "red", "lw": 3}
    )
    assert display.lines_["loss"].get_color() == "red"
    assert display.lines_["loss"].get_linewidth() == 3


def test_top_and_right_spines_are_hidden(vae):
    for panel in TrainingCurveDisplay.from_estimator(vae).axes_:
        visible = {side for side, spine in panel.spines.items() if spine.get_visible()}
        assert visible == {"left", "bottom"}


def test_pipelines_and_searches_show_the_curves_of_their_estimator(digits):
    pipeline = make_pipeline(
        StandardScaler(), VAETransformer(2, hidden_layer_sizes=(), random_state=0)
    )
    search = GridSearchCV(pipeline, {"vaetransformer__max_iter": [2]}, cv=2)
    search.fit(digits[0])
    display = TrainingCurveDisplay.from_estimator(search, curves="loss")
    trained = search.best_estimator_[-1]
    assert_array_equal(display.lines_["loss"].get_ydata(), trained.loss_curve_)
    # The curves are read from the estimator, not stored by the first call.
    again = TrainingCurveDisplay.from_estimator(search.best_estimator_, curves="loss")
    assert_array_equal(again.curves["loss"], trained.loss_curve_)


def test_an_autoencoder_has_neither_kl_nor_beta(autoencoder):
    display = TrainingCurveDisplay.from_estimator(autoencoder)
    assert list(display.lines_) == ["loss"]
    for curve in ("kl", "beta"):
        with pytest.raises(ValueError, match="variational=False there is no KL"):
            TrainingCurveDisplay.from_estimator(autoencoder, curves=curve)


def test_missing_curves_are_refused(vae):
    with pytest.raises(NotFittedError):
        TrainingCurveDisplay.from_estimator(VAETransformer())
    with pytest.raises(ValueError, match="early_stopping=True, or pass X_val"):
        TrainingCurveDisplay.from_estimator(vae, curves="validation")
    with pytest.raises(ValueError, match=r"curves holds 'lose'; pass names from"):
        TrainingCurveDisplay.from_estimator(vae, curves=["loss", "lose"])
    pca = PCA(1).fit([[0.0, 1.0], [1.0, 0.0]])
    with pytest.raises(ValueError, match="PCA has no training curves"):
        TrainingCurveDisplay.from_estimator(pca)
    with pytest.raises(ValueError, match="curves is empty"):
        TrainingCurveDisplay(curves={}).plot()


def test_after_refit_losses_and_scores_come_from_two_trainings(digits):
    model = VAETransformer(
        2,
        hidden_layer_sizes=(),
        max_iter=6,
        learning_rate_init=0.2,
        lr_schedule=None,
        early_stopping=True,
        refit=True,
        random_state=0,
    ).fit(digits[0])
    assert len(model.loss_curve_) == model.best_iter_
    display = TrainingCurveDisplay.from_estimator(model)
    for curve, n in {"loss": model.best_iter_, "validation": 6}.items():
        assert len(display.lines_[curve].get_xdata()) == n
