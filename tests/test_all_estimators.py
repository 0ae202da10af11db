"""scikit-learn's checks, those that it leaves out, and the recommender contract."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.utils import estimator_checks as sk
from sklearn.utils.validation import _num_features

from skvae import CollaborativeVAE, MultVAERecommender, VAETransformer
from skvae.baselines import EASE, ContentItemKNN, HybridItemKNN, ItemKNN, Popularity
from skvae.utils.estimator_checks import parametrize_with_recommender_checks

SMALL = {"n_components": 4, "batch_size": 20, "max_iter": 5}


def linear_network(n_in, n_out):
    return torch.nn.Linear(n_in, n_out)


class FitsWithItemFeatures:
    """Mixin that fits every X with content of its columns, drawn by a fixed seed."""

    def fit(self, X, y=None):
        """Fit with drawn content if X has columns at all."""
        try:
            n_items = _num_features(X)
        except (TypeError, ValueError):
            n_items = 1  # for `fit` to raise what it raises
        counts = np.random.default_rng(0).poisson(0.5, (n_items, 12))
        return super().fit(X, y, item_features=np.minimum(counts, 1))


class WithItemFeatures(FitsWithItemFeatures, CollaborativeVAE):
    pass


class ContentKNN(FitsWithItemFeatures, ContentItemKNN):
    pass


class HybridKNN(FitsWithItemFeatures, HybridItemKNN):
    pass


FEW_ROUNDS = {"n_components": 4, "content_epochs": 2, "max_iter": 3}
ESTIMATORS = [
    MultVAERecommender(**SMALL),
    MultVAERecommender(**SMALL, hidden_layer_sizes=(7,), tied_weights=False),
    MultVAERecommender(**SMALL, variational=False, hidden_dropout=0.2),
    MultVAERecommender(**SMALL, early_stopping=True, refit=True, beta="auto"),
    CollaborativeVAE(**FEW_ROUNDS),
    WithItemFeatures(**FEW_ROUNDS),
    WithItemFeatures(
        **FEW_ROUNDS, likelihood="bernoulli", hidden_layer_sizes=(6, 5), layer_epochs=1
    ),
    WithItemFeatures(
        **FEW_ROUNDS, likelihood="gaussian", variational=False, tied_weights=False
    ),
    WithItemFeatures(**FEW_ROUNDS, early_stopping=True, refit=True),
    VAETransformer(**SMALL),
    VAETransformer(**SMALL, noise_variance="feature", hidden_layer_sizes=()),
    VAETransformer(**SMALL, noise_variance=0.5, early_stopping=True, refit=True),
    VAETransformer(**SMALL, likelihood="bernoulli"),
    VAETransformer(**SMALL, likelihood="multinomial"),
    VAETransformer(**SMALL, likelihood="poisson"),
    VAETransformer(**SMALL, variational=False, dropout=0.2, hidden_dropout=0.2),
    VAETransformer(**SMALL, encoder=linear_network, decoder=linear_network),
]
BASELINES = [
    Popularity(),
    ItemKNN(n_neighbors=5),
    EASE(l2=1.0),
    ContentKNN(n_neighbors=5),
    HybridKNN(n_neighbors=5),
]
LEARNS_A_TOY = {"n_components": 8, "learning_rate_init": 0.01}

# Public checks of scikit-learn that check_estimator does not run.
EXTRA_CHECKS = [
    sk.check_param_validation,
    sk.check_set_output_transform,
    sk.check_set_output_transform_pandas,
    sk.check_set_output_transform_polars,
    sk.check_global_output_transform_pandas,
    sk.check_global_set_output_transform_polars,
    sk.check_transformer_get_feature_names_out,
    sk.check_transformer_get_feature_names_out_pandas,
    sk.check_get_feature_names_out_error,
    sk.check_dataframe_column_names_consistency,
    sk.check_inplace_ensure_writeable,
]


EXTRA_CHECKS_OF_BASELINES = [
    sk.check_param_validation,
    sk.check_dataframe_column_names_consistency,
    sk.check_inplace_ensure_writeable,
]


# The data of scikit-learn's checks leaves [0, 1], and some is mere noise.
pytestmark = [
    pytest.mark.filterwarnings("ignore:X goes up to:UserWarning"),
    pytest.mark.filterwarnings("ignore:All n_components:UserWarning"),
]


@sk.parametrize_with_checks(ESTIMATORS + BASELINES)
def test_sklearn_compatible(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
@pytest.mark.parametrize("check", EXTRA_CHECKS, ids=lambda check: check.__name__)
def test_checks_beyond_check_estimator(estimator, check):
    check(type(estimator).__name__, clone(estimator))


@pytest.mark.parametrize("estimator", BASELINES, ids=str)
@pytest.mark.parametrize(
    "check", EXTRA_CHECKS_OF_BASELINES, ids=lambda check: check.__name__
)
def test_baselines_pass_checks_beyond_check_estimator(estimator, check):
    check(type(estimator).__name__, clone(estimator))


def not_by_the_users_history(estimator):
    """Reasons why some baselines do not find the item of a checkerboard."""
    reason = None
    if isinstance(estimator, Popularity):
        reason = "it ranks the items alike for all users"
    if isinstance(estimator, ContentKNN):
        reason = "the drawn content says nothing of the board"
    return {"check_held_out_item_comes_first": reason} if reason else {}


@parametrize_with_recommender_checks(
    [
        MultVAERecommender(**LEARNS_A_TOY),
        MultVAERecommender(**LEARNS_A_TOY, hidden_layer_sizes=(8,)),
        MultVAERecommender(**LEARNS_A_TOY, variational=False),
        CollaborativeVAE(n_components=8),
        WithItemFeatures(n_components=8, lambda_v=0.1),
        *BASELINES,
    ],
    expected_failed_checks=not_by_the_users_history,
)
def test_recommender_contract(estimator, check):
    check(estimator)
