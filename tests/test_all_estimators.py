"""What all estimators must satisfy: scikit-learn's checks, the contract, `fit`."""

import pickle

import numpy as np
import optuna
import pytest
import torch
from sklearn.base import clone
from sklearn.utils import estimator_checks as sk
from sklearn.utils.validation import _num_features
from skorch.callbacks import Callback, EarlyStopping

from skvae import (
    BlendRecommender,
    CollaborativeVAE,
    LinearVAERecommender,
    MultVAERecommender,
    VAETransformer,
)
from skvae.baselines import EASE, ContentItemKNN, HybridItemKNN, ItemKNN, Popularity
from skvae.datasets import make_interactions
from skvae.model_selection import hold_out_interactions
from skvae.utils.estimator_checks import parametrize_with_recommender_checks

SMALL = {"n_components": 4, "batch_size": 20, "max_iter": 5}


class LinearNetwork:
    """Factory with a name that is the same in every process."""

    def __call__(self, n_in, n_out):
        return torch.nn.Linear(n_in, n_out)

    def __repr__(self):
        return "LinearNetwork()"


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
    LinearVAERecommender(),
    LinearVAERecommender(3, noise_variance="mle", output_exponent=0.2),
    MultVAERecommender(**SMALL),
    MultVAERecommender(**SMALL, hidden_layer_sizes=(7,), tied_weights=False),
    MultVAERecommender(**SMALL, variational=False, hidden_dropout=0.2),
    MultVAERecommender(**SMALL, n_sampled_items=5),
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
    VAETransformer(**SMALL, encoder=LinearNetwork(), decoder=LinearNetwork()),
]
BASELINES = [
    Popularity(),
    ItemKNN(n_neighbors=5),
    EASE(l2=1.0),
    ContentKNN(n_neighbors=5),
    HybridKNN(n_neighbors=5),
]
BLENDS = [
    BlendRecommender([("ease", EASE(l2=1.0)), ("knn", ItemKNN(n_neighbors=5))]),
    BlendRecommender([("ease", EASE(l2=1.0)), ("knn", "drop")], weights=[1]),
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


CHECKS_WITHOUT_TRANSFORM = [
    sk.check_param_validation,
    sk.check_dataframe_column_names_consistency,
    sk.check_inplace_ensure_writeable,
]


# The data of scikit-learn's checks exceed [0, 1], and some are noise.
pytestmark = [
    pytest.mark.filterwarnings("ignore:X goes up to:UserWarning"),
    pytest.mark.filterwarnings("ignore:All n_components:UserWarning"),
]


@sk.parametrize_with_checks(ESTIMATORS + BASELINES + BLENDS)
def test_sklearn_compatible(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
@pytest.mark.parametrize("check", EXTRA_CHECKS, ids=lambda check: check.__name__)
def test_checks_beyond_check_estimator(estimator, check):
    check(type(estimator).__name__, clone(estimator))


@pytest.mark.parametrize("estimator", BASELINES + BLENDS, ids=str)
@pytest.mark.parametrize(
    "check", CHECKS_WITHOUT_TRANSFORM, ids=lambda check: check.__name__
)
def test_others_pass_checks_beyond_check_estimator(estimator, check):
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
        LinearVAERecommender(),
        LinearVAERecommender(4, noise_variance=0.0, output_exponent=0.0),
        MultVAERecommender(**LEARNS_A_TOY),
        MultVAERecommender(**LEARNS_A_TOY, hidden_layer_sizes=(8,)),
        MultVAERecommender(**LEARNS_A_TOY, n_sampled_items=15),
        MultVAERecommender(**LEARNS_A_TOY, variational=False),
        CollaborativeVAE(n_components=8),
        WithItemFeatures(n_components=8, lambda_v=0.1),
        *BASELINES,
        *BLENDS,
    ],
    expected_failed_checks=not_by_the_users_history,
)
def test_recommender_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "estimator",
    [
        LinearVAERecommender(),
        MultVAERecommender(**SMALL),
        MultVAERecommender(**SMALL, variational=False),
        MultVAERecommender(**SMALL, hidden_layer_sizes=(7,)),
        MultVAERecommender(**SMALL, hidden_layer_sizes=(7, 6), tied_weights=False),
        WithItemFeatures(**FEW_ROUNDS),
    ],
    ids=str,
)
def test_products_of_vectors_are_the_scores(estimator):
    X = make_interactions(60, 40, random_state=0).matrix
    estimator = clone(estimator).set_params(random_state=0).fit(X[:50])
    expected = estimator.decision_function(X[50:])
    scores = estimator.user_vectors(X[50:]) @ estimator.item_vectors_.T
    np.testing.assert_allclose(scores, expected, atol=1e-5 * np.abs(expected).max())
    estimator.item_vectors_[:] = 0  # those of the model stay
    np.testing.assert_array_equal(estimator.decision_function(X[50:]), expected)


