"""Training that continues after a fit learns new things and keeps the old ones.

Newcomers all have an item that nobody had before. After training on, the item is ranked
for similar users about as high as after a fresh fit on all users, and the quality for
the other users is kept. The same with a feature of `VAETransformer`.
"""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp

from skvae import MultVAERecommender, VAETransformer
from skvae.datasets import make_interactions
from skvae.metrics import make_ranking_scorer

N_ITEMS = 150
DATA = make_interactions(900, N_ITEMS, random_state=0).matrix
TEST, OLD, NEW = DATA[:200], DATA[200:800], DATA[800:]


def with_item(X, value):
    """Append a column for the new item."""
    return sp.csr_array(sp.hstack([X, sp.csr_array(np.full((X.shape[0], 1), value))]))


NEWCOMERS = with_item(NEW, 1.0)
ALL = sp.csr_array(sp.vstack([with_item(OLD, 0.0), NEWCOMERS]))
ndcg = make_ranking_scorer("ndcg@100")


def make(**settings):
    return MultVAERecommender(40, random_state=0, **settings)


@pytest.fixture(scope="module")
def models():
    """A model of the old users, and a fresh one of all users, as pickles."""
    old = make().fit(with_item(OLD, 0.0))
    return pickle.dumps(old), pickle.dumps(make().fit(ALL))


def rank_of_new_item(model):
    """Median rank of the new item for users like the newcomers, from 1."""
    X = with_item(NEW, 0.0)
    scores = np.where(X.toarray() > 0, -np.inf, model.decision_function(X))
    return np.median((scores > scores[:, [-1]]).sum(axis=1) + 1)


def quality(model):
    """NDCG@100 of users who were never seen."""
    return ndcg(model, with_item(TEST, 0.0))


def train_on_newcomers(model):
    for _ in range(10):
        model.partial_fit(NEWCOMERS)
    return model


def train_on_all_rows(model):
    for _ in range(10):
        model.partial_fit(ALL)
    return model


def fit_again(model):
    return model.set_params(warm_start=True, max_iter=5).fit(ALL)


@pytest.mark.parametrize(
    "train_on",
    [train_on_newcomers, train_on_all_rows, fit_again],
    ids=lambda f: f.__name__,
)
def test_a_new_item_is_learned_and_the_quality_is_kept(models, train_on):
    old, fresh = map(pickle.loads, models)
    untrained = rank_of_new_item(old)
    assert untrained > 2 * rank_of_new_item(fresh)
    before = quality(old)
    model = train_on(old)
    assert rank_of_new_item(model) < 2 * rank_of_new_item(fresh)
    assert quality(model) > before - 0.01


@pytest.mark.parametrize("lr_schedule", ["cosine", "plateau", None])
def test_every_schedule_learns_after_the_planned_epochs(lr_schedule):
    model = make(lr_schedule=lr_schedule).fit(with_item(OLD, 0.0))
    before = rank_of_new_item(model)
    for _ in range(12):
        model.partial_fit(NEWCOMERS)
    assert rank_of_new_item(model) < before / 2


def test_a_grown_catalogue_keeps_what_was_learned():
    """With more columns, the items of before have the same scores."""
    model = make(warm_start=True).fit(OLD)
    scores = model.decision_function(OLD)
    model.set_params(max_iter=1, learning_rate_init=1e-12).fit(with_item(OLD, 0.0))
    assert model.n_features_in_ == N_ITEMS + 1
    grown = model.decision_function(with_item(OLD, 0.0))
    np.testing.assert_allclose(grown[:, :-1], scores, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("init", ["linear", "random"])
def test_a_few_epochs_on_a_grown_catalogue_learn_the_new_item(init):
    """After a random start they rank better than as many of a fresh fit."""
    model = make(warm_start=True, init=init).fit(OLD)
    before = ndcg(model, TEST)
    model.set_params(max_iter=3).fit(ALL)
    fresh = make(init=init).fit(ALL)
    if init == "random":
        before = max(before, quality(make(max_iter=3, init=init).fit(ALL)))
    assert quality(model) > before - 0.01
    assert rank_of_new_item(model) < 2 * rank_of_new_item(fresh)


@pytest.mark.parametrize(
    "settings", [{"tied_weights": False}, {"hidden_layer_sizes": (30,)}]
)
def test_networks_of_all_kinds_grow(settings):
    model = make(warm_start=True, max_iter=2, **settings).fit(OLD)
    model.fit(ALL)
    assert model.decision_function(ALL).shape == ALL.shape
    model.partial_fit(ALL)


def test_a_grown_frame_has_the_old_columns_first():
    pd = pytest.importorskip("pandas")
    names = [f"item {i}" for i in range(N_ITEMS + 1)]
    small = pd.DataFrame(OLD.toarray(), columns=names[:-1])
    large = pd.DataFrame(with_item(OLD, 0.0).toarray(), columns=names)
    model = make(warm_start=True, max_iter=1).fit(small).fit(large)
    assert model.feature_names_in_.tolist() == names
    model = make(warm_start=True, max_iter=1).fit(small)
    before = model.transform(small)
    for wrong in (large[names[::-1]], large.to_numpy(), small[names[:5]]):
        with pytest.raises(ValueError, match="in the same order, with the same names"):
            model.fit(wrong)
    np.testing.assert_array_equal(model.transform(small), before)


def test_a_network_with_changed_parameters_cannot_grow():
    model = make(warm_start=True, max_iter=1).fit(OLD)
    with pytest.raises(ValueError, match="parameters of the network were changed"):
        model.set_params(n_components=9).fit(ALL)
    assert model.n_features_in_ == N_ITEMS


def test_other_columns_of_a_transformer_are_refused_with_advice():
    model = VAETransformer(3, max_iter=1, warm_start=True).fit(np.eye(8))
    with pytest.raises(ValueError, match="pass its columns, or set warm_start=False"):
        model.fit(np.eye(9))


def test_a_transformer_learns_a_new_feature_and_keeps_its_bound():
    rng = np.random.default_rng(0)
    rates = np.exp(rng.normal(size=(1200, 3)) @ rng.normal(size=(3, 12)) / 2)
    X = rng.poisson(rates).astype(float)
    X[:, -1] = 0
    old, test, newcomers = X[:800], X[800:1000], X[1000:].copy()
    newcomers[:, -1] = 6  # which is never counted in the old rows
    settings = {"likelihood": "poisson", "max_iter": 60, "random_state": 0}
    model = VAETransformer(4, **settings).fit(old)
    fresh = VAETransformer(4, **settings).fit(np.vstack([old, newcomers]))

    def feature(model):
        return model.inverse_transform(model.transform(newcomers))[:, -1].mean()

    before, untrained = model.score(test), feature(model)
    assert untrained < 0.01 < 5 < feature(fresh)
    stepwise = pickle.loads(pickle.dumps(model))
    for _ in range(20):
        stepwise.partial_fit(np.vstack([old, newcomers]))
    assert feature(stepwise) > 0.5 * feature(fresh)
    model.set_params(warm_start=True).fit(np.vstack([old, newcomers]))
    assert feature(model) == pytest.approx(feature(fresh), rel=0.1)
    for one in (stepwise, model):
        assert one.score(test) > before - 0.02 * abs(before)
