import copy
import pickle
import warnings
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.linalg import subspace_angles
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.distributions import Normal, kl_divergence

from skvae import VAETransformer

SMALL = {
    "n_components": 3,
    "hidden_layer_sizes": (8,),
    "batch_size": 20,
    "max_iter": 5,
    "random_state": 0,
}
LINEAR = {"hidden_layer_sizes": (), "learning_rate_init": 0.02, "max_iter": 200}
LIKELIHOODS = ["gaussian", "bernoulli", "multinomial", "poisson"]


def factor_data(n_samples=1000, n_features=20, noise=0.5, seed=0):
    """Draw rows with five strong factors, after which the spectrum has a gap."""
    rng = np.random.default_rng(seed)
    loadings = rng.normal(size=(5, n_features)) * np.linspace(3, 1.5, 5)[:, None]
    X = rng.normal(size=(n_samples, 5)) @ loadings + 5 * rng.normal(size=n_features)
    return X + noise * rng.normal(size=X.shape)


@pytest.fixture
def counts():
    rng = np.random.default_rng(0)
    rates = np.exp(rng.normal(size=(60, 2)) @ rng.normal(size=(2, 7)))
    return rng.poisson(rates.clip(max=10)).astype(np.float32)


def data_for(likelihood, counts):
    return np.minimum(counts, 1) if likelihood == "bernoulli" else counts


# Comparison with independent references


@pytest.mark.parametrize(
    ("X", "n_components", "has_gap"),
    [
        (factor_data(), 5, True),
        (StandardScaler().fit_transform(load_breast_cancer().data), 5, True),
        (StandardScaler().fit_transform(load_digits().data), 10, False),
    ],
    ids=["generated", "breast_cancer", "digits"],
)
def test_linear_model_reaches_probabilistic_pca(X, n_components, has_gap):
    """The optimum of the bound is that of PCA (Tipping & Bishop 1999)."""
    pca = PCA(n_components).fit(X)
    model = VAETransformer(n_components, random_state=0, **LINEAR).fit(X)
    bound = model.elbo(X, n_draws=128).mean()
    assert bound == pytest.approx(pca.score(X), rel=0.01)
    assert model.noise_variance_ == pytest.approx(pca.noise_variance_, rel=0.05)
    if has_gap:
        at_0 = model.inverse_transform(np.zeros((1, n_components)))
        loadings = model.inverse_transform(np.eye(n_components)) - at_0
        angles = subspace_angles(loadings.T, pca.components_.T)
        assert np.degrees(angles.max()) < 5


def test_noise_by_feature_reaches_factor_analysis():
    scales = np.geomspace(0.1, 100, 20)
    X = factor_data() * scales + 3 * np.random.default_rng(1).normal(size=(1000, 20))
    reference = FactorAnalysis(5).fit(X)
    model = VAETransformer(5, noise_variance="feature", random_state=0, **LINEAR)
    bound = model.fit(X).elbo(X, n_draws=128).mean()
    assert bound == pytest.approx(reference.score(X), rel=0.01)
    assert model.noise_variance_.shape == (20,)