# What `fit` promises in every estimator

ROWS = make_interactions(150, 60, random_state=0).matrix
WORDS = np.random.default_rng(0).poisson(0.5, (60, 20)).astype(float)
FIT = {"max_iter": 4, "random_state": 0, "batch_size": 20}
CONSTANT = {"lr_schedule": None, "annealing": 0}  # so that the plan has no effect
MODELS = {
    "Mult-VAE": (MultVAERecommender(6, **FIT), {}),
    "Mult-DAE": (MultVAERecommender(6, variational=False, **FIT), {}),
    "VAE": (VAETransformer(4, likelihood="poisson", **FIT), {}),
    "content": (CollaborativeVAE(5, **FIT), {"item_features": WORDS}),
    "factors": (CollaborativeVAE(5, **FIT), {}),
}
each_model = pytest.mark.parametrize("name", MODELS)
with_network = pytest.mark.parametrize("name", [n for n in MODELS if n != "factors"])


def fitted(name, X=ROWS, **settings):
    fit_arguments = {
        key: settings.pop(key) for key in ("X_val", "y_val") if key in settings
    }
    model, data = MODELS[name]
    model = clone(model).set_params(**settings)
    return model.fit(X, **data, **fit_arguments)


def validation_set(name):
    fold_in, held_out = hold_out_interactions(ROWS[:40], random_state=0)
    return {"X_val": fold_in} | ({} if name == "VAE" else {"y_val": held_out})


@each_model
def test_early_stopping_keeps_the_best_epoch(name):
    model = fitted(
        name,
        early_stopping=True,
        n_iter_no_change=3,
        max_iter=60,
        learning_rate_init=0.03,
    )
    scores = model.validation_scores_
    assert len(scores) == model.n_iter_ == model.best_iter_ + 3 < 60
    assert model.best_iter_ == int(np.argmax(scores)) + 1
    assert model.best_validation_score_ == max(scores)


@each_model
def test_refit_trains_on_all_data_for_the_best_number_of_epochs(name):
    refitted = fitted(name, early_stopping=True, refit=True, **CONSTANT)
    assert len(refitted.validation_scores_) >= refitted.best_iter_ == refitted.n_iter_
    plain = fitted(name, max_iter=refitted.best_iter_, **CONSTANT)
    np.testing.assert_array_equal(refitted.transform(ROWS), plain.transform(ROWS))


@each_model
def test_a_validation_set_is_scored_and_does_not_change_the_training(name):
    plain, watched = fitted(name), fitted(name, **validation_set(name))
    assert len(watched.validation_scores_) == watched.n_iter_ == 4
    assert watched.loss_curve_ == plain.loss_curve_
    if name == "factors":
        assert watched.objective_curve_ == plain.objective_curve_


@each_model
def test_a_truth_without_a_fold_in_is_refused(name):
    if name != "VAE":
        with pytest.raises(ValueError, match="y_val was given without X_val"):
            fitted(name, y_val=ROWS)


@each_model
@pytest.mark.parametrize("X", [np.full((5, 60), np.nan), np.ones((4, 60, 2))])
def test_a_failed_fit_leaves_the_model_unchanged(name, X):
    model = fitted(name)
    before = dict(vars(model))
    with pytest.raises(ValueError, match="X|array"):
        model.fit(X, **MODELS[name][1])
    assert vars(model) == before


@each_model
def test_parameters_set_after_the_fit_do_not_change_results(name):
    model = fitted(name)
    expected = model.transform(ROWS)
    model.set_params(n_components=50, hidden_layer_sizes=(3,), dropout=0.9)
    np.testing.assert_array_equal(model.transform(ROWS), expected)


