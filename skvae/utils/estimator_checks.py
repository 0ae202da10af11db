"""What every recommender must satisfy, as checks to run on an estimator of your own.

They stand beside scikit-learn's `check_estimator`, which knows nothing of users and
items, and are built like it.
"""

import pickle
from functools import partial

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.utils.estimator_checks import set_random_state

from skvae.datasets import make_checkerboard

__all__ = [
    "check_recommender",
    "parametrize_with_recommender_checks",
    "recommender_checks_generator",
]

N_USERS, N_ITEMS = 36, 20
ROUNDING = 1e-4  # of the greatest score of a user


def check_recommender(estimator):
    """Check that an estimator keeps the contract of a recommender.

    Parameters
    ----------
    estimator : object
        Unfitted, with settings that let it learn a toy of 36 users by 20 items in
        little time.

    Raises
    ------
    AssertionError
        If it does not; the message says what was expected.

    See Also
    --------
    parametrize_with_recommender_checks : The same as tests of pytest.
    sklearn.utils.estimator_checks.check_estimator : What every estimator must satisfy.

    Examples
    --------
    >>> from skvae import MultVAERecommender
    >>> from skvae.utils.estimator_checks import check_recommender
    >>> check_recommender(MultVAERecommender(n_components=8, learning_rate_init=0.01))
    """
    for _, check in recommender_checks_generator(estimator):
        check(estimator)


def parametrize_with_recommender_checks(estimators, *, expected_failed_checks=None):
    """Decorate a pytest test to run once for each estimator and check.

    Parameters
    ----------
    estimators : list of estimators
        As for `check_recommender`.
    expected_failed_checks : callable, default=None
        Takes an estimator and returns a dict of the checks that it is expected to
        fail, by name, each with the reason: such tests are marked as xfail. As in
        :func:`sklearn.utils.estimator_checks.parametrize_with_checks`.

    Returns
    -------
    decorator : pytest.mark.parametrize
        Gives the test the arguments `estimator` and `check`.

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


def recommender_checks_generator(estimator):
    """Yield (estimator, check) for every check of the contract.

    Parameters
    ----------
    estimator : object
        Unfitted recommender.

    Yields
    ------
    estimator : object
        The same.
    check : callable
        Takes the estimator; raises an AssertionError where the contract is broken.

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
    """On a checkerboard, the item held out of each user is the best unseen one."""
    X, held_out = make_checkerboard(N_USERS, N_ITEMS, random_state=0)
    estimator = _fit(estimator_orig, X)
    best = estimator.recommend(X, n_items=1)[:, 0]
    assert np.array_equal(best, held_out), (
        f"{name}: the held-out item came first for "
        f"{np.mean(best == held_out):.0%} of the users of a checkerboard."
    )


def check_recommend_excludes_seen(name, estimator_orig):
    """`exclude_seen` leaves out a user's own items, and only then."""
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
        f"{name}: exclude_seen=False does not rank every item once."
    )
    assert (np.diff(scores, axis=1) <= 0).all(), f"{name}: not in order of score."


def check_recommend_ranks_the_decision_function(name, estimator_orig):
    """`recommend` returns the scores that `decision_function` gives, and `predict`."""
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
    """To ask more items than the catalogue or the candidates hold is an error."""
    X = _interactions()
    estimator = _fit(estimator_orig, X)
    for arguments in (
        {"n_items": X.shape[1] + 1},
        {"n_items": 3, "candidates": [0, 1]},
        {"n_items": 0},
    ):
        try:
            estimator.recommend(X, **arguments)
        except ValueError as error:
            assert str(arguments["n_items"]) in str(error), (
                f"{name}: the error of recommend({arguments}) does not name n_items."
            )
        else:
            raise AssertionError(f"{name}: recommend({arguments}) did not raise.")


def check_candidates_restrict_the_ranking(name, estimator_orig):
    """Only candidates are ranked, in the order that they have among all items."""
    X = _interactions()
    estimator = _fit(estimator_orig, X)
    candidates = np.array([11, 2, 5, 7])
    items = estimator.recommend(X, 4, exclude_seen=False, candidates=candidates)
    everything = estimator.recommend(X, X.shape[1], exclude_seen=False)
    for user in range(X.shape[0]):
        expected = everything[user][np.isin(everything[user], candidates)]
        np.testing.assert_array_equal(items[user], expected)