def test_log_probability_of_a_linear_model_is_that_of_its_normal_distribution():
    """With any weights, p(x) = N(b, W W' + s^2 I) in closed form."""
    X = factor_data(100, 6)
    model = VAETransformer(2, random_state=0, hidden_layer_sizes=(), max_iter=5).fit(X)
    at_0 = model.inverse_transform(np.zeros((1, 2)))
    loadings = (model.inverse_transform(np.eye(2)) - at_0).astype(np.float64)
    covariance = loadings.T @ loadings + model.noise_variance_ * np.eye(6)
    exact = torch.distributions.MultivariateNormal(
        torch.from_numpy(at_0[0]).double(), torch.from_numpy(covariance)
    ).log_prob(torch.from_numpy(X))
    found = model.score_samples(X, n_draws=5000)
    np.testing.assert_allclose(found.mean(), exact.mean(), rtol=0.005)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_log_probability_rises_with_draws_above_the_bound(counts, likelihood):
    X = data_for(likelihood, counts)
    model = VAETransformer(**SMALL, likelihood=likelihood).fit(X)

    def over_noises(method, n_draws):
        """Mean over the rows under thirty noises: its mean and standard error."""
        means = []
        for seed in range(30):
            model._state.seed = seed  # the noise comes from it
            means.append(getattr(model, method)(X, n_draws=n_draws).mean())
        return np.mean(means), np.std(means) / 30**0.5

    bound, *few_draws, many_draws = (
        over_noises(*arguments)
        for arguments in [
            ("elbo", 16),
            ("score_samples", 2),
            ("score_samples", 8),
            ("score_samples", 64),
        ]
    )
    rising = [bound, *few_draws, many_draws]
    for (lower, error), (higher, other_error) in pairwise(rising):
        assert higher > lower - 3 * (error + other_error)
    assert many_draws[0] > bound[0]
    np.testing.assert_array_equal(
        model.score_samples(X), model.score_samples(X, n_draws=64)
    )
    assert model.score(X) == pytest.approx(model.score_samples(X).mean(), rel=1e-5)
    assert isinstance(model.score(X), float)


def test_kl_of_components_is_that_of_torch(counts):
    model = VAETransformer(**SMALL).fit(counts)
    with torch.no_grad():
        mean, log_variance = model._module.posterior(torch.from_numpy(counts))
    posterior = Normal(mean, torch.exp(0.5 * log_variance))
    kl = kl_divergence(posterior, Normal(torch.zeros_like(mean), 1.0))
    np.testing.assert_allclose(model.component_kl_, kl.mean(dim=0), rtol=1e-4)


def test_components_in_use_are_as_many_as_the_factors():
    """The data have five factors: the widest gap in the KL is after five components."""
    model = VAETransformer(8, random_state=0, **LINEAR).fit(factor_data(noise=1.0))
    kl = np.sort(model.component_kl_)[::-1]
    assert np.argmax(kl[:-1] / kl[1:]) == 4


def test_samples_have_the_moments_of_the_linear_model():
    """x ~ N(b, W'W + s^2 I) in closed form, within the error of so many draws."""
    model = VAETransformer(5, random_state=0, **LINEAR).fit(factor_data(noise=1.0))
    drawn = model.sample(20_000, random_state=0).astype(np.float64)
    b = model.inverse_transform(np.zeros((1, 5)))[0].astype(np.float64)
    W = model.inverse_transform(np.eye(5)) - b
    covariance = W.T @ W + np.diag(np.broadcast_to(model.noise_variance_, len(b)))
    variance = np.diag(covariance)
    mean_error = np.sqrt(variance / 20_000)
    cov_error = np.sqrt((np.outer(variance, variance) + covariance**2) / 20_000)
    assert (np.abs(drawn.mean(axis=0) - b) < 5 * mean_error).all()
    assert (np.abs(np.cov(drawn.T) - covariance) < 5 * cov_error).all()


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_untrained_model_starts_from_the_means(counts, likelihood):
    X = data_for(likelihood, counts)
    settings = {**SMALL, "learning_rate_init": 1e-12, "max_iter": 1}
    model = VAETransformer(**settings, likelihood=likelihood).fit(X)
    means = X.mean(axis=0)
    if likelihood == "multinomial":
        means = means / means.sum()
    found = model.inverse_transform(np.zeros((1, 3)))[0]
    np.testing.assert_allclose(found, means, rtol=0.05, atol=0.02)


def test_permuting_the_rows_permutes_the_codes(counts):
    model = VAETransformer(**SMALL).fit(counts)
    order = np.random.default_rng(0).permutation(len(counts))
    np.testing.assert_array_equal(
        model.transform(counts[order]), model.transform(counts)[order]
    )


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_samples_are_in_the_range_of_the_likelihood(counts, likelihood):
    X = data_for(likelihood, counts)
    model = VAETransformer(**SMALL, likelihood=likelihood).fit(X)
    drawn = model.sample(200, random_state=0)
    assert drawn.shape == (200, 7)
    np.testing.assert_array_equal(drawn, model.sample(200, random_state=0))
    if likelihood == "gaussian":
        return
    np.testing.assert_array_equal(drawn, np.rint(drawn))
    assert drawn.min() >= 0
    if likelihood == "bernoulli":
        assert drawn.max() <= 1
    if likelihood == "multinomial":
        assert set(drawn.sum(axis=1)) <= set(X.sum(axis=1))


