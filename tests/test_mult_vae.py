import copy

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from skorch.callbacks import Callback, LRScheduler
from torch.distributions import Multinomial, Normal, kl_divergence

from skvae import MultVAERecommender
from skvae.baselines import Popularity
from skvae.datasets import make_interactions
from skvae.metrics import make_ranking_scorer
from skvae.model_selection import hold_out_interactions

SMALL = {
    "n_components": 6,
    "batch_size": 20,
    "max_iter": 4,
    "random_state": 0,
    "initial_log_variance": 0.0,
    "label_smoothing": 0.0,
    "learning_rate_init": 0.002,
    "lr_schedule": None,
    "tied_weights": False,
}


def weights(estimator):
    return {k: v.numpy().copy() for k, v in estimator._module.state_dict().items()}


def assert_same_weights(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


class LearningRates(Callback):
    seen = []

    def on_batch_end(self, net, **kwargs):
        self.rate_ = net.optimizer_.param_groups[0]["lr"]

    def on_epoch_end(self, net, **kwargs):
        self.seen.append(self.rate_)


# The model


def test_ranks_better_than_popularity_for_new_users():
    X = make_interactions(600, 120, random_state=0).matrix
    train, (fold_in, held_out) = X[:500], hold_out_interactions(X[500:], random_state=0)
    model = MultVAERecommender(
        16, batch_size=50, max_iter=40, learning_rate_init=0.01, random_state=0
    ).fit(train)

    popularity = Popularity().fit(train)
    scorer = make_ranking_scorer("ndcg@20")
    assert scorer(model, fold_in, held_out) > 1.1 * scorer(
        popularity, fold_in, held_out
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_catalogue_too_wide_for_a_batch_of_logits_is_fitted_in_blocks(
    interactions, monkeypatch, precision
):
    settings = {**SMALL, "label_smoothing": 0.5, "precision": precision}
    expected = MultVAERecommender(**settings).fit(interactions)
    monkeypatch.setattr("skvae._nn._likelihoods.MAX_LOGITS", 0)
    monkeypatch.setattr("skvae._nn._likelihoods.LOGITS_IN_BLOCK", 256)
    found = MultVAERecommender(**settings).fit(interactions)
    rounding = 1e-5 if precision == "float32" else 2**-8
    np.testing.assert_allclose(found.loss_curve_, expected.loss_curve_, rtol=rounding)
    scores, same = (m.decision_function(interactions) for m in (found, expected))
    np.testing.assert_allclose(scores, same, atol=10 * rounding * np.abs(same).max())


@pytest.mark.parametrize("variational", [False, True])
@pytest.mark.parametrize(
    "network",
    [
        {"tied_weights": True},
        {"tied_weights": True, "hidden_layer_sizes": (12,)},
        {"tied_weights": False, "hidden_layer_sizes": (12,)},
    ],
    ids=str,
)
def test_fits_with_sampled_items_rank_nearly_as_well(network, variational):
    X = make_interactions(500, 600, n_interactions_per_user=30, random_state=0).matrix
    train, (fold_in, held_out) = X[:400], hold_out_interactions(X[400:], random_state=0)
    settings = {"batch_size": 20, "max_iter": 10, "random_state": 0, **network}
    scorer = make_ranking_scorer("ndcg@100")
    model = MultVAERecommender(16, variational=variational, **settings).fit(train)
    exact = scorer(model, fold_in, held_out)
    sampled = scorer(
        model.set_params(n_sampled_items=100).fit(train), fold_in, held_out
    )
    assert (
        sampled > 0.9 * exact > 1.1 * scorer(Popularity().fit(train), fold_in, held_out)
    )


def test_sampled_items_are_seeded_and_others_do_not_move():
    X = make_interactions(60, 400, n_interactions_per_user=5, random_state=0).matrix
    settings = {**SMALL, "tied_weights": True, "max_iter": 1, "n_sampled_items": 3}
    one, same = (MultVAERecommender(**settings).fit(X) for _ in range(2))
    assert_same_weights(weights(one), weights(same))
    start = weights(one.set_params(learning_rate_init=1e-30).fit(X))
    moved = weights(same)["encoder.layers.0.weight"] != start["encoder.layers.0.weight"]
    used = np.bincount(X.indices, minlength=400) > 0
    assert moved.any(axis=1)[used].all()
    assert not moved.any(axis=1).all()


@pytest.mark.parametrize("tied", [False, True])
def test_permuting_items_of_weights_and_data_permutes_the_scores(interactions, tied):
    settings = {**SMALL, "tied_weights": tied, "hidden_layer_sizes": (9,)}
    model = MultVAERecommender(**settings).fit(interactions)
    order = np.random.default_rng(0).permutation(interactions.shape[1])
    permuted = copy.deepcopy(model)
    encoder, decoder = permuted._module.encoder, permuted._module.decoder
    by_item = [encoder.layers[0].weight]
    if tied:
        by_item += [decoder.biases[-1]]
    else:
        by_item += [decoder.layers[-1].weight.T, decoder.layers[-1].bias]
    with torch.no_grad():
        for parameter in by_item:
            parameter.copy_(parameter[order].clone())
    X = interactions[:, order]
    # Sums over items are taken in another order, so the bits may differ.
    np.testing.assert_allclose(
        permuted.decision_function(X),
        model.decision_function(interactions)[:, order],
        rtol=1e-5,
        atol=1e-6,
    )


def test_loss_of_an_epoch_is_the_elbo_of_torch_distributions(interactions):
    """Compared with independent formulas, for one full-batch step without dropout."""
    X = interactions
    settings = {"dropout": 0.0, "batch_size": X.shape[0], "annealing": 0, "beta": 0.3}
    start = MultVAERecommender(**{**SMALL, "max_iter": 1, **settings})
    losses = []
    for seed in range(40):
        model = copy.deepcopy(start).set_params(learning_rate_init=1e-12)
        losses.append(_one_epoch(model, X, seed))
    model._module.double()
    dense = torch.from_numpy(X.toarray()).double()
    with torch.no_grad():
        mean, log_variance = model._module.posterior(dense)
    posterior = Normal(mean, torch.exp(0.5 * log_variance))
    kl = kl_divergence(posterior, Normal(torch.zeros_like(mean), 1.0)).sum(dim=1)
    with torch.no_grad():
        logits = model._module.decode(posterior.sample((30,)).flatten(0, 1))
    counts = dense.repeat(30, 1)
    coefficient = torch.lgamma(counts.sum(1) + 1) - torch.lgamma(counts + 1).sum(1)
    log_prob = torch.stack(
        [
            Multinomial(int(n), logits=f, validate_args=False).log_prob(x)
            for n, f, x in zip(counts.sum(1), logits, counts, strict=True)
        ]
    )
    nll = (coefficient - log_prob).view(30, -1).mean(dim=1)
    losses = np.array(losses)
    standard_error = losses[:, 1].std() / 40**0.5 + nll.std().item() / 30**0.5
    assert abs(losses[:, 1].mean() - nll.mean().item()) < 5 * standard_error
    np.testing.assert_allclose(losses[:, 2], kl.mean().item(), rtol=1e-5)
    np.testing.assert_allclose(losses[:, 0], losses[:, 1] + 0.3 * losses[:, 2])


def _one_epoch(model, X, seed):
    model._check_rows(X, reset=True)
    model.beta_ = model.beta
    model._start(0, X)  # the same weights each time
    model._state.seed = seed  # other noise
    model._run(X, 1)
    return model.loss_curve_[0], model.reconstruction_curve_[0], model.kl_curve_[0]


def test_mult_dae_has_no_kl_and_no_distribution(interactions):
    model = MultVAERecommender(**SMALL, variational=False).fit(interactions)
    assert model.kl_curve_ == [0.0] * 4
    assert model.beta_ == 0.0
    assert np.abs(model.transform(interactions)).max() <= 1.0  # tanh on the code
    for method in ("sample", "score_samples", "elbo"):
        assert not hasattr(model, method)
        assert hasattr(MultVAERecommender(), method)


def test_counts_weigh_as_the_multinomial_says(interactions):
    """Three times the counts have three times the reconstruction loss."""
    settings = {**SMALL, "dropout": 0.0, "learning_rate_init": 1e-12, "max_iter": 1}
    once = MultVAERecommender(**settings).fit(interactions)
    thrice = MultVAERecommender(**settings).fit(3 * interactions)
    np.testing.assert_allclose(
        thrice.reconstruction_curve_,
        3 * np.array(once.reconstruction_curve_),
        rtol=1e-6,
    )
    # Rows are normalised, so the posterior is the same.
    np.testing.assert_allclose(thrice.kl_curve_, once.kl_curve_, rtol=1e-6)


def test_score_samples_lies_above_the_elbo(interactions):
    model = MultVAERecommender(**{**SMALL, "max_iter": 30}).fit(interactions)
    log_prob = model.score_samples(interactions, n_draws=512)
    assert log_prob.dtype == np.float32
    assert (log_prob > model.elbo(interactions, n_draws=512)).all()
    np.testing.assert_array_equal(
        model.score_samples(interactions), model.score_samples(interactions)
    )


def test_samples_have_the_totals_of_training_users(interactions):
    model = MultVAERecommender(**SMALL).fit(interactions)
    X = model.sample(300, random_state=0)
    assert X.shape == (300, interactions.shape[1])
    assert X.dtype == np.float32
    assert sp.issparse(X)
    assert set(X.sum(axis=1)) <= set(interactions.sum(axis=1))
    np.testing.assert_array_equal(
        X.toarray(), model.sample(300, random_state=0).toarray()
    )
    totals = np.arange(5)
    np.testing.assert_array_equal(
        model.sample(5, n_interactions=totals, random_state=0).sum(axis=1), totals
    )
    with pytest.raises(ValueError, match="n_interactions"):
        model.sample(2, n_interactions=-1)


def test_inverse_transform_of_the_code_is_the_decision_function(interactions):
    model = MultVAERecommender(**SMALL).fit(interactions)
    np.testing.assert_array_equal(
        model.inverse_transform(model.transform(interactions)),
        model.decision_function(interactions),
    )
    with pytest.raises(ValueError, match="Z has 3 columns but the model has 6"):
        model.inverse_transform(np.zeros((2, 3)))


# Schedules


def test_annealing_reaches_its_cap_after_the_given_share_of_epochs(interactions):
    model = MultVAERecommender(
        **{**SMALL, "max_iter": 10}, beta=0.4, annealing=0.5
    ).fit(interactions)
    # 60 users in batches of 20 make 3 steps per epoch.
    expected = [min(0.4, 0.4 * 3 * epoch / 15) for epoch in range(1, 11)]
    assert model.beta_curve_ == pytest.approx(expected)
    assert model.beta_ == 0.4


def test_annealing_restarts_on_refit(interactions):
    model = MultVAERecommender(**SMALL).fit(interactions)
    first = model.beta_curve_
    assert model.fit(interactions).beta_curve_ == first


def test_annealing_continues_under_warm_start_and_partial_fit(interactions):
    whole = MultVAERecommender(**SMALL, annealing=1.0).fit(interactions)
    steps = MultVAERecommender(**SMALL, annealing=1.0)
    for _ in range(4):
        steps.partial_fit(interactions)
    assert steps.n_iter_ == 4
    assert steps.beta_curve_ == whole.beta_curve_
    assert_same_weights(weights(steps), weights(whole))

    warm = MultVAERecommender(**SMALL, warm_start=True).fit(interactions)
    warm.fit(interactions)
    assert warm.n_iter_ == len(warm.loss_curve_) == 8
    assert warm.beta_curve_[4:] == [warm.beta_] * 4


def test_beta_auto_takes_the_beta_of_the_best_epoch(interactions):
    model = MultVAERecommender(**{**SMALL, "max_iter": 10}, beta="auto").fit(
        interactions
    )
    path = model.beta_path_
    assert path["beta"].shape == path["score"].shape == (10,)
    assert path["beta"].max() == 1.0
    assert model.beta_ == path["beta"][path["score"].argmax()]
    assert max(model.beta_curve_) == pytest.approx(model.beta_)
    assert not hasattr(model, "partial_fit")


def rates(interactions, **kwargs):
    """Learning rate at the end of each epoch."""
    LearningRates.seen.clear()
    settings = {**SMALL, "max_iter": 20, "callbacks": [LearningRates()], **kwargs}
    MultVAERecommender(**settings).fit(interactions)
    return np.array(LearningRates.seen)


def test_learning_rate_is_constant_without_a_schedule(interactions):
    assert set(rates(interactions, learning_rate_init=0.05)) == {0.05}


def test_cosine_schedule_follows_its_formula(interactions):
    # There are 3 steps per epoch; the recorded rate is that of the last one.
    steps = 3 * np.arange(1, 21) - 1
    np.testing.assert_allclose(
        rates(interactions, learning_rate_init=0.05, lr_schedule="cosine"),
        0.05 * (1 + np.cos(np.pi * steps / 60)) / 2,
    )


@pytest.mark.parametrize("early_stopping", [False, True])
def test_plateau_schedule_halves_the_rate_when_nothing_improves(
    interactions, early_stopping
):
    found = rates(
        interactions,
        learning_rate_init=1e-6,
        lr_schedule="plateau",
        early_stopping=early_stopping,
        n_iter_no_change=20,
        max_iter=40,
    )
    assert set(found) >= {1e-6, 5e-7}


def test_skorch_schedules_can_be_passed(interactions):
    schedule = LRScheduler("StepLR", step_size=1, gamma=0.5)
    found = rates(
        interactions, learning_rate_init=0.8, lr_schedule=schedule, max_iter=3
    )
    np.testing.assert_allclose(found, [0.8, 0.4, 0.2])


@pytest.mark.parametrize("tied", [False, True])
def test_weight_decay_acts_on_weights_only(interactions, tied):
    # AdamW: a weight is multiplied by 1 - rate * alpha = 0, then moved by the rate.
    model = MultVAERecommender(
        **{**SMALL, "tied_weights": tied, "learning_rate_init": 1e-6}, alpha=1e6
    )
    trained = weights(model.fit(interactions))
    for name, value in trained.items():
        small = np.abs(value).max() <= 1.1e-6
        assert small == name.endswith("weight"), name


# Validation


def test_early_stopping_keeps_the_best_weights(interactions):
    fold_in, held_out = hold_out_interactions(interactions[:20], random_state=0)
    model = MultVAERecommender(
        **{**SMALL, "max_iter": 60, "learning_rate_init": 0.05},
        early_stopping=True,
        n_iter_no_change=3,
    ).fit(interactions[20:], X_val=fold_in, y_val=held_out)
    scores = model.validation_scores_
    assert model.best_iter_ == np.argmax(scores) + 1
    assert model.n_iter_ == len(scores) == model.best_iter_ + 3 < 60
    scorer = make_ranking_scorer("ndcg@100")
    assert (
        scorer(model, fold_in, held_out) == model.best_validation_score_ == max(scores)
    )


def test_own_validation_set_keeps_the_best_weights_without_early_stopping(interactions):
    fold_in, held_out = hold_out_interactions(interactions[:20], random_state=0)
    model = MultVAERecommender(
        **{**SMALL, "max_iter": 40, "learning_rate_init": 0.05}, scoring="recall@5"
    ).fit(interactions[20:], X_val=fold_in, y_val=held_out)
    assert model.n_iter_ == 40
    scorer = make_ranking_scorer("recall@5")
    assert scorer(model, fold_in, held_out) == max(model.validation_scores_)


# Bad input


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (-np.ones((4, 3)), "Negative values"),
        (np.full((4, 3), np.nan), "NaN"),
        (np.full((4, 3), np.inf), "infinity"),
        (np.full((4, 3), 1e39), "beyond the range of float32"),
        (np.zeros((4, 3)), "no interactions.*pass a matrix"),
        (sp.csr_array((4, 3)), "no interactions"),
        (np.ones(4), "1D array"),
        (np.array([["a", "b"]]), "could not convert"),
    ],
)
def test_bad_interactions_are_refused(X, message):
    with pytest.raises(ValueError, match=message):
        MultVAERecommender(**SMALL).fit(X)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"scoring": "accuracy"}, "'accuracy' is not known.*ndcg"),
        ({"scoring": "ndcg@0"}, "'ndcg@0' is not known"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
    ],
)
def test_bad_parameters_are_refused_by_name(interactions, parameters, message):
    with pytest.raises(ValueError, match=message):
        MultVAERecommender(**{**SMALL, **parameters}).fit(interactions)


