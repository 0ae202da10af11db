"""Checks that every recommender must pass, for recommenders of your own.

They complement scikit-learn's `check_estimator`, which does not test recommendation,
and they have the same structure.
"""

import pickle
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.utils.estimator_checks import set_random_state

from skvae.datasets import make_checkerboard

if TYPE_CHECKING:
    import pytest

__all__ = [
    "check_recommender",
    "parametrize_with_recommender_checks",
    "recommender_checks_generator",
]

N_USERS, N_ITEMS = 36, 20
ROUNDING = 1e-4  # as a fraction of the greatest score of a user


def check_recommender(estimator: Any) -> None:
    """Check that an estimator satisfies the contract of a recommender.

    Parameters
    ----------
    estimator : object
        Unfitted recommender, with parameters that let it learn toy data of 36 users by
        20 items in a short time.

    Raises
    ------
    AssertionError
        If a check fails. The message says what was expected.

    See Also
    --------
    parametrize_with_recommender_checks : Run the same checks as pytest tests.
    sklearn.utils.estimator_checks.check_estimator : Checks for every estimator.

    Examples
    --------
    >>> from skvae import MultVAERecommender
    >>> from skvae.utils.estimator_checks import check_recommender
    >>> check_recommender(MultVAERecommender(n_components=8, learning_rate_init=0.01))
    """
    for _, check in recommender_checks_generator(estimator):
        check(estimator)


def parametrize_with_recommender_checks(
    estimators: Iterable[Any],
    *,
    expected_failed_checks: Callable[[Any], dict[str, str]] | None = None,
) -> "pytest.MarkDecorator":
    """Decorate a pytest test to run once for each estimator and check.

    Parameters
    ----------
    estimators : list of estimators
        Unfitted recommenders, as for `check_recommender`.
    expected_failed_checks : callable, default=None
        Function of an estimator that returns a dict, which maps the names of the checks
        that the estimator is expected to fail to the reasons. These tests are marked as
        xfail, as by :func:`sklearn.utils.estimator_checks.parametrize_with_checks`.

    Returns
    -------
    decorator : pytest.mark.parametrize
        Decorator that passes the arguments `estimator` and `check` to the test.

    Examples
    --------
    >>> from skvae import MultVAERecommender
    >>> from skvae.utils.estimator_checks import parametrize_with_recommender_checks
    >>> @parametrize_with_recommender_checks([MultVAERecommender()])
    ... def test_recommender_contract(estimator, check):
    ...     check(estimator)
    """
    import pytest

    cases = []
    for estimator in estimators:
        failing = (expected_failed_checks or (lambda _: {}))(estimator)
        for _, check in recommender_checks_generator(estimator):
            name = check.func.__name__
            marks = pytest.mark.xfail(reason=failing[name]) if name in failing else ()
            case_id = f"{type(estimator).__name__}-{name}"
            cases.append(pytest.param(estimator, check, marks=marks, id=case_id))
    return pytest.mark.parametrize(("estimator", "check"), cases)


def recommender_checks_generator(
    estimator: Any,
) -> Iterator[tuple[Any, "partial[None]"]]:
    """Yield the estimator together with each check of the contract.

    Parameters
    ----------
    estimator : object
        Unfitted recommender.

    Yields
    ------
    estimator : object
        The same estimator.
    check : callable
        Function of an estimator that raises an AssertionError if the check fails.

    Examples
    --------
    >>> from skvae import MultVAERecommender
    >>> from skvae.utils.estimator_checks import recommender_checks_generator
    >>> model = MultVAERecommender(n_components=8, learning_rate_init=0.01)
    >>> estimator, check = next(recommender_checks_generator(model))
    >>> check(estimator)
    """
    name = type(estimator).__name__
    for check in RECOMMENDER_CHECKS:
        yield estimator, partial(check, name)


def check_held_out_item_comes_first(name, estimator_orig):
    """On a checkerboard, each user's held-out item is the best unseen item."""
    X, held_out = make_checkerboard(N_USERS, N_ITEMS, random_state=0)
    estimator = _fit(estimator_orig, X)
    best = estimator.recommend(X, n_items=1)[:, 0]
    assert np.array_equal(best, held_out), (
        f"{name}: on a checkerboard, the held-out item must be recommended first to "
        f"all users, but it was for {np.mean(best == held_out):.0%} of them."
    )


