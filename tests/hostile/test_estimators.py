"""Hostile rows, parameters and arguments for every method of every estimator."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import torch
from hypothesis import assume
from hypothesis import strategies as st
from skorch.callbacks import EarlyStopping, EpochTimer, LRScheduler

from tests.hostile import strategies as hostile
from tests.hostile.cases import cases
from tests.hostile.estimators import (
    BY_NAME,
    COLLABORATIVE,
    ESTIMATORS,
    N_ITEMS,
    N_USERS,
    RECOMMENDERS,
    content,
    fitted,
    make,
    tame_rows,
)
from tests.hostile.outcomes import (
    Refused,
    attempt,
    check_fitted,
    check_floats,
    check_ranking,
)

# Shape of the result for n rows, of the methods that take only rows.
OF_ROWS = {
    "decision_function": lambda n: (n, N_ITEMS),
    "score_samples": lambda n: (n,),
    "elbo": lambda n: (n,),
}
# Methods that this file calls, and those of scikit-learn that take no data.
TRIED = {
    *("transform", *OF_ROWS),
    *("fit", "partial_fit", "fit_transform", "inverse_transform", "predict"),
    *("recommend", "score", "sample", "transform_items", "get_feature_names_out"),
    *("similar_items", "user_vectors"),
    *("set_params", "set_output"),
}
NO_DATA = {"get_params", "get_metadata_routing"}


def check_result(method, result, n_rows, estimator):
    """Assert that the result of a method for `n_rows` rows is as documented."""
    if method == "transform":
        # A linear VAE keeps the components above the noise.
        check_floats(result, (n_rows, estimator._n_features_out), name=method)
    elif method in OF_ROWS:
        check_floats(result, OF_ROWS[method](n_rows), name=method)
    elif method == "user_vectors":
        check_floats(result, (n_rows, estimator.item_vectors_.shape[1]), name=method)
    elif method == "predict":
        check_ranking(result[:, None], n_rows, 1, N_ITEMS)
    elif method == "recommend":
        items, scores = result
        check_ranking(items, n_rows, 3, N_ITEMS, scores)
    else:
        assert method == "score"
        assert type(result) is float
        ranks = hasattr(estimator, "recommend")
        assert np.isfinite(result) or (ranks and np.isnan(result))


@pytest.mark.parametrize("kind", dict.fromkeys(kind for kind, _ in ESTIMATORS.values()))
def test_every_public_method_is_tested(kind):
    methods = {
        name
        for name in dir(kind)
        if not name.startswith(("_", "set_fit", "set_partial_fit"))
        and callable(getattr(kind, name, None))
        and not name.endswith("_request")
    }
    assert methods <= TRIED | NO_DATA


@cases(
    st.sampled_from(BY_NAME),
    st.sampled_from(["fit", "partial_fit", "fit_transform"]),
    st.booleans(),
    hostile.anything(),
    quick=60,
    slow=700,
)
def test_fit_on_any_rows(name, method, again, rows):
    estimator = fitted(name) if again else make(name)
    assume(hasattr(estimator, method))
    n_items = rows.shape[1] if isinstance(rows, hostile.Matrix) else N_ITEMS
    extra = {} if method == "partial_fit" else content(name, max(n_items, 1))
    result = attempt(getattr(estimator, method), rows.build(), **extra)
    if isinstance(result, Refused):
        return
    check_fitted(estimator)
    if method == "fit_transform":
        width = estimator._n_features_out
        check_floats(result, (rows.n_rows(), width))
    else:
        assert result is estimator
    # The fitted model can be used.
    check_result(
        "transform", estimator.transform(rows.build()), rows.n_rows(), estimator
    )
    if hasattr(estimator, "sample"):
        sample = attempt(estimator.sample, 2, random_state=0)
        sample = sample.toarray() if sp.issparse(sample) else sample
        check_floats(sample, (2, rows.shape[1]), name="sample")


INFERENCE = (
    st.sampled_from(BY_NAME),
    st.sampled_from(
        ["transform", *OF_ROWS, "user_vectors", "predict", "recommend", "score"]
    ),
    hostile.anything(),
)


@cases(*INFERENCE, quick=100, slow=800)
def test_inference_on_any_rows(name, method, rows):
    estimator = fitted(name)
    assume(hasattr(estimator, method))
    options = {"n_items": 3, "return_scores": True} if method == "recommend" else {}
    result = attempt(getattr(estimator, method), rows.build(), **options)
    if not isinstance(result, Refused):
        check_result(method, result, rows.n_rows(), estimator)


@cases(*INFERENCE, quick=8, slow=60)
def test_unfitted_refuses_any_rows(name, method, rows):
    estimator = make(name)
    assume(hasattr(estimator, method))
    result = attempt(getattr(estimator, method), rows.build())
    assert isinstance(result, Refused)


@cases(
    st.sampled_from(BY_NAME),
    hostile.anything(n_columns=(2, 2, 2, 1, 0, 5)),
    quick=25,
    slow=250,
)
def test_inverse_transform_of_any_codes(name, codes):
    result = attempt(fitted(name).inverse_transform, codes.build())
    if not isinstance(result, Refused):
        check_floats(result, (codes.n_rows(), N_ITEMS))


@cases(
    st.sampled_from(BY_NAME),
    st.booleans(),
    hostile.anything(),
    st.one_of(st.none(), hostile.anything()),
    quick=25,
    slow=250,
)
def test_fit_with_any_validation_set(name, again, X_val, y_val):
    estimator = fitted(name) if again else make(name)
    validation = {"X_val": X_val.build()}
    if name in RECOMMENDERS:
        validation["y_val"] = None if y_val is None else y_val.build()
    result = attempt(estimator.fit, tame_rows(), **content(name), **validation)
    if not isinstance(result, Refused):
        check_fitted(estimator)


@cases(
    st.sampled_from(COLLABORATIVE),
    st.sampled_from(["fit", "transform_items", "recommend", "decision_function"]),
    st.booleans(),
    hostile.anything(n_rows=(5, 5, 5, 4, 0, 1), n_columns=(4, 4, 4, 5, 0, 1)),
    quick=30,
    slow=300,
)
def test_any_item_features(name, method, in_mapping, features):
    estimator = fitted(name)
    X, built = tame_rows(), features.build()
    if method == "fit":
        if in_mapping:
            built = {"features": built}
        result = attempt(estimator.fit, X, item_features=built)
        if not isinstance(result, Refused):
            check_fitted(estimator)
        return
    if method == "transform_items":
        result = attempt(estimator.transform_items, built)
        if not isinstance(result, Refused):
            check_floats(result, (features.n_rows(), 2))
        return
    result = attempt(getattr(estimator, method), X, new_item_features=built)
    if isinstance(result, Refused) or built is None:
        return
    n_all = N_ITEMS + features.n_rows()
    if method == "decision_function":
        check_floats(result, (N_USERS, n_all))
    else:
        check_ranking(result, N_USERS, 10, n_all)


@cases(
    st.sampled_from(RECOMMENDERS),
    hostile.tame((4, N_ITEMS), ("binary", "zeros")),
    st.one_of(
        hostile.tame((4, N_ITEMS), ("binary", "zeros")),
        hostile.anything(n_rows=(4, 4, 4, 5, 0, 1)),
    ),
    quick=20,
    slow=200,
)
def test_score_against_any_truth(name, rows, truth):
    result = attempt(fitted(name).score, rows.build(), truth.build())
    if not isinstance(result, Refused):
        assert type(result) is float
        assert np.isnan(result) or 0 <= result <= 1


# Parameters of the constructors

INTEGER_PARAMETERS = (
    *("n_components", "batch_size", "max_iter", "n_iter_no_change"),
    *("layer_epochs", "content_epochs", "verbose", "n_sampled_items"),
)
REAL_PARAMETERS = (
    *("beta", "annealing", "dropout", "hidden_dropout", "label_smoothing", "alpha"),
    *("learning_rate_init", "tol", "validation_fraction", "noise_variance"),
    *("user_exponent", "item_exponent", "output_exponent"),
    *("initial_log_variance", "a", "b", "lambda_u", "lambda_v", "lambda_r", "lambda_w"),
)
FLAG_PARAMETERS = (
    *("variational", "tied_weights", "early_stopping", "refit", "warm_start"),
)
EDGES = {
    "init": ("auto", "linear", "random", "closed form", None),
    **dict.fromkeys(INTEGER_PARAMETERS, hostile.INTEGERS),
    **dict.fromkeys(REAL_PARAMETERS, (*hostile.FLOATS, 1e30, 1e300, 1e-300, 1e-7)),
    **dict.fromkeys(FLAG_PARAMETERS, hostile.FLAGS),
    "activation": ("identity", "logistic", "tanh", "relu", "silu", "softmax", 0),
    "likelihood": ("gaussian", "bernoulli", "multinomial", "poisson", "student", 0),
    "hidden_layer_sizes": (
        *((), (0,), "abc", (3,), [2, 2], np.array([3]), np.array(3), (2.0,), (True,)),
        *(3, ((3,),), (-1,), (40,), np.array([[2]]), {3}, {3: 2}, (None,), ("3",)),
        *(pd.Series([3]), torch.tensor([3]), sp.csr_array([[3]]), (np.int8(3),)),
        *(np.array([3.0]), range(2, 4), b"3"),
    ),
    "lr_schedule": ("cosine", "plateau", LRScheduler(), EpochTimer(), LRScheduler, "x"),
    "encoder": (
        *(torch.nn.Linear, torch.nn.Linear(5, 4), lambda n_in, n_out: None, "x"),
        lambda n_in, n_out: torch.nn.Linear(n_in, n_out + 1),
    ),
    "decoder": (
        *(torch.nn.Linear, torch.nn.Linear(5, 4), lambda n_in, n_out: None, 0),
        lambda n_in, n_out: torch.nn.Linear(n_in, n_out + 1),
    ),
    "scoring": (
        *(
            "ndcg@100",
            "ndcg@0",
            "nonsense",
            "recall@1",
            "ndcg@-1",
            "ndcg@1e3",
            "NDCG@1",
        ),
        *("coverage@2", ("ndcg@5",), "ndcg@" + "9" * 30, "ndcg@" + "9" * 5000, 0, "@"),
        "ndcg@1\n",
    ),
    "checkpoint": (
        *("", "\0", "/nowhere/file", Path("/nowhere/file"), os.devnull, b"file", 0),
        __file__,
    ),
    "memory": (object(), 0, type("Memory", (), {"cache": None})),
    "callbacks": (
        *([], [EpochTimer()], (EpochTimer(),), [("mine", EpochTimer())], [EpochTimer]),
        *([object()], [("progress", EpochTimer())], [("a", "b")], "abc", [("a",)]),
        *([("a", EpochTimer()), ("a", EpochTimer())], [(3, EpochTimer())], {1}),
        *([EarlyStopping(monitor="train_loss")], [EarlyStopping(monitor="nothing")]),
        [LRScheduler()],
    ),
    "device": (
        *("auto", "cpu", torch.device("cpu"), "cuda", "cpu:1", "cuda:99", "meta"),
        *("nonsense", "cpu:-1", 0, torch.device("meta"), "mps"),
    ),
    "distributed": (None, "replicated", "sharded", "both", "", 0, True),
    "precision": ("float32", "tf32", "bfloat16", "float16", None, 32),
    "random_state": hostile.random_states(),
}
# Values that are valid for some parameters, and too large for others.
HUGE = {
    "n_components": (300,),
    "batch_size": (10**12, 2**70, "auto"),
    "n_iter_no_change": (2**70,),
    "annealing": (2**70, 3),
    "verbose": (2, 10**6),
    "n_sampled_items": (None, "auto", 2, 10**12, 2**70),
    "beta": ("auto",),
    "noise_variance": ("shared", "feature", "auto", "mle"),
    "output_exponent": ("auto",),
    "initial_log_variance": (-4.0, 20, 21, -20.5),
}


def values_of(parameter):
    if parameter == "checkpoint":  # any other text would name a file to write
        return st.sampled_from(EDGES[parameter])
    values = (*EDGES[parameter], *HUGE.get(parameter, ()))
    return hostile.mostly(list(values), hostile.WRONG_TYPES)


@st.composite
def settings_of(draw):
    """Draw the name of an estimator, and values for one to three parameters."""
    name = draw(st.sampled_from(BY_NAME))
    parameters = sorted(ESTIMATORS[name][0]().get_params())
    chosen = draw(st.lists(st.sampled_from(parameters), min_size=1, max_size=3))
    return name, {parameter: draw(values_of(parameter)) for parameter in chosen}


@cases(
    settings_of(),
    st.sampled_from(["fit", "fit", "partial_fit"]),
    st.sampled_from(["gaussian", *hostile.TAME[:2]]),
    quick=60,
    slow=700,
)
def test_any_parameters(drawn, method, values):
    name, parameters = drawn
    estimator = make(name, **parameters)
    X = tame_rows()
    extra = content(name) if method == "fit" else {}
    if not hasattr(estimator, method):  # partial_fit, with beta="auto"
        return
    # A callback of the user may raise any error.
    also = (KeyError,) if "callbacks" in parameters else ()
    result = attempt(getattr(estimator, method), X, also=also, **extra)
    if isinstance(result, Refused):
        return
    check_fitted(estimator)
    check_floats(estimator.transform(X), (N_USERS, estimator._n_features_out))


@cases(settings_of(), quick=15, slow=120)
def test_any_parameters_set_after_the_fit(drawn):
    """Changed parameters of a fitted estimator are refused or used without failure."""
    name, parameters = drawn
    estimator = fitted(name).set_params(**parameters)
    X = tame_rows()
    result = attempt(estimator.transform, X)
    if not isinstance(result, Refused):
        check_floats(result, (N_USERS, fitted(name)._n_features_out))
    also = (KeyError,) if "callbacks" in parameters else ()
    result = attempt(estimator.fit, X, also=also, **content(name))
    if not isinstance(result, Refused):
        check_fitted(estimator)


# Parameters of the methods

ITEM_LISTS = (
    *(None, [], [0], [0, 0, 1], [-1], [N_ITEMS], [0.0], ["a"], [True, False], 0),
    *([[0]], "abc", (1, 2, 3), {0, 1}, range(3), [2**70], [[0], [1, 2]], [None]),
    *(np.array([0, 3], dtype=np.uint64), np.array([2**63], dtype=np.uint64)),
    *(np.array([True, False, True, False, True]), np.array([1, 2])[::-1], [2**63]),
    *(pd.Series([1, 2, 3]), pd.Index([1, 2]), pl.Series([1, 2]), torch.arange(3)),
    *(sp.csr_array([[0, 1]]), np.ma.masked_array([0, 1], [True, False]), object()),
    *(np.array([1, 2], dtype=object), np.array([1 + 0j]), np.arange(5, dtype=np.int8)),
)
N_ITEMS_ASKED = (*hostile.INTEGERS, 3, N_ITEMS, N_ITEMS + 1, 2**70, "3", None, [1])


@cases(
    st.sampled_from(RECOMMENDERS),
    hostile.tame((4, N_ITEMS)),
    hostile.mostly([1, 2], N_ITEMS_ASKED),
    st.sampled_from((*hostile.FLAGS, float("nan"), "")),
    hostile.mostly([None, [0, 1, 2]], ITEM_LISTS),
    st.sampled_from(hostile.FLAGS),
    quick=40,
    slow=250,
)
def test_recommend_with_any_arguments(
    name, rows, n_items, exclude_seen, candidates, return_scores
):
    result = attempt(
        fitted(name).recommend,
        rows.build(),
        n_items,
        exclude_seen=exclude_seen,
        candidates=candidates,
        return_scores=return_scores,
    )
    if isinstance(result, Refused):
        return
    items, scores = result if return_scores else (result, None)
    check_ranking(items, 4, n_items, N_ITEMS, scores)


@cases(
    st.sampled_from(RECOMMENDERS),
    hostile.mostly([[0], [2, 1, 2]], ITEM_LISTS),
    hostile.mostly([1, 2], N_ITEMS_ASKED),
    hostile.mostly([None, [0, 1, 2]], ITEM_LISTS),
    quick=30,
    slow=200,
)
def test_similar_items_with_any_arguments(name, queries, n_items, candidates):
    result = attempt(
        fitted(name).similar_items,
        queries,
        n_items,
        candidates=candidates,
        return_scores=True,
    )
    if not isinstance(result, Refused):
        items, scores = result
        check_ranking(items, len(np.asarray(queries)), n_items, N_ITEMS, scores)


N_INTERACTIONS = (
    *(0, 2**40, 2**53, 2**53 + 1, 2**70, -1, 1.5, [1, 2], [1, 2, 3], "a", [-1, 1]),
    *(True, [[1]], float("nan"), [[1], [1, 2]], np.uint64(2**63), np.int8(3), 1j, {}),
)


@cases(
    st.sampled_from(BY_NAME),
    hostile.mostly([1, 3], (*hostile.INTEGERS, "3", None)),
    hostile.mostly([None, 3, 100], N_INTERACTIONS),
    hostile.mostly([0], hostile.random_states()),
    quick=20,
    slow=150,
)
def test_sample_with_any_arguments(name, n_samples, n_interactions, seed):
    estimator = fitted(name)
    assume(hasattr(estimator, "sample"))
    options = {"random_state": seed}
    if name in RECOMMENDERS:
        options["n_interactions"] = n_interactions
    result = attempt(estimator.sample, n_samples, **options)
    if isinstance(result, Refused):
        return
    if name in RECOMMENDERS:
        assert sp.issparse(result)
        assert result.format == "csr"
        result = result.toarray()
        if n_interactions is not None:
            totals = result.sum(axis=1, dtype=np.float64)
            np.testing.assert_allclose(totals, n_interactions, rtol=1e-6)
    check_floats(result, (n_samples, N_ITEMS))


@cases(
    st.sampled_from(BY_NAME),
    st.sampled_from(["elbo", "score_samples"]),
    st.sampled_from((*hostile.INTEGERS, 3, "3", None, [2])),
    quick=8,
    slow=60,
)
def test_any_number_of_draws(name, method, n_draws):
    estimator = fitted(name)
    assume(hasattr(estimator, method))
    result = attempt(getattr(estimator, method), tame_rows(), n_draws=n_draws)
    if not isinstance(result, Refused):
        check_floats(result, (N_USERS,))


@cases(
    st.sampled_from(BY_NAME),
    st.one_of(
        st.none(), st.lists(st.sampled_from(["a", "b", "c", "d", 1, None]), max_size=6)
    ),
    quick=5,
    slow=40,
)
def test_feature_names_with_any_input(name, input_features):
    result = attempt(fitted(name).get_feature_names_out, input_features)
    if not isinstance(result, Refused):
        assert result.shape == (2,)
        assert result.dtype == object


@cases(
    st.sampled_from(BY_NAME),
    st.sampled_from((*hostile.FLAGS, "default", "pandas", "polars", "nothing", 3)),
    quick=5,
    slow=40,
)
def test_set_output_to_any_container(name, container):
    estimator = fitted(name)
    X = tame_rows()
    if container not in ("default", "pandas", "polars", None):
        with pytest.raises(ValueError, match="output config"):
            estimator.set_output(transform=container).transform(X)
        return
    estimator.set_output(transform=container)
    result = attempt(estimator.transform, X, names=["set_output", "output config"])
    if not isinstance(result, Refused):
        check_floats(np.asarray(result), (N_USERS, 2))