def test_bad_validation_sets_are_refused(interactions):
    fold_in, held_out = hold_out_interactions(interactions, random_state=0)
    model = MultVAERecommender(**SMALL)
    with pytest.raises(ValueError, match="X_val needs y_val"):
        model.fit(interactions, X_val=fold_in)
    with pytest.raises(ValueError, match="y_val was given without X_val"):
        model.fit(interactions, y_val=held_out)
    with pytest.raises(ValueError, match="y_val has shape"):
        model.fit(interactions, X_val=fold_in, y_val=held_out[:5])
    with pytest.raises(ValueError, match="y_val holds no interactions"):
        model.fit(interactions, X_val=fold_in, y_val=0 * held_out)
    with pytest.raises(ValueError, match="y_val repeats 62"):
        model.fit(interactions, X_val=interactions, y_val=held_out)
    with pytest.raises(ValueError, match="No users can be held out"):
        model.set_params(early_stopping=True).fit(sp.csr_array(np.eye(6)))
    with pytest.raises(ValueError, match="No users can be held out"):  # but all
        model.set_params(validation_fraction=0.9).fit(interactions[:9])


def test_wrong_number_of_items_is_refused(interactions):
    model = MultVAERecommender(**SMALL).fit(interactions)
    for method in ("transform", "decision_function", "predict", "recommend", "score"):
        with pytest.raises(ValueError, match="24 features.*25"):
            getattr(model, method)(interactions[:, :24])