def check_recommend_excludes_seen(name, estimator_orig):
    """The user's own items are excluded with `exclude_seen=True`, else ranked."""
    X = _interactions()
    estimator = _fit(estimator_orig, X)
    n_items = 5
    unseen = estimator.recommend(X, n_items)
    seen = X.toarray()[np.arange(len(unseen))[:, None], unseen] > 0
    assert not seen[unseen >= 0].any(), f"{name}: a seen item was recommended."
    items, scores = estimator.recommend(
        X, X.shape[1], exclude_seen=False, return_scores=True
    )
    expected = np.tile(np.arange(X.shape[1]), (X.shape[0], 1))
    assert np.array_equal(np.sort(items, axis=1), expected), (
        f"{name}: exclude_seen=False must rank every item once."
    )
    assert (np.diff(scores, axis=1) <= 0).all(), (
        f"{name}: recommend must return items by decreasing score."
    )


def check_recommend_ranks_the_decision_function(name, estimator_orig):
    """`recommend` agrees with `decision_function`, and `predict` with `recommend`."""
    X = _interactions()
    estimator = _fit(estimator_orig, X)
    items, scores = estimator.recommend(X, 3, exclude_seen=False, return_scores=True)
    expected = np.take_along_axis(estimator.decision_function(X), items, axis=1)
    np.testing.assert_array_equal(scores, expected)
    assert items.shape == scores.shape == (X.shape[0], 3)
    np.testing.assert_array_equal(
        estimator.predict(X), estimator.recommend(X, n_items=1)[:, 0]
    )


def check_more_items_than_exist_raise(name, estimator_orig):
    """More items than there are in the catalogue raise a ValueError."""
    X = _interactions()
    estimator = _fit(estimator_orig, X)
    for arguments in ({"n_items": X.shape[1] + 1}, {"n_items": 0}):
        try:
            estimator.recommend(X, **arguments)
        except ValueError as error:
            assert str(arguments["n_items"]) in str(error), (
                f"{name}: the error of recommend({arguments}) must state n_items."
            )
        else:
            raise AssertionError(
                f"{name}: recommend({arguments}) must raise a ValueError."
            )


def check_candidates_restrict_the_ranking(name, estimator_orig):
    """Only candidates are ranked, in the same order as among all items."""
    X = _interactions()
    estimator = _fit(estimator_orig, X)
    candidates = np.array([11, 2, 5, 7])
    items = estimator.recommend(X, 4, exclude_seen=False, candidates=candidates)
    everything = estimator.recommend(X, X.shape[1], exclude_seen=False)
    for user in range(X.shape[0]):
        expected = everything[user][np.isin(everything[user], candidates)]
        np.testing.assert_array_equal(items[user], expected)


def check_too_few_candidates(name, estimator_orig):
    """With fewer candidates than `n_items`, rows end with -1 and -inf."""
    X = _interactions()
    estimator = _fit(estimator_orig, X)
    for candidates in ([3, 11], []):
        options = {"exclude_seen": False, "candidates": candidates}
        try:
            items, scores = estimator.recommend(X, 4, return_scores=True, **options)
        except Exception as error:
            raise AssertionError(
                f"{name}: recommend must accept {len(candidates)} candidates with "
                f"n_items=4, but it raised {error!r}."
            ) from error
        found = np.zeros((X.shape[0], 4), dtype=bool)
        found[:, : len(candidates)] = True
        assert np.array_equal(items >= 0, found), (
            f"{name}: {len(candidates)} candidates must be followed by -1."
        )
        assert (scores[~found] == -np.inf).all(), f"{name}: -1 must score -inf."


