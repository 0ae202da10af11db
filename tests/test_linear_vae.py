"""LinearVAERecommender: against closed forms, scikit-learn's PCA and a trained VAE."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV

import skvae._linear_vae as linear
from skvae import LinearVAERecommender, VAETransformer
from skvae.baselines import Popularity
from skvae.datasets import make_interactions
from skvae.metrics import make_ranking_scorer
from skvae.model_selection import hold_out_interactions

DATA = make_interactions(900, 80, random_state=0).matrix
X, TEST = DATA[:400], DATA[400:]
PLAIN = {"user_exponent": 0, "item_exponent": 0, "output_exponent": 0}
ndcg = make_ranking_scorer("ndcg@100")


def scaled(X, user_exponent, item_exponent):
    dense = X.toarray().astype(float)
    users, items = dense.sum(axis=1), dense.sum(axis=0)
    return users[:, None] ** -user_exponent * dense * items**-item_exponent


def precise(n_components, **settings):
    """Make a model whose decomposition is exact to rounding, if it has few items."""
    return LinearVAERecommender(n_components, random_state=0, **settings)


@pytest.fixture
def more_products(monkeypatch):
    monkeypatch.setattr(linear, "N_PRODUCTS", 60)


def test_components_and_variances_are_those_of_the_decomposition(more_products):
    model = precise(12, noise_variance="mle", output_exponent=0.1).fit(X)
    A = scaled(X, 0.3, 0.3)
    _, s, Vt = np.linalg.svd(A, full_matrices=False)
    np.testing.assert_allclose(model.explained_variance_, s[:12] ** 2 / 400, rtol=1e-5)
    overlap = np.abs(np.sum(model.components_ * Vt[:12], axis=1))
    np.testing.assert_allclose(overlap, 1, atol=1e-4)
    np.testing.assert_allclose(
        model.noise_variance_, np.mean(s[12:] ** 2) / 400, rtol=1e-4
    )


def test_the_last_variance_as_noise_leaves_the_components_before_it(more_products):
    model = precise(12, noise_variance="last", output_exponent=0.1).fit(X)
    variances = np.linalg.svd(scaled(X, 0.3, 0.3), compute_uv=False) ** 2 / 400
    assert model.n_components_ == 11
    np.testing.assert_allclose(model.noise_variance_, variances[11], rtol=1e-5)
    assert not hasattr(model, "best_validation_score_")  # nothing was to choose


@pytest.mark.parametrize(
    ("n_items", "expected"), [(500, 400), (40_000, 625), (100_000, 1200)]
)
def test_automatic_number_of_components(n_items, expected, monkeypatch):
    sizes = []

    def decompose(self, X, start, *args):
        sizes.append(start.shape[1] - linear.N_EXTRA)
        raise InterruptedError

    monkeypatch.setattr(LinearVAERecommender, "_decompose", decompose)
    wide = sp.csr_array(([1.0], ([0], [0])), shape=(2000, n_items))
    with pytest.raises(InterruptedError):
        LinearVAERecommender(noise_variance="mle", output_exponent=0).fit(wide)
    assert sizes == [expected]


@pytest.mark.parametrize("n_columns", [1, 63, 64, 65, 200])
def test_the_gram_product_is_that_of_the_whole_matrix(n_columns):
    A = scaled(X, 0.3, 0.3)
    Q = torch.randn(80, n_columns, generator=torch.Generator().manual_seed(0))
    factors = (np.power(X.sum(axis=1), -0.3), np.power(X.sum(axis=0), -0.3))
    blocks = list(linear.sparse_blocks(X, *factors, n_rows=70, device="cpu"))
    assert len(blocks) == 6
    np.testing.assert_allclose(
        linear.gram_product(blocks, Q), A.T @ (A @ Q.numpy()), rtol=1e-4, atol=1e-4
    )


def test_scores_are_those_of_the_formula():
    settings = {"user_exponent": 0.2, "item_exponent": 0.4, "output_exponent": 0.25}
    model = precise(10, noise_variance=0.004, **settings).fit(X)
    V, variances = model.components_.T.astype(float), model.explained_variance_
    items = X.toarray().sum(axis=0).astype(float)
    new = TEST[:7].toarray().astype(float)
    a = new.sum(axis=1, keepdims=True) ** -0.2 * new * items**-0.4
    expected = a @ V * (1 - 0.004 / variances) @ V.T * items**0.25
    np.testing.assert_allclose(
        model.decision_function(TEST[:7]), expected, rtol=1e-4, atol=1e-6
    )
    codes = model.transform(TEST[:7])
    W = V * np.sqrt(variances - 0.004)
    posterior = a @ W @ np.linalg.inv(W.T @ W + 0.004 * np.eye(W.shape[1]))
    np.testing.assert_allclose(codes, posterior, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(
        model.inverse_transform(codes), expected, rtol=1e-4, atol=1e-6
    )


def test_density_is_that_of_the_normal_distribution():
    model = precise(6, noise_variance=0.01, output_exponent=0).fit(X)
    W = model.components_.T * np.sqrt(model.explained_variance_ - 0.01)
    covariance = W.astype(float) @ W.T + 0.01 * np.eye(80)
    items = X.toarray().sum(axis=0).astype(float)
    new = TEST[:9].toarray().astype(float)
    a = new.sum(axis=1, keepdims=True) ** -0.3 * new * items**-0.3
    np.testing.assert_allclose(
        model.score_samples(TEST[:9]),
        multivariate_normal(np.zeros(80), covariance).logpdf(a),
        rtol=1e-4,
    )


def centred():
    rng = np.random.default_rng(0)
    data = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 9)) * 2
    data += rng.normal(size=data.shape)
    return (data - data.mean(axis=0)).astype(np.float32)


def spectrum_of(A, n_components):
    """Decompose a dense matrix, which may be negative, without scales."""
    ones = [np.ones(n) for n in A.shape]
    blocks = list(linear.sparse_blocks(sp.csr_array(A), *ones, n_rows=70, device="cpu"))
    start = torch.randn(A.shape[1], A.shape[1], generator=torch.Generator())
    eigenvalues, vectors = linear.leading_eigenvectors(
        lambda Q: linear.gram_product(blocks, Q), start, 60
    )
    total = float((A.astype(float) ** 2).sum())
    counts = torch.ones(A.shape[1])
    return linear.Spectrum(eigenvalues / len(A), vectors, total / len(A), counts)


def test_centred_data_without_scales_give_probabilistic_pca():
    A = centred()
    spectrum = spectrum_of(A, 3)
    pca = PCA(3).fit(A)
    unbiased = len(A) / (len(A) - 1)  # PCA divides by n - 1
    np.testing.assert_allclose(
        spectrum.variances[:3] * unbiased, pca.explained_variance_, rtol=1e-5
    )
    noise = linear.noise_candidates(spectrum, 3)[0]
    np.testing.assert_allclose(noise * unbiased, pca.noise_variance_, rtol=1e-5)
    np.testing.assert_allclose(
        np.abs(np.sum(spectrum.components[:, :3].numpy().T * pca.components_, axis=1)),
        1,
        rtol=1e-5,
    )


def test_a_vae_without_hidden_layers_trains_to_this_optimum():
    A = centred()
    spectrum = spectrum_of(A, 3)
    noise = float(linear.noise_candidates(spectrum, 3)[0])
    module = linear.LinearVAE(9, 3, user_exponent=0.0)
    module.components = spectrum.components[:, :3]
    module.variances, module.noise_variance = (
        spectrum.variances[:3],
        torch.tensor(noise),
    )
    variances = module.variances.numpy()
    # Tipping & Bishop 1999, eq. 5 at the optimum, in nats per row.
    optimum = -0.5 * (
        9 * np.log(2 * np.pi) + np.log(variances).sum() + 6 * np.log(noise) + 9
    )
    vae = VAETransformer(
        3,
        hidden_layer_sizes=(),
        beta=1.0,
        annealing=0,
        max_iter=400,
        learning_rate_init=0.02,
        random_state=0,
    ).fit(A)
    # The bound itself converges more slowly, as the codes turn to the axes of V.
    assert np.mean(vae.elbo(A)) < optimum
    assert np.mean(vae.score_samples(A)) == pytest.approx(optimum, abs=0.1)
    assert vae.noise_variance_ == pytest.approx(noise, rel=0.05)
    trained = vae.inverse_transform(vae.transform(A))
    V = module.components.numpy()
    closed = A @ V * (1 - noise / variances) @ V.T
    assert np.linalg.norm(trained - closed) < 0.05 * np.linalg.norm(closed)


def test_blocks_of_rows_give_the_components_of_the_whole(monkeypatch):
    whole = precise(8).fit(X)
    monkeypatch.setattr(linear, "BLOCK_SIZE", 28 * 13)
    blocks = precise(8).fit(X)
    np.testing.assert_allclose(
        blocks.explained_variance_, whole.explained_variance_, rtol=1e-5
    )
    np.testing.assert_allclose(
        blocks.decision_function(TEST), whole.decision_function(TEST), atol=1e-4
    )


def test_dependent_columns_are_orthonormalized_too():
    rng = np.random.default_rng(0)
    Y = rng.normal(size=(50, 6)).astype(np.float32)
    Y[:, 3] = Y[:, 0] * (1 + 1e-6)
    Y[:, 4] = 0
    Q = linear.orthonormalized(torch.from_numpy(Y)).numpy()
    np.testing.assert_allclose(Q.T @ Q, np.eye(6), atol=1e-5)
    np.testing.assert_allclose(Q @ (Q.T @ Y), Y, atol=1e-4)


def test_components_below_the_noise_are_left_out():
    full = precise(30, noise_variance=0.0, output_exponent=0).fit(X)
    noise = full.explained_variance_[9]
    model = precise(30, noise_variance=noise * 1.001, output_exponent=0).fit(X)
    assert model.n_components_ == 9
    assert model.transform(X).shape == (400, 9)
    assert len(model.get_feature_names_out()) == 9


def test_noise_above_every_variance_is_refused():
    with pytest.raises(
        ValueError, match="noise_variance=100 is not below the greatest"
    ):
        precise(5, noise_variance=100.0).fit(X)


def test_more_components_than_users_or_items_are_cut():
    small = X[:6]
    model = precise(400, noise_variance=0.0).fit(small)
    assert 1 <= model.n_components_ <= 6
    assert model.recommend(small, n_items=3).shape == (6, 3)


def test_the_choice_is_the_best_of_the_candidates_for_the_users_held_out():
    fold_in, held_out = hold_out_interactions(TEST, random_state=0)
    chosen = precise(32).fit(X, X_val=fold_in, y_val=held_out)
    scores = {}
    for exponent in linear.OUTPUT_EXPONENTS:
        for rank in (32, 16, 8):
            variance = precise(32, noise_variance=0.0).fit(X).explained_variance_
            given = precise(
                32, noise_variance=variance[rank - 1], output_exponent=exponent
            )
            given.fit(X, X_val=fold_in, y_val=held_out)
            scores[rank, exponent] = given.best_validation_score_
            scorer = ndcg(given, fold_in, held_out)
            assert given.best_validation_score_ == pytest.approx(scorer)
    best, noise = chosen.best_validation_score_, chosen.noise_variance_
    first = linear.OUTPUT_EXPONENTS[0]
    assert best >= max(scores[rank, first] for rank in (32, 16, 8))
    for exponent in linear.OUTPUT_EXPONENTS:
        given = precise(32, noise_variance=noise, output_exponent=exponent)
        given.fit(X, X_val=fold_in, y_val=held_out)
        assert best >= given.best_validation_score_ - 1e-6


def test_users_held_out_come_back_for_the_final_model():
    """The final model is close to that of all users with the values chosen."""
    auto = precise(20).fit(X)
    given = precise(
        20, noise_variance=auto.noise_variance_, output_exponent=auto.output_exponent_
    ).fit(X)
    np.testing.assert_allclose(
        auto.explained_variance_[:8], given.explained_variance_[:8], rtol=0.02
    )
    assert ndcg(auto, TEST) == pytest.approx(ndcg(given, TEST), abs=0.01)


def test_it_ranks_better_than_popularity_and_shrinkage_helps():
    model = precise(40).fit(X)
    assert ndcg(model, TEST) > ndcg(Popularity().fit(X), TEST) + 0.02
    unshrunk = precise(40, noise_variance=0.0).fit(X)
    assert ndcg(model, TEST) > ndcg(unshrunk, TEST)


def test_without_users_to_hold_out_the_noise_is_the_most_likely():
    ones = sp.csr_array(np.eye(6)[[0, 1, 2, 3, 0, 1, 2, 0, 1, 0]])
    model = precise(3).fit(ones)
    assert not hasattr(model, "best_validation_score_")
    assert model.output_exponent_ == linear.OUTPUT_EXPONENTS[0]


def test_without_noise_there_is_no_density():
    model = precise(5, noise_variance=0.0).fit(X)
    with pytest.raises(ValueError, match="There is no density"):
        model.score_samples(X)


def test_values_whose_squares_overflow_are_refused():
    with pytest.raises(ValueError, match="too large to be squared"):
        LinearVAERecommender(2, **PLAIN).fit(X * np.float32(1e30))


def test_the_same_seed_gives_the_same_bits_and_another_close_results():
    one, same = precise(20).fit(X), precise(20).fit(X)
    np.testing.assert_array_equal(one.decision_function(X), same.decision_function(X))
    settings = {"noise_variance": "mle", "output_exponent": 0.1}
    one, other = (
        LinearVAERecommender(20, random_state=seed, **settings).fit(X)
        for seed in (0, 1)
    )
    assert ndcg(one, TEST) == pytest.approx(ndcg(other, TEST), abs=0.01)


def test_items_without_interactions_score_zero():
    padded = sp.csr_array(sp.hstack([X, sp.csr_array((400, 2))]))
    model = precise(5, output_exponent=0.0).fit(padded)
    assert (model.decision_function(padded)[:, -2:] == 0).all()


def test_a_search_over_its_parameters():
    search = GridSearchCV(
        precise(20),
        {"n_components": [5, 20], "item_exponent": [0.3, 0.5]},
        scoring=ndcg,
        cv=2,
        error_score="raise",
    ).fit(X)
    assert search.best_estimator_.recommend(TEST[:3], n_items=4).shape == (3, 4)


def test_verbose_shows_the_steps(capsys):
    precise(5).fit(X)
    assert capsys.readouterr().err == ""
    precise(5, verbose=1).fit(X)
    assert "LinearVAERecommender" in capsys.readouterr().err