# Input


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_sparse_and_dense_rows_give_the_same_model(counts, container, likelihood):
    X = data_for(likelihood, counts)
    dense = VAETransformer(**SMALL, likelihood=likelihood).fit(X)
    C = container(sp.csr_array(X))
    model = VAETransformer(**SMALL, likelihood=likelihood).fit(C)
    np.testing.assert_allclose(model.transform(C), dense.transform(X), atol=1e-3)
    np.testing.assert_allclose(model.elbo(C), dense.elbo(X), rtol=1e-3)


def test_bernoulli_clips_values_above_one_with_a_warning(counts, container):
    X = container(sp.csr_array(counts))
    model = VAETransformer(**SMALL, likelihood="bernoulli")
    with pytest.warns(UserWarning, match=rf"up to {counts.max():g}.*MinMaxScaler"):
        model.fit(X)
    before = counts.copy()
    with pytest.warns(UserWarning, match="MinMaxScaler"):
        found = model.transform(X)
    np.testing.assert_array_equal(counts, before)
    np.testing.assert_allclose(
        found, model.transform(np.minimum(counts, 1)), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("likelihood", ["bernoulli", "multinomial", "poisson"])
def test_negative_values_are_refused_by_likelihoods_of_counts(likelihood):
    with pytest.raises(ValueError, match="Negative values.*" + likelihood):
        VAETransformer(likelihood=likelihood).fit(-np.ones((4, 3)))


EXTREMES = {
    "means of 1e6": lambda X: X + 1e6,
    "all of 1e6": lambda X: 1e6 * X,
    "scales apart": lambda X: X * np.geomspace(1e-12, 1e12, X.shape[1]),
    "tiny": lambda X: 1e-35 * X,
    "huge": lambda X: 1e30 * X,
    "constant columns": lambda X: np.where(np.arange(X.shape[1]) % 2, X, 1e6 + 0.3),
    "all constant": lambda X: np.full_like(X, 0.7),
    "all zeros": lambda X: np.zeros_like(X),
    "one sample": lambda X: X[:1],
    "one feature": lambda X: X[:, :1],
    "one of each": lambda X: X[:1, :1],
    "an outlier": lambda X: np.vstack([X, 1e6 * X[:1] + 1e6]),
}


@pytest.mark.parametrize("extreme", EXTREMES)
@pytest.mark.parametrize(
    "settings",
    [
        {"likelihood": "gaussian"},
        {"likelihood": "gaussian", "noise_variance": "feature"},
        {"likelihood": "gaussian", "hidden_layer_sizes": ()},
        {"likelihood": "gaussian", "variational": False},
        {"likelihood": "bernoulli"},
        {"likelihood": "multinomial"},
        {"likelihood": "poisson"},
    ],
    ids=str,
)
def test_extreme_input_gives_finite_results_or_an_error(extreme, settings):
    X = EXTREMES[extreme](np.random.default_rng(0).poisson(2.0, (40, 6)) + 0.0)
    model = VAETransformer(**{**SMALL, **settings})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of clipping, of collapse
        try:
            model.fit(X)
        except ValueError as error:
            if settings["likelihood"] == "gaussian":
                raise
            assert "scale X" in str(error)  # noqa: PT017
            return
        results = [
            model.transform(X),
            model.inverse_transform(model.transform(X)),
            model.loss_curve_,
        ]
        if model.variational:
            results += [model.elbo(X), model.score_samples(X), model.sample(5)]
            results += [model.component_kl_, model.score(X)]
    for result in results:
        assert np.isfinite(result).all()


@pytest.mark.parametrize("variational", [True, False])
def test_rows_far_from_the_training_data_give_finite_results(variational):
    X = np.random.default_rng(0).normal(size=(60, 4))
    model = VAETransformer(**SMALL, variational=variational).fit(X)
    far = np.array([[1e38, -1e38, 0, 1], [1e6, 1e6, 1e6, 1e6]])
    assert np.isfinite(model.transform(far)).all()
    if variational:
        assert np.isfinite(model.score_samples(far)).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"likelihood": "normal"}, "likelihood"),
        ({"noise_variance": 0.0}, "noise_variance"),
        ({"beta": "auto"}, "beta"),
        ({"encoder": "mlp"}, "encoder"),
        ({"encoder": nn.Linear(7, 6)}, "encoder is a torch.nn.Module.*factory"),
        ({"n_components": 0}, "n_components"),
    ],
)
def test_bad_parameters_are_refused_by_name(counts, parameters, message):
    with pytest.raises(ValueError, match=message):
        VAETransformer(**{**SMALL, **parameters}).fit(counts)


