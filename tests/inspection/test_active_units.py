import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError

from skvae import VAETransformer
from skvae._vae_transformer import COLLAPSED_KL
from skvae.inspection import ActiveUnitsDisplay


def test_bars_are_the_kl_of_the_dimensions_in_decreasing_order(vae):
    display = ActiveUnitsDisplay.from_estimator(vae)
    heights = [bar.get_height() for bar in display.bars_]
    assert_array_equal(heights, np.sort(vae.component_kl_.astype(float))[::-1])
    assert_array_equal(vae.component_kl_[display.order_], np.float32(heights))
    ticks = [text.get_text() for text in display.ax_.get_xticklabels()]
    assert ticks == [str(i) for i in display.order_]
    assert display.ax_.get_ylabel() == "KL (nats per row)"


def test_dimensions_not_in_use_are_marked():
    display = ActiveUnitsDisplay(component_kl=[0.001, 2.0, 0.01, 0.0]).plot()
    assert_array_equal(display.order_, [1, 2, 0, 3])
    assert_array_equal(display.unused_.get_offsets(), [[2, 0.001], [3, 0.0]])
    colors = [bar.get_facecolor() for bar in display.bars_]
    assert colors[0] == colors[1] != colors[2] == colors[3]
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert set(texts) == {"in use: 2 of 4", "not in use (KL under 0.01 nats)"}


def test_default_threshold_is_that_of_the_collapse_warning(vae):
    assert ActiveUnitsDisplay.from_estimator(vae).threshold == COLLAPSED_KL
    greatest = float(vae.component_kl_.max())
    display = ActiveUnitsDisplay.from_estimator(vae, threshold=2 * greatest)
    assert len(display.unused_.get_offsets()) == 4


def test_nothing_is_marked_if_all_dimensions_are_in_use():
    assert ActiveUnitsDisplay(component_kl=[1.0, 2.0]).plot().unused_ is None


def test_ticks_of_many_dimensions_do_not_overlap():
    display = ActiveUnitsDisplay(component_kl=np.arange(100.0)).plot()
    assert len(display.ax_.get_xticks()) <= 30


def test_given_axes_and_style_are_used(vae):
    fig, ax = plt.subplots()
    display = ActiveUnitsDisplay.from_estimator(vae, ax=ax, bar_kw={"fc": "red"})
    assert display.ax_ is ax
    assert display.figure_ is fig
    assert display.bars_[0].get_facecolor() == (1, 0, 0, 1)


def test_invalid_arguments_are_refused(autoencoder, recommender):
    with pytest.raises(NotFittedError):
        ActiveUnitsDisplay.from_estimator(VAETransformer())
    for model in (autoencoder, recommender):
        with pytest.raises(ValueError, match="has no component_kl_; pass a"):
            ActiveUnitsDisplay.from_estimator(model)
    with pytest.raises(ValueError, match=r"component_kl has shape \(1, 2\)"):
        ActiveUnitsDisplay(component_kl=[[1, 2]]).plot()