@each_model
def test_fit_is_silent_by_default_and_shows_progress_on_request(name, capsys):
    fitted(name)
    assert capsys.readouterr() == ("", "")
    model = fitted(name, verbose=1)
    shown = capsys.readouterr().err
    assert f"{type(model).__name__}, epoch 4/4: 100%" in shown
    assert ("objective=" if name == "factors" else "nll=") in shown
    fitted(name, verbose=2)
    printed = "objective" if name == "factors" else "train_loss"
    assert printed in capsys.readouterr().out


@with_network
def test_training_on_either_device_gives_close_models(name, device):
    settings = {"dropout": 0.0, "max_iter": 2, "learning_rate_init": 1e-3}
    here, there = (fitted(name, device=d, **settings) for d in ("cpu", device))
    np.testing.assert_allclose(there.loss_curve_, here.loss_curve_, rtol=0.05)
    loaded = pickle.loads(pickle.dumps(there)).set_params(device="cpu")
    np.testing.assert_allclose(
        loaded.transform(ROWS), there.transform(ROWS), rtol=1e-3, atol=1e-4
    )


class EpochRecorder(Callback):
    """Records the epochs in an attribute that is not a parameter."""

    def __init__(self):
        self.seen = []

    def on_epoch_end(self, net, **kwargs):
        self.seen.append(net.history[-1, "epoch"])


@each_model
def test_callbacks_are_called_and_keep_what_they_learn(name):
    recorder, named = EpochRecorder(), EpochRecorder()
    model = MODELS[name][0]
    model = clone(model).set_params(callbacks=[recorder, ("named", named)])
    model.fit(ROWS, **MODELS[name][1])
    assert model.callbacks[0] is recorder
    assert recorder.seen == named.seen == [1, 2, 3, 4]
    model.fit(ROWS, **MODELS[name][1])
    assert recorder.seen == [1, 2, 3, 4] * 2


class ReportToOptuna(Callback):
    """Reports the validation score of each epoch, and ends a trial that is pruned."""

    def __init__(self, trial):
        self.trial = trial

    def on_epoch_end(self, net, **kwargs):
        epoch = len(net.history)
        self.trial.report(net.history[-1, "valid_score"], epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def test_reports_to_optuna_arrive_and_prune():
    validation = validation_set("Mult-VAE")
    models = []

    def objective(trial):
        rate = trial.suggest_float("learning_rate_init", 1e-6, 1e-2, log=True)
        model = clone(MODELS["Mult-VAE"][0]).set_params(
            init="random",
            learning_rate_init=rate,
            callbacks=[ReportToOptuna(trial)],
        )
        models.append(model)
        model.fit(ROWS, **validation)
        return model.best_validation_score_

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.ThresholdPruner(lower=0.4)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    for rate in (1e-2, 1e-6):
        study.enqueue_trial({"learning_rate_init": rate})
    study.optimize(objective, n_trials=2)
    complete, pruned = study.trials
    assert complete.state == optuna.trial.TrialState.COMPLETE
    assert list(complete.intermediate_values.values()) == models[0].validation_scores_
    assert pruned.state == optuna.trial.TrialState.PRUNED
    assert list(pruned.intermediate_values) == [1]
    assert not hasattr(models[1], "n_iter_")  # as after any error


@with_network
def test_an_early_stopping_callback_ends_the_fit(name):
    stopper = EarlyStopping(
        "train_loss", patience=2, threshold=1e9, sink=lambda _: None
    )
    assert fitted(name, callbacks=[stopper]).n_iter_ < 4


@each_model
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_components": 0}, "n_components"),
        ({"hidden_layer_sizes": (10, 0)}, "hidden_layer_sizes.*at least 1"),
        ({"hidden_layer_sizes": 10}, "hidden_layer_sizes"),
        ({"hidden_layer_sizes": np.array(3)}, "hidden_layer_sizes="),
        ({"hidden_layer_sizes": (True,)}, "hidden_layer_sizes="),
        ({"hidden_layer_sizes": ((3,),)}, "hidden_layer_sizes="),
        ({"dropout": 1.0}, "dropout"),
        ({"beta": "best"}, "beta"),
        ({"annealing": 1.5}, "annealing"),
        ({"device": "gpu9"}, "device='gpu9' cannot be used"),
        ({"device": "meta"}, "device='meta' cannot be used"),
        ({"callbacks": [3]}, "callbacks"),
        ({"callbacks": [("progress", EpochRecorder())]}, "'progress'"),
    ],
)
def test_bad_parameters_are_refused_by_name(name, parameters, message):
    with pytest.raises(ValueError, match=message):
        fitted(name, **parameters)