def test_more_items_than_exist_are_refused(interactions):
    model = MultVAERecommender(**SMALL).fit(interactions)
    with pytest.raises(ValueError, match="n_items=26 but there are 25 items"):
        model.recommend(interactions, 26)


def test_samples_of_users_with_many_counts_are_not_drawn_one_by_one(interactions):
    model = MultVAERecommender(**SMALL).fit(1e9 * interactions)
    X = model.sample(20, random_state=0)
    totals = (1e9 * interactions).sum(axis=1)
    assert totals.min() * 0.999 <= X.sum(axis=1).min()
    assert X.sum(axis=1).max() <= totals.max() * 1.001
    shares = X.toarray() / X.sum(axis=1)[:, None]
    likely = model.inverse_transform(model.transform(X))
    assert np.isfinite(likely).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)


def test_counts_beyond_int64_can_be_fitted_and_sampled():
    X = np.full((4, 3), 1e30)
    sample = MultVAERecommender(**SMALL).fit(X).sample(2, random_state=0)
    assert np.isfinite(sample.toarray()).all()


@pytest.mark.parametrize("n_interactions", [[1, 2], [[1]], 1.5, 2**53 + 1, "many"])
def test_numbers_of_interactions_to_sample_are_checked(interactions, n_interactions):
    model = MultVAERecommender(**SMALL).fit(interactions)
    with pytest.raises(ValueError, match=r"n_interactions=.* n_samples=3"):
        model.sample(3, n_interactions=n_interactions)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_duplicates_whose_sum_exceeds_float32_are_refused(interactions, dtype):
    X = sp.csr_array(
        (np.full(2, 3e38, dtype=dtype), np.array([1, 1]), np.array([0, 2])),
        shape=(1, interactions.shape[1]),
    )
    with pytest.raises(ValueError, match="^X (is a csr_array .* infinity|holds)"):
        MultVAERecommender(**SMALL).fit(interactions).transform(X)


@pytest.mark.parametrize("method", ["elbo", "score_samples"])
def test_log_probabilities_beyond_float32_are_refused(interactions, method):
    model = MultVAERecommender(**SMALL).fit(interactions)
    with pytest.raises(ValueError, match=r"row 0 of X is .* up to 1e\+38"):
        getattr(model, method)(1e38 * interactions)