def check_too_few_unseen_items(name, estimator_orig):
    """A user with fewer than `n_items` unseen items gets -1 and -inf at the end."""
    X = _interactions()
    estimator = _fit(estimator_orig, X)
    almost_all = np.ones((2, X.shape[1]))
    almost_all[0, 3] = 0
    items, scores = estimator.recommend(almost_all, n_items=2, return_scores=True)
    np.testing.assert_array_equal(items, [[3, -1], [-1, -1]])
    assert np.isfinite(scores[0, 0]), f"{name}: the one unseen item has no score."
    assert (scores[items == -1] == -np.inf).all(), f"{name}: -1 must score -inf."
    assert estimator.predict(almost_all)[1] == -1


def check_similar_items(name, estimator_orig):
    """`similar_items`, if there is one, ranks for a user who has the item alone."""
    if not hasattr(estimator_orig, "similar_items"):
        return
    X = _interactions()
    estimator = _fit(estimator_orig, X)
    queries = np.array([7, 2, 7])
    alone = np.zeros((3, X.shape[1]))
    alone[np.arange(3), queries] = 1
    items, scores = estimator.similar_items(queries, 5, return_scores=True)
    expected = estimator.recommend(alone, 5, return_scores=True)
    np.testing.assert_array_equal(items, expected[0])
    np.testing.assert_array_equal(scores, expected[1])
    some = estimator.similar_items(queries, 1, candidates=[7, 3])
    np.testing.assert_array_equal(some[[0, 2]], [[3], [3]])
    for wrong in ([X.shape[1]], [-1], [0.5], 3):
        try:
            estimator.similar_items(wrong)
        except ValueError:
            continue
        raise AssertionError(
            f"{name}: similar_items must raise a ValueError for items={wrong!r}."
        )


def check_user_without_history(name, estimator_orig):
    """A user without interactions gets finite scores and a full list."""
    X = _interactions()
    estimator = _fit(estimator_orig, X)
    nobody = sp.csr_array((2, X.shape[1]))
    assert np.isfinite(estimator.decision_function(nobody)).all()
    items = estimator.recommend(nobody, n_items=X.shape[1])
    np.testing.assert_array_equal(np.sort(items[0]), np.arange(X.shape[1]))


def check_input_formats_agree(name, estimator_orig):
    """Sparse matrices, sparse arrays of any format and dense arrays fit the same."""
    X = _interactions()
    expected = _fit(estimator_orig, X).decision_function(X)
    for form in (sp.csr_matrix, sp.csr_array, sp.csc_array, sp.coo_array, _dense):
        same = form(X)
        scores = _fit(estimator_orig, same).decision_function(same)
        np.testing.assert_array_equal(scores, expected, err_msg=f"{name}: {form}")


def check_stored_zeros_and_duplicates(name, estimator_orig):
    """Stored zeros are ignored, duplicates are summed, and X is not modified."""
    X = _interactions()
    rows, columns = X.nonzero()
    rows = np.concatenate([rows, rows, [0]])
    columns = np.concatenate([columns, columns, [int((X.toarray()[0] == 0).argmax())]])
    data = np.concatenate([np.full(2 * X.nnz, 0.5), [0.0]])
    order = np.argsort(rows, kind="stable")
    indptr = np.searchsorted(rows[order], np.arange(X.shape[0] + 1))
    messy = sp.csr_array((data[order], columns[order], indptr), shape=X.shape)
    before = [part.copy() for part in (messy.data, messy.indices, messy.indptr)]
    estimator = _fit(estimator_orig, X)
    np.testing.assert_array_equal(
        estimator.recommend(messy, 5), estimator.recommend(X, 5)
    )
    for part, old in zip(
        (messy.data, messy.indices, messy.indptr), before, strict=True
    ):
        np.testing.assert_array_equal(part, old)


def check_order_of_users(name, estimator_orig):
    """The scores of a user do not depend on the order of the rows.

    They may differ by rounding, as in `check_users_in_batches_of_any_size`.
    """
    X = _interactions()
    estimator = _fit(estimator_orig, X)
    order = np.random.default_rng(0).permutation(X.shape[0])
    whole = estimator.decision_function(X)[order]
    _assert_equal_but_for_rounding(
        estimator.decision_function(X[order]), whole, "of users in another order", name
    )
    items, scores = estimator.recommend(X[order], 5, return_scores=True)
    _assert_equal_but_for_rounding(
        scores,
        estimator.recommend(X, 5, return_scores=True)[1][order],
        "of recommend in another order",
        name,
    )
    found = np.take_along_axis(whole, items, axis=1)
    _assert_equal_but_for_rounding(
        scores, found, "of recommend and of decision_function", name
    )


