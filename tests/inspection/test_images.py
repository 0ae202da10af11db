"""Tests of the displays of reconstructions and of generated samples."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skvae import VAETransformer
from skvae.inspection import GeneratedSamplesDisplay, ReconstructionDisplay


def test_reconstructions_are_drawn_below_the_originals(vae, digits):
    X = digits[0][:5]
    display = ReconstructionDisplay.from_estimator(vae, X, image_shape=(8, 8))
    picture = np.asarray(display.image_.get_array().filled(np.nan))
    assert picture.shape == (2 * 10, 5 * 10)
    reconstructed = vae.inverse_transform(vae.transform(X))
    for i in range(5):
        columns = slice(10 * i + 1, 10 * i + 9)
        assert_array_equal(picture[1:9, columns], X[i].reshape(8, 8))
        assert_array_equal(picture[11:19, columns], reconstructed[i].reshape(8, 8))
    assert np.isnan(picture[[0, 9, 10, 19]]).all()  # margins
    labels = [text.get_text() for text in display.ax_.get_yticklabels()]
    assert labels == ["original", "reconstruction"]
    assert display.image_.get_clim() == (X.min(), X.max())


def test_lines_are_rows_and_their_reconstructions(vae, digits):
    X = digits[0][:3]
    display = ReconstructionDisplay.from_estimator(vae, X)
    reconstructed = vae.inverse_transform(vae.transform(X))
    assert len(display.axes_) == len(display.lines_) == 3
    for i, (original, reconstruction) in enumerate(display.lines_):
        assert_array_equal(original.get_ydata(), X[i])
        assert_array_equal(reconstruction.get_ydata(), reconstructed[i])
        assert original.get_linestyle() != reconstruction.get_linestyle()
    assert display.axes_[-1].get_xlabel() == "feature"
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["original", "reconstruction"]


def test_pipelines_pca_and_sparse_rows_are_reconstructed(digits):
    X = digits[0]
    pca = make_pipeline(MinMaxScaler(), PCA(3)).fit(X)
    display = ReconstructionDisplay.from_estimator(pca, X[:2], image_shape=(8, 8))
    expected = pca.inverse_transform(pca.transform(X[:2]))
    assert_allclose(display.X_reconstructed, expected)
    counts = csr_array(np.random.default_rng(0).poisson(1.0, (30, 6)))
    model = VAETransformer(
        2, likelihood="poisson", hidden_layer_sizes=(), max_iter=1, random_state=0
    ).fit(counts)
    display = ReconstructionDisplay.from_estimator(model, counts[:2])
    assert_array_equal(display.lines_[1][0].get_ydata(), counts.toarray()[1])


def test_invalid_arguments_of_reconstructions_are_refused(
    digits, vae, recommender, users
):
    X = digits[0][:3]
    with pytest.raises(NotFittedError):
        ReconstructionDisplay.from_estimator(VAETransformer(), X)
    with pytest.raises(ValueError, match="64 values but rows have|has 56 values"):
        ReconstructionDisplay.from_estimator(vae, X, image_shape=(8, 7))
    with pytest.raises(ValueError, match=r"X has shape \(3, 64\) but X_reconstructed"):
        ReconstructionDisplay(X=X, X_reconstructed=X[:2]).plot()
    with pytest.raises(ValueError, match="one row per sample, at least one"):
        ReconstructionDisplay(X=X[0], X_reconstructed=X[0]).plot()
    kmeans = KMeans(2, n_init=1).fit(X)
    with pytest.raises(
        ValueError, match="needs a method inverse_transform, which KMeans"
    ):
        ReconstructionDisplay.from_estimator(kmeans, X)


def test_samples_fill_the_grid_row_by_row():
    rows = np.arange(5 * 6, dtype=float).reshape(5, 6)
    display = GeneratedSamplesDisplay(samples=rows, image_shape=(2, 3)).plot(
        n_columns=2
    )
    picture = np.asarray(display.image_.get_array().filled(np.nan))
    assert picture.shape == (3 * 4, 2 * 5)
    for i, row in enumerate(rows):
        top, left = 4 * (i // 2) + 1, 5 * (i % 2) + 1
        image = picture[top : top + 2, left : left + 3]
        assert_array_equal(image, row.reshape(2, 3))
    assert np.isnan(picture[8:, 5:]).all()  # the cell without an image


def test_colour_images_are_clipped_and_have_white_margins():
    rows = np.array([[-1.0, 0.5, 2.0]])
    display = GeneratedSamplesDisplay(samples=rows, image_shape=(1, 1, 3)).plot()
    picture = np.asarray(display.image_.get_array())
    assert_array_equal(picture[1, 1], [0, 0.5, 1])
    assert_array_equal(picture[0], np.ones((3, 3)))


def test_samples_are_drawn_from_the_prior(vae):
    display = GeneratedSamplesDisplay.from_estimator(
        vae, 6, response="sample", random_state=0
    )
    assert_array_equal(display.samples, vae.sample(6, random_state=0))
    display = GeneratedSamplesDisplay.from_estimator(vae, 6, random_state=0)
    codes = np.random.RandomState(0).standard_normal((6, 4))
    assert_array_equal(display.samples, vae.inverse_transform(codes))
    assert display.image_.get_array().shape == (2 * 10, 3 * 10)


def test_means_and_samples_have_the_same_mean(vae):
    """The mean of p(x) is the same with and without the noise of the pixels."""
    means = GeneratedSamplesDisplay.from_estimator(vae, 4000, random_state=0).samples
    noisy = GeneratedSamplesDisplay.from_estimator(
        vae, 4000, response="sample", random_state=1
    ).samples
    error = np.sqrt((means.var(axis=0) + noisy.var(axis=0)) / 4000)
    assert_array_equal(
        np.abs(means.mean(axis=0) - noisy.mean(axis=0)) < 5 * error, True
    )


def test_given_axes_and_style_are_used(vae):
    fig, ax = plt.subplots()
    display = GeneratedSamplesDisplay.from_estimator(
        vae, 4, ax=ax, im_kw={"vmin": 0, "vmax": 1, "cmap": "viridis"}
    )
    assert display.ax_ is ax
    assert display.figure_ is fig
    assert display.image_.get_clim() == (0, 1)
    assert display.image_.get_cmap().name == "viridis"


def test_invalid_arguments_of_generated_samples_are_refused(vae, autoencoder, digits):
    with pytest.raises(NotFittedError):
        GeneratedSamplesDisplay.from_estimator(VAETransformer())
    with pytest.raises(ValueError, match="needs a method sample, which VAETransformer"):
        GeneratedSamplesDisplay.from_estimator(autoencoder)
    with pytest.raises(ValueError, match="does not accept a pipeline"):
        GeneratedSamplesDisplay.from_estimator(
            make_pipeline(MinMaxScaler(), vae).fit(digits[0])
        )
    with pytest.raises(ValueError, match="response='noise' is not known"):
        GeneratedSamplesDisplay.from_estimator(vae, response="noise")
    with pytest.raises(ValueError, match="Rows of 6 values are not square images"):
        GeneratedSamplesDisplay(samples=np.zeros((2, 6))).plot()
    for shape in [(6,), 6, (2, 3, 2), (0, 6), (2.0, 3)]:
        with pytest.raises(ValueError, match="image_shape=.*: pass"):
            GeneratedSamplesDisplay(samples=np.zeros((2, 6)), image_shape=shape).plot()
    with pytest.raises(ValueError, match="n_columns=0"):
        GeneratedSamplesDisplay(samples=np.zeros((2, 4))).plot(n_columns=0)
