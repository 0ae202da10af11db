"""Hostile data, parameters and routing for searches and cross-validation."""

import numpy as np
import sklearn
from hypothesis import assume
from hypothesis import strategies as st
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skvae.metrics import make_ranking_scorer
from skvae.model_selection import top_items
from tests.hostile import strategies as hostile
from tests.hostile.cases import cases
from tests.hostile.estimators import (
    BY_NAME,
    COLLABORATIVE,
    N_ITEMS,
    N_USERS,
    RECOMMENDERS,
    content,
    make,
    tame_rows,
)
from tests.hostile.outcomes import Refused, attempt, check_fitted, check_ranking
from tests.hostile.test_estimators import settings_of

# What scikit-learn says of arguments that do not get as far as the estimators.
OF_SKLEARN = (
    *("Found input variables with inconsistent numbers of samples", "Found array with"),
    *("Cannot have number of splits", "The 'scoring' parameter", "scoring value"),
    *(
        "Expected sequence or array-like",
        "Singleton array",
        "Input should have at least",
    ),
    *(
        "predefined scorers",
        "No valid specification of the columns",
        "refit",
        "does not support indexing",
    ),
    *(
        "Cannot index",
        "len()",
        "Complex data not supported",
        "fit_params",
        "param_grid",
    ),
)


# scikit-learn splits X and y before anything of skvae sees them: torch cannot select
# rows of its sparse tensors, and scipy reads outside of matrices whose ends of rows are
# wrong. Wrong columns of a CSR stay as they are, and must be refused.
NOT_SPLIT = {"torch sparse", *hostile.CORRUPT} - {
    *("csr counted from 1", "csr below 0", "csr far away")
}


def can_be_split(recipe):
    """Whether scikit-learn can select rows of what the recipe makes."""
    return getattr(recipe, "container", None) not in NOT_SPLIT


def search_of(estimator, scoring, grid=None, refit=True):
    return GridSearchCV(
        estimator,
        grid or {"random_state": [0]},
        scoring=scoring,
        refit=refit,
        cv=KFold(2),
        error_score="raise",
    )


def check_scores(scores):
    """Assert that scores are shares, or NaN where nothing could be held out."""
    scores = np.asarray(scores)
    assert scores.dtype == np.float64
    assert (np.isnan(scores) | ((scores >= 0) & (scores <= 1 + 1e-12))).all()


@cases(
    st.sampled_from(BY_NAME),
    st.sampled_from(["default", "one metric", "two metrics"]),
    hostile.anything(),
    quick=20,
    slow=200,
)
def test_searches_on_any_rows(name, scoring, rows):
    ranks = name in RECOMMENDERS
    assume(ranks or (scoring == "default" and hasattr(make(name), "score")))
    assume(can_be_split(rows))
    scorer, refit = None, True
    if scoring == "one metric":
        scorer = make_ranking_scorer("ndcg@2")
    elif scoring == "two metrics":
        scorer, refit = make_ranking_scorer(("ndcg@2", "coverage@1")), "ndcg@2"
    search = search_of(make(name), scorer, refit=refit)
    features = content(name, max(rows.shape[1], 1)) if hasattr(rows, "shape") else {}
    if features:  # a mapping is not split, whatever the numbers of users and items
        features = {"item_features": {"features": features["item_features"]}}

    def fit(X):
        return search.fit(X, **features)

    result = attempt(fit, rows.build(), names=OF_SKLEARN)
    if isinstance(result, Refused):
        return
    check_fitted(search.best_estimator_)
    for key, values in search.cv_results_.items():
        if key.startswith("split") and ranks:
            check_scores(values)


@cases(
    st.sampled_from(RECOMMENDERS),
    hostile.tame((N_USERS, N_ITEMS), ("binary",)),
    st.one_of(
        st.none(),
        hostile.tame((N_USERS, N_ITEMS), ("binary", "zeros")),
        hostile.anything(n_rows=(N_USERS, N_USERS, 5, 0)),
    ),
    quick=15,
    slow=150,
)
def test_cross_validation_against_any_truth(name, rows, truth):
    assume(truth is None or can_be_split(truth))
    scorer = make_ranking_scorer(("ndcg@2", "coverage@1"))
    params = content(name)
    if params:
        params = {"item_features": {"features": params["item_features"]}}

    def fit(X, y):
        search = search_of(make(name), scorer, refit=False)
        return search.fit(X, y, **params).cv_results_

    result = attempt(
        fit, rows.build(), None if truth is None else truth.build(), names=OF_SKLEARN
    )
    if not isinstance(result, Refused):
        for metric in ("ndcg@2", "coverage@1"):
            check_scores(result[f"mean_test_{metric}"])


@cases(settings_of(), quick=20, slow=200)
def test_searches_over_any_parameters(drawn):
    name, parameters = drawn
    # Callbacks of the user may raise any error; None draws from numpy's generator.
    assume(not {"callbacks", "random_state"} & parameters.keys())
    estimator, X = make(name), tame_rows()
    grid = {parameter: [value] for parameter, value in parameters.items()}
    features = content(name)
    if features:
        features = {"item_features": {"features": features["item_features"]}}

    def fit(X):
        return search_of(estimator, None, grid).fit(X, **features)

    names = (*OF_SKLEARN, *estimator.get_params(), "Cannot clone", "get_params")
    result = attempt(fit, X, names=names)
    if not isinstance(result, Refused):
        check_fitted(result.best_estimator_)


@cases(
    st.sampled_from(COLLABORATIVE),
    st.booleans(),
    st.sampled_from([True, False, None, "features"]),
    hostile.anything(n_rows=(5, 5, 5, 4, 0, 1), n_columns=(4, 4, 4, 5, 0, 1)),
    quick=20,
    slow=150,
)
def test_routing_of_any_item_features(name, in_mapping, request, features):
    """Content reaches the fit, or an error says that it does not."""
    built = features.build()
    passed = {"features" if request == "features" else "item_features": built}
    if in_mapping:
        passed = {key: {"features": built} for key in passed}
    X = tame_rows()
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = make(name).set_fit_request(item_features=request)

        def fit(X, item_features):
            pipeline = make_pipeline(FunctionTransformer(), estimator)
            scorer = make_ranking_scorer("ndcg@2")
            search = search_of(
                pipeline, scorer, {f"{pipeline.steps[-1][0]}__tol": [0.0]}
            )
            return search.fit(X, **item_features)

        names = (*OF_SKLEARN, "features", "metadata")
        result = attempt(fit, X, passed, names=names)
    if isinstance(result, Refused):
        return
    inner = result.best_estimator_[-1]
    check_fitted(inner)
    # It was not left out silently.
    assert (inner._module.content is None) == (built is None or request is False)
    check_ranking(top_items(result, X, 2), N_USERS, 2, N_ITEMS)


@cases(
    st.sampled_from(RECOMMENDERS),
    st.sampled_from(
        ["ndcg@2", "mrr@2", "accuracy", "r2", None, 3, (), ["ndcg@2"], {"a": "ndcg@2"}]
    ),
    quick=8,
    slow=40,
)
def test_cross_validation_with_any_scoring(name, scoring):
    params = content(name)
    if params:
        params = {"item_features": {"features": params["item_features"]}}

    def validate(X):
        return cross_validate(
            make(name),
            X,
            scoring=scoring,
            cv=2,
            params=params,
            error_score="raise",
        )

    names = (*OF_SKLEARN, "Unknown scoring", "_score() missing", "missing 1 required")
    result = attempt(validate, tame_rows(), names=names)
    if not isinstance(result, Refused):
        check_scores(result["test_score"])