def test_codes_of_another_width_are_refused(counts):
    model = VAETransformer(**SMALL).fit(counts)
    with pytest.raises(ValueError, match="Z has 2 columns but the model has 3"):
        model.inverse_transform(np.zeros((1, 2)))


# Training


def test_loss_is_split_into_reconstruction_and_weighted_kl(counts):
    model = VAETransformer(**SMALL, beta=0.5, annealing=0).fit(counts)
    assert model.n_iter_ == len(model.loss_curve_) == 5
    np.testing.assert_allclose(
        model.loss_curve_,
        np.array(model.reconstruction_curve_) + 0.5 * np.array(model.kl_curve_),
        rtol=1e-5,
    )


def test_collapse_warns_and_says_what_to_do():
    X = np.random.default_rng(0).normal(size=(200, 5))
    with pytest.warns(ConvergenceWarning, match="collapsed.*Lower beta"):
        model = VAETransformer(**{**SMALL, "max_iter": 60}, beta=20.0).fit(X)
    assert (model.component_kl_ < 0.01).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        VAETransformer(**SMALL).fit(factor_data(200))


@pytest.mark.parametrize("variational", [True, False])
def test_own_validation_rows_are_scored_by_the_bound(counts, variational):
    model = VAETransformer(**SMALL, variational=variational)
    model.fit(counts[:40], X_val=counts[40:])
    assert len(model.validation_scores_) == 5
    if variational:
        assert model.best_validation_score_ == pytest.approx(
            model.elbo(counts[40:]).mean(), rel=1e-5
        )


def test_a_single_row_cannot_be_held_out(counts):
    with pytest.raises(ValueError, match="held out.*n_samples = 1"):
        VAETransformer(**SMALL, early_stopping=True).fit(counts[:1])


def test_partial_fit_keeps_the_units_of_the_first_rows(counts):
    whole = VAETransformer(**SMALL).fit(counts)
    steps = VAETransformer(**SMALL)
    for _ in range(5):
        steps.partial_fit(counts)
    np.testing.assert_array_equal(steps.transform(counts), whole.transform(counts))
    location = steps._module.likelihood.location.clone()
    steps.partial_fit(counts + 100)
    assert torch.equal(steps._module.likelihood.location, location)


def test_weight_decay_leaves_noise_and_biases_alone(counts):
    settings = {**SMALL, "learning_rate_init": 1e-6, "lr_schedule": None}
    model = VAETransformer(**settings, alpha=1e6).fit(counts)
    plain = VAETransformer(**settings).fit(counts)
    for name, value in model._module.named_parameters():
        if name.endswith("weight"):
            assert value.abs().max() <= 1.1e-6
    assert model.noise_variance_ == pytest.approx(plain.noise_variance_, rel=1e-3)


def test_autoencoder_has_no_distribution_and_a_linear_code(counts):
    model = VAETransformer(**SMALL, variational=False).fit(counts)
    assert not hasattr(model, "component_kl_")
    for method in ("sample", "score_samples", "elbo", "score"):
        assert not hasattr(model, method)
        assert hasattr(VAETransformer(), method)
    assert model.transform(counts).min() < 0