def check_users_in_batches_of_any_size(name, estimator_orig):
    """The scores of a user do not depend on the other rows of X.

    They may differ by rounding, because linear algebra libraries choose their kernels
    by the shape and the alignment of matrices. The limit is 1e-4 of the greatest score
    of the user: about the precision of a least-squares problem with a condition number
    of 1,000 in float32, which has a relative precision of 6e-8. The scores of models
    that only compute products agree much better.
    """
    X = _interactions()
    estimator = _fit(estimator_orig, X)
    whole = estimator.decision_function(X)
    for size in (1, 7):
        pieces = [
            estimator.decision_function(X[start : start + size])
            for start in range(0, X.shape[0], size)
        ]
        _assert_equal_but_for_rounding(
            np.concatenate(pieces), whole, f"of users in batches of {size}", name
        )


def check_second_fit_starts_afresh(name, estimator_orig):
    """A second fit does not depend on the first one."""
    X = _interactions()
    other = _interactions(seed=1)
    expected = _fit(estimator_orig, X).decision_function(X)
    again = _fit(estimator_orig, other).fit(X).decision_function(X)
    np.testing.assert_array_equal(again, expected)


def check_pickle(name, estimator_orig):
    """A pickled estimator scores and ranks as before."""
    X = _interactions()
    estimator = _fit(estimator_orig, X)
    loaded = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(
        loaded.decision_function(X), estimator.decision_function(X)
    )
    np.testing.assert_array_equal(loaded.recommend(X, 4), estimator.recommend(X, 4))


def check_score_takes_the_truth(name, estimator_orig):
    """`score` ignores a 1-D y, takes a sparse y as ground truth, refuses other y."""
    X = _interactions()
    estimator = _fit(estimator_orig, X)
    score = estimator.score(X)
    assert isinstance(score, float), f"{name}: score must return a float."
    assert score == estimator.score(X, np.zeros(X.shape[0]))
    best = estimator.predict(X)
    found = best >= 0
    truth = sp.csr_array(
        (np.ones(found.sum()), (np.flatnonzero(found), best[found])), shape=X.shape
    )
    np.testing.assert_allclose(estimator.score(X, truth), 1.0)
    for wrong in (X, np.ones(X.shape)):  # one overlaps with X, the other is dense
        try:
            estimator.score(X, wrong)
        except ValueError:
            continue
        raise AssertionError(
            f"{name}: score must raise a ValueError if y is dense or overlaps with X."
        )


RECOMMENDER_CHECKS = (
    check_held_out_item_comes_first,
    check_recommend_excludes_seen,
    check_recommend_ranks_the_decision_function,
    check_more_items_than_exist_raise,
    check_candidates_restrict_the_ranking,
    check_too_few_candidates,
    check_too_few_unseen_items,
    check_similar_items,
    check_user_without_history,
    check_input_formats_agree,
    check_stored_zeros_and_duplicates,
    check_order_of_users,
    check_users_in_batches_of_any_size,
    check_second_fit_starts_afresh,
    check_pickle,
    check_score_takes_the_truth,
)


def _interactions(seed=0):
    rng = np.random.default_rng(seed)
    return sp.csr_array((rng.random((N_USERS, N_ITEMS)) < 0.3).astype(np.float32))


def _assert_equal_but_for_rounding(scores, expected, how, name):
    limit = ROUNDING * np.abs(expected).max(axis=1, keepdims=True)
    error = np.where(scores == expected, 0, np.abs(scores - expected))
    assert (error <= limit).all(), (
        f"{name}: scores {how} differ by up to {error.max():.2g}, but they may differ "
        f"by at most {ROUNDING:g} of the greatest score of a user."
    )


def _dense(X):
    return X.toarray()


def _fit(estimator_orig, X):
    estimator = clone(estimator_orig)
    set_random_state(estimator)
    return estimator.fit(X)
