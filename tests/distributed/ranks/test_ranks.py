"""One model, fitted by two processes of a gloo group."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone

from skvae import MultVAERecommender
from skvae.datasets import make_interactions
from tests.distributed.ranks.fits import (
    At,
    assert_same,
    fit,
    fit_and_look,
    fit_with_validation,
    left_by,
)

X = make_interactions(150, 60, random_state=0).matrix
# Without noise the processes compute what one does, but for rounding.
PLAIN = {"variational": False, "dropout": 0.0, "random_state": 0, "max_iter": 4}
ROUNDING = 1e-4  # of curves of float32, after the divisions of Adam


def assert_close(several, one):
    assert several.keys() == one.keys()
    for name, value in one.items():
        if name.endswith("curve_") or name in ("validation_scores_", "component_kl_"):
            np.testing.assert_allclose(
                several[name], value, rtol=ROUNDING, err_msg=name
            )
        elif name != "weights":
            assert several[name] == value, name


def test_replicated_rows_give_the_curves_of_one_process(pair):
    model = MultVAERecommender(
        8, **PLAIN, batch_size=31, early_stopping=True, n_iter_no_change=2, refit=True
    )
    alone = left_by(clone(model).fit(X))
    results = pair.run(fit, model.set_params(distributed="replicated"), [X, X])
    assert_same(results)
    assert_close(results[0], alone)


def test_rows_of_their_own_give_the_curves_of_one_process_with_all_of_them(pair):
    model = MultVAERecommender(8, **PLAIN, batch_size=31)
    alone = left_by(clone(model).fit(X))
    model.set_params(distributed="sharded")
    for end in (40, 150):  # then the second process has none
        results = pair.run(fit, model, [X[:end], X[end:]])
        assert_same(results)
        assert_close(results[0], alone)


def test_ctrl_c_in_one_process_ends_the_fit_in_all_with_the_same_weights(pair):
    interrupt = At(rank=1, step=7, what="interrupt")
    model = MultVAERecommender(
        8, distributed="replicated", callbacks=[interrupt], random_state=0
    )
    results = pair.run(fit_and_look, model, [X, X])
    assert [kind for kind, *_ in results] == ["KeyboardInterrupt"] * 2
    assert_same([left for *_, left in results])
    assert results[0][2]["n_iter_"] == 0
    results = pair.run(fit, model.set_params(callbacks=None), [X, X])
    assert_same(results)  # the group can be used again
    assert results[0]["n_iter_"] == 5


@pytest.mark.parametrize("when", ["before", "while"])
def test_an_error_in_one_process_ends_the_fit_in_all(pair, when):
    model = MultVAERecommender(8, distributed="replicated", random_state=0)
    rows = [X, X]
    if when == "before":
        rows[1] = -X
    else:
        model.set_params(callbacks=[At(rank=1, step=7, what="fail")])
    first, second = pair.run(fit_and_look, model, rows)
    assert first[0] == "RanksError"
    assert "rank 1" in first[1]
    assert second[0] == "ValueError"
    assert second[1] in first[1]
    assert first[2] == second[2] == set()  # the estimators are as before


def test_processes_that_do_not_fit_the_same_are_refused_by_all(pair):
    model = MultVAERecommender(8, distributed="replicated", random_state=0)
    for kind, message, left in pair.run(fit_and_look, model, [X, X[:100]]):
        assert kind == "ValueError"
        assert "the rows of X" in message
        assert left == set()


def test_validation_is_that_of_the_first_process(pair):
    half = sp.csr_array(X)[:, :]
    keep = np.arange(half.nnz) % 2 == 0
    X_val, y_val = half.copy(), half.copy()
    X_val.data, y_val.data = half.data * keep, half.data * ~keep
    X_val.eliminate_zeros()
    y_val.eliminate_zeros()
    validation = {"X_val": X_val, "y_val": y_val}
    model = MultVAERecommender(8, **PLAIN)
    alone = left_by(clone(model).fit(X, **validation))
    model.set_params(distributed="sharded")
    results = pair.run(fit_with_validation, model, [X[:40], X[40:]], validation)
    assert_same(results)
    assert_close(results[0], alone)


def test_a_distributed_fit_needs_a_group_of_processes():
    with pytest.raises(ValueError, match="init_process_group"):
        MultVAERecommender(8, distributed="replicated").fit(X)