def test_linear_autoencoder_spans_the_principal_subspace():
    X = factor_data()
    model = VAETransformer(5, variational=False, random_state=0, **LINEAR).fit(X)
    pca = PCA(5).fit(X)
    error = ((model.inverse_transform(model.transform(X)) - X) ** 2).mean()
    best = ((pca.inverse_transform(pca.transform(X)) - X) ** 2).mean()
    assert best < error < 1.05 * best


@pytest.mark.parametrize("noise_variance", ["shared", "feature"])
def test_noise_variance_may_exceed_float32(noise_variance):
    X = np.random.default_rng(0).normal(size=(60, 3))
    scales, found = (1.0, 2.0**70), []
    for scale in scales:
        model = VAETransformer(
            1,
            hidden_layer_sizes=(4,),
            noise_variance=noise_variance,
            max_iter=3,
            random_state=0,
        )
        found.append(model.fit(scale * X).noise_variance_)
    # Scaling by a power of two does not change the bits in standard units.
    np.testing.assert_allclose(found[1], np.multiply(found[0], 2.0**140), rtol=1e-5)


def test_only_the_gaussian_has_a_noise_variance(counts):
    fixed = VAETransformer(**SMALL, noise_variance=0.3).fit(counts)
    assert fixed.noise_variance_ == pytest.approx(0.3)
    poisson = VAETransformer(**SMALL, likelihood="poisson").fit(counts)
    assert not hasattr(poisson, "noise_variance_")


# Own networks