def check_too_few_unseen_items(name, estimator_orig):
    """A user with fewer unseen items than asked gets -1 and -inf at the end."""
    X = _interactions()
    estimator = _fit(estimator_orig, X)
    almost_all = np.ones((2, X.shape[1]))
    almost_all[0, 3] = 0
    items, scores = estimator.recommend(almost_all, n_items=2, return_scores=True)
    np.testing.assert_array_equal(items, [[3, -1], [-1, -1]])
    assert np.isfinite(scores[0, 0]), f"{name}: the one unseen item has no score."
    assert (scores[items == -1] == -np.inf).all(), f"{name}: -1 must score -inf."
    assert estimator.predict(almost_all)[1] == -1


def check_user_without_history(name, estimator_orig):
    """A user without interactions gets finite scores and a full list."""
    X = _interactions()
    estimator = _fit(estimator_orig, X)
    nobody = sp.csr_array((2, X.shape[1]))
    assert np.isfinite(estimator.decision_function(nobody)).all()
    items = estimator.recommend(nobody, n_items=X.shape[1])
    np.testing.assert_array_equal(np.sort(items[0]), np.arange(X.shape[1]))


def check_input_formats_agree(name, estimator_orig):
    """csr_matrix, csr_array, other formats and arrays give the same model."""
    X = _interactions()
    expected = _fit(estimator_orig, X).decision_function(X)
    for form in (sp.csr_matrix, sp.csr_array, sp.csc_array, sp.coo_array, _dense):
        same = form(X)
        scores = _fit(estimator_orig, same).decision_function(same)
        np.testing.assert_array_equal(scores, expected, err_msg=f"{name}: {form}")


def check_stored_zeros_and_duplicates(name, estimator_orig):
    """A stored zero is no interaction and duplicates add up; X is left as it was."""
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
    """The order of the rows does not change the scores of a user.

    The scores may differ by rounding, as in `check_users_in_batches_of_any_size`.
    """
    X = _interactions()
    estimator = _fit(estimator_orig, X)
    order = np.random.default_rng(0).permutation(X.shape[0])
    whole = estimator.decision_function(X)[order]
    _assert_equal_but_for_rounding(
        estimator.decision_function(X[order]), whole, "in another order", name
    )
    items, scores = estimator.recommend(X[order], 5, return_scores=True)
    _assert_equal_but_for_rounding(
        scores, estimator.recommend(X, 5, return_scores=True)[1][order], "ranked", name
    )
    found = np.take_along_axis(whole, items, axis=1)
    _assert_equal_but_for_rounding(scores, found, "of the ranked items", name)


def check_users_in_batches_of_any_size(name, estimator_orig):
    """The scores of a user do not depend on the other rows of X.

    They may differ by rounding, for libraries of linear algebra choose their kernels
    by the shape and the alignment of matrices: by 1e-4 of the greatest score of the
    user. This is what float32 (a relative precision of 6e-8) keeps of a least-squares
    problem with a condition number of about 1,000. The scores of models that compute
    products alone agree much better.
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
            np.concatenate(pieces), whole, f"in batches of {size}", name
        )


def check_second_fit_starts_afresh(name, estimator_orig):
    """A fit forgets the one before it, its schedules included."""
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
    """`score` ignores a 1-D y, takes a sparse y as the truth, and refuses the rest."""
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
    for wrong in (X, np.ones(X.shape)):  # overlaps with X; two-dimensional and dense
        try:
            estimator.score(X, wrong)
        except ValueError:
            continue
        raise AssertionError(f"{name}: score took a y that is not a truth.")


RECOMMENDER_CHECKS = (
    check_held_out_item_comes_first,
    check_recommend_excludes_seen,
    check_recommend_ranks_the_decision_function,
    check_more_items_than_exist_raise,
    check_candidates_restrict_the_ranking,
    check_too_few_unseen_items,
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
        f"{name}: scores {how} differ by up to {error.max():.2g}, and rounding is at "
        f"most {ROUNDING:g} of the greatest score of a user."
    )


def _dense(X):
    return X.toarray()


def _fit(estimator_orig, X):
    estimator = clone(estimator_orig)
    set_random_state(estimator)
    return estimator.fit(X)
