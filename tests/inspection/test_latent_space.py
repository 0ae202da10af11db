import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae import VAETransformer
from skvae.inspection import LatentSpaceDisplay


def test_default_dimensions_are_the_two_with_the_greatest_kl(vae, digits):
    X, y = digits
    display = LatentSpaceDisplay.from_estimator(vae, X, y)
    first, second = np.argsort(vae.component_kl_)[::-1][:2]
    assert display.components == (first, second)
    Z = vae.transform(X)
    for digit, points in zip(range(10), display.scatter_, strict=True):
        codes = Z[y == digit][:, [first, second]]
        assert_array_equal(np.asarray(points.get_offsets()), codes)
    kl = vae.component_kl_[first]
    assert display.ax_.get_xlabel() == f"latent dimension {first} (KL {kl:.2f} nats)"


def test_without_kl_default_dimensions_have_the_greatest_variance(recommender, users):
    display = LatentSpaceDisplay.from_estimator(recommender, users)
    spread = recommender.transform(users).astype(float).var(axis=0)
    assert display.components == tuple(np.argsort(spread)[::-1][:2])
    assert display.ax_.get_xlabel() == f"latent dimension {display.components[0]}"


def test_two_dimensions_are_drawn_in_their_own_order(digits):
    X, _ = digits
    pca = make_pipeline(StandardScaler(), PCA(2)).fit(X)
    display = LatentSpaceDisplay.from_estimator(pca, X)
    assert_array_equal(display.scatter_[0].get_offsets(), pca.transform(X))


def test_given_dimensions_are_drawn(vae, digits):
    display = LatentSpaceDisplay.from_estimator(vae, digits[0], components=(3, 1))
    codes = vae.transform(digits[0])[:, [3, 1]]
    assert_array_equal(np.asarray(display.scatter_[0].get_offsets()), codes)


def test_classes_differ_in_marker_or_fill_and_are_in_the_legend():
    y = np.repeat([f"class {i:02}" for i in range(20)], 2)
    Z = np.random.default_rng(0).random((40, 2))
    display = LatentSpaceDisplay(Z=Z, y=y).plot(y_name="kind")
    styles = {
        (
            tuple(points.get_edgecolor()[0]),
            tuple(map(tuple, points.get_facecolor())),
            points.get_paths()[0].vertices.tobytes(),
        )
        for points in display.scatter_
    }
    assert len(styles) == 20
    legend = display.ax_.get_legend()
    assert legend.get_title().get_text() == "kind"
    assert [text.get_text() for text in legend.get_texts()] == sorted(set(y))
    assert display.colorbar_ is None


def test_many_different_numbers_have_a_colour_bar():
    rng = np.random.default_rng(0)
    Z, y = rng.random((30, 2)), rng.random(30)
    display = LatentSpaceDisplay(Z=Z, y=y).plot(y_name="age (years)")
    assert_array_equal(display.scatter_[0].get_array(), y)
    assert display.colorbar_.ax.get_ylabel() == "age (years)"
    assert display.ax_.get_legend() is None


def test_two_plots_on_the_same_axes():
    fig, ax = plt.subplots()
    display = LatentSpaceDisplay(Z=np.eye(3))
    assert display.plot(ax) is display
    display.plot(ax)
    assert display.figure_ is fig
    assert len(ax.collections) == 2


@pytest.mark.parametrize("keyword", ["c", "color", "fc", "facecolors"])
def test_all_names_of_the_colour_keyword_are_accepted(keyword):
    style = {keyword: "red", "s": 5}
    display = LatentSpaceDisplay(Z=np.eye(3)).plot(scatter_kw=style)
    assert_array_equal(display.scatter_[0].get_facecolor(), [[1, 0, 0, 1]])
    display = LatentSpaceDisplay(Z=np.eye(3), y=[0, 0, 1]).plot(scatter_kw=style)
    assert_array_equal(display.scatter_[1].get_facecolor(), [[1, 0, 0, 1]])


def test_invalid_arguments_are_refused(vae, digits):
    X, y = digits
    with pytest.raises(NotFittedError):
        LatentSpaceDisplay.from_estimator(VAETransformer(), X)
    one = VAETransformer(1, hidden_layer_sizes=(), max_iter=1, random_state=0).fit(X)
    with pytest.raises(ValueError, match="1 component but two are needed"):
        LatentSpaceDisplay.from_estimator(one, X)
    with pytest.raises(ValueError, match="latent dimensions, from 0 to 3"):
        LatentSpaceDisplay.from_estimator(vae, X, components=(0, 4))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        LatentSpaceDisplay.from_estimator(vae, X, y[:-1])
    with pytest.raises(ValueError, match="y holds values that are not finite"):
        LatentSpaceDisplay.from_estimator(vae, X, np.where(y == 3, np.nan, y))
    with pytest.raises(ValueError, match="pass one value per row of X"):
        LatentSpaceDisplay.from_estimator(vae, X, y[:, None])
    with pytest.raises(ValueError, match="y has 200 different values"):
        LatentSpaceDisplay.from_estimator(vae, X, np.arange(200).astype(str))