class Convolutional(nn.Module):
    """Network of eight by eight pixels, with dropout from torch's generator."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)),
            nn.Conv2d(1, 4, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(64, n_out),
        )

    def forward(self, x):
        return self.layers(x)


def make_decoder(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, 16), nn.ReLU(), nn.Linear(16, n_out))


@pytest.mark.parametrize("variational", [True, False])
def test_custom_networks_train_reproducibly_and_clone(variational):
    X = load_digits().data[:100] / 16
    model = VAETransformer(
        **SMALL, encoder=Convolutional, decoder=make_decoder, variational=variational
    )
    before = torch.get_rng_state()
    codes = model.fit(X).transform(X)
    assert torch.equal(torch.get_rng_state(), before)
    assert codes.shape == (100, 3)
    twin = clone(model)
    assert not hasattr(twin, "n_iter_")
    np.testing.assert_array_equal(twin.fit(X).transform(X), codes)
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.transform(X), codes)
    assert copy.deepcopy(model).partial_fit(X).n_iter_ == 6


def test_custom_networks_get_dense_rows_of_sparse_data(counts):
    settings = {**SMALL, "encoder": make_decoder, "likelihood": "poisson"}
    sparse = VAETransformer(**settings).fit(sp.csr_array(counts))
    dense = VAETransformer(**settings).fit(counts)
    np.testing.assert_allclose(
        sparse.transform(counts), dense.transform(counts), atol=1e-4
    )


# Within scikit-learn


def test_works_in_pipelines_unions_and_column_transformers():
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(factor_data(80, 6), columns=list("abcdef"))
    model = VAETransformer(**SMALL)
    for composed, width in [
        (make_pipeline(StandardScaler(), model), 3),
        (make_union(PCA(2), model), 5),
        (ColumnTransformer([("vae", model, ["a", "b"])], remainder="passthrough"), 7),
    ]:
        out = composed.set_output(transform="pandas").fit_transform(X)
        assert out.shape == (80, width)
    assert "vae__vaetransformer0" in out.columns
    model.set_output(transform="polars")
    assert model.fit_transform(X).columns[0] == "vaetransformer0"


def test_grid_search_by_its_own_score_finds_the_number_of_factors():
    X = factor_data(300)
    search = GridSearchCV(
        VAETransformer(random_state=0, **{**LINEAR, "max_iter": 60}),
        {"n_components": [1, 5]},
        cv=2,
        error_score="raise",
    ).fit(X)
    assert search.best_params_ == {"n_components": 5}
    assert search.score(X) == pytest.approx(search.best_estimator_.score(X))


def test_generated_digits_teach_a_classifier():
    """On real digits it has 90 % of the accuracy of the classifier that labelled."""
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X / 16, y, stratify=y, random_state=0
    )
    classifier = LogisticRegression(max_iter=1000).fit(X_train, y_train)
    model = VAETransformer(10, random_state=0).fit(X_train)
    generated = model.sample(3000, random_state=0)
    taught = LogisticRegression(max_iter=1000)
    taught.fit(generated, classifier.predict(generated))
    assert taught.score(X_test, y_test) >= 0.9 * classifier.score(X_test, y_test)


def test_bernoulli_does_not_change_the_callers_matrix():
    indices, indptr = np.array([2, 0, 0]), np.array([0, 3])
    X = sp.csr_array((np.array([0.5, 0.25, 0.25]), indices, indptr), shape=(1, 3))
    vae = VAETransformer(**SMALL, likelihood="bernoulli").fit(np.eye(3))
    vae.transform(X)
    assert X.indices.tolist() == [2, 0, 0]
    assert X.data.tolist() == [0.5, 0.25, 0.25]


def test_bernoulli_clips_the_sum_of_duplicates():
    X = sp.csr_array((np.array([0.75, 0.75]), np.array([0, 0]), [0, 2]), shape=(1, 3))
    vae = VAETransformer(**SMALL, likelihood="bernoulli").fit(np.eye(3))
    with pytest.warns(UserWarning, match="X goes up to 1.5"):
        codes = vae.transform(X)
    np.testing.assert_array_equal(codes, vae.transform([[1.0, 0.0, 0.0]]))


@pytest.mark.parametrize(
    "parameters",
    [
        {"likelihood": "bernoulli"},
        {"likelihood": None},
        {"likelihood": []},
        {"n_components": "many"},
        {"hidden_layer_sizes": 3},
    ],
)
def test_a_fitted_model_keeps_its_likelihood_and_widths(parameters):
    X = np.random.default_rng(0).normal(size=(30, 4))
    vae = VAETransformer(**SMALL).fit(X)
    codes = vae.transform(X)
    np.testing.assert_array_equal(vae.set_params(**parameters).transform(X), codes)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_failed_training_does_not_change_the_moments(method):
    X = np.random.default_rng(0).poisson(1.0, (30, 4)).astype(float)
    settings = {**SMALL, "likelihood": "poisson", "warm_start": True}
    vae = VAETransformer(**settings).fit(X)
    before = copy.deepcopy(vae._state.optimizer)
    with pytest.raises(ValueError, match="scale X"):
        getattr(vae, method)(np.full((30, 4), 1e38))
    for index, moments in before.items():
        for name, value in moments.items():
            assert torch.equal(vae._state.optimizer[index][name], value)


@pytest.mark.parametrize("method", ["sample", "elbo", "score_samples"])
def test_numbers_of_draws_are_integers(method):
    vae = VAETransformer(**SMALL).fit(np.eye(3))
    arguments = () if method == "sample" else (np.eye(3),)
    name = "n_samples" if method == "sample" else "n_draws"
    with pytest.raises(ValueError, match=f"{name}=True"):
        getattr(vae, method)(*arguments, **{name: True})


@pytest.mark.parametrize(
    "rows",
    [
        [[1.0, 2.0], [3.0]],
        [[10**400, 1, 1]],
        {"a": 1},
        torch.ones(2, 3, requires_grad=True),
        torch.eye(3).to_sparse(),
    ],
    ids=["ragged", "huge integer", "dict", "with gradient", "sparse tensor"],
)
def test_rows_that_are_not_a_matrix_are_refused_by_name(rows):
    with pytest.raises((TypeError, ValueError), match="^X is a .* cannot be used: "):
        VAETransformer(**SMALL).fit(rows)


def test_samples_are_clipped_to_float32():
    X = 1e38 * np.random.default_rng(0).integers(0, 4, (6, 8))
    vae = VAETransformer(**SMALL).fit(X)
    assert np.isfinite(vae.sample(200, random_state=0)).all()


def test_codes_of_absurd_magnitude_are_refused():
    vae = VAETransformer(**SMALL).fit(np.eye(3))
    with pytest.raises(ValueError, match="Z holds a value of magnitude 1e\\+38"):
        vae.inverse_transform(np.full((2, 3), 1e38))
