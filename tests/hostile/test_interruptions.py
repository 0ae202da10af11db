"""Interruptions at any line of the package: what they leave can be used."""

import contextlib
import sys
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

import skvae
from skvae import CollaborativeVAE, MultVAERecommender, save_model
from skvae.metrics import make_ranking_scorer
from tests.hostile.cases import cases
from tests.hostile.estimators import BY_NAME, content, fitted, make, tame_rows
from tests.hostile.outcomes import check_fitted, fingerprint

PACKAGE = str(Path(skvae.__file__).parent)


class Interrupted:
    """Raise a KeyboardInterrupt before line number `at` that the package runs.

    A signal is handled between two instructions of Python. Here the moment is a number
    of lines, so that the same interruption can be repeated.
    """

    def __init__(self, at=None):
        self.at = at
        self.n_lines = 0

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self._enter_frame)
        return self

    def __exit__(self, *error):
        sys.settrace(self.before)

    def _enter_frame(self, frame, event, arg):
        return self._see if frame.f_code.co_filename.startswith(PACKAGE) else None

    def _see(self, frame, event, arg):
        if event == "line":
            self.n_lines += 1
            if self.n_lines == self.at:
                sys.settrace(self.before)
                raise KeyboardInterrupt
        return self._see


def interrupt(function, share):
    """Run a function of no arguments, and interrupt it after a share of its lines.

    The function is run twice, and must do the same each time.
    """
    with Interrupted() as whole:
        function()
    at = 1 + int(share * (whole.n_lines - 1))
    with Interrupted(at), contextlib.suppress(KeyboardInterrupt):
        function()


def check_usable(name, estimator):
    """Assert that the model has all that belongs to a fit."""
    X = tame_rows()
    check_fitted(estimator)
    assert np.isfinite(estimator.transform(X)).all()
    if isinstance(estimator, CollaborativeVAE):
        assert np.isfinite(estimator.user_factors_).all()
    else:
        assert len(estimator.loss_curve_) == estimator.n_iter_
    with tempfile.TemporaryDirectory() as folder:
        save_model(estimator, Path(folder) / "model")
    estimator.fit(X, **content(name))
    check_fitted(estimator)


SHARES = st.floats(0, 1, exclude_max=True, allow_subnormal=False)


@cases(
    st.sampled_from(BY_NAME),
    st.sampled_from(["fit", "fit again", "warm start", "partial_fit"]),
    SHARES,
    quick=40,
    slow=600,
)
def test_fits_interrupted_at_any_line(name, how, share):
    X, started = tame_rows(), []
    method = "partial_fit" if how == "partial_fit" else "fit"
    extra = {} if method == "partial_fit" else content(name)
    assume(hasattr(make(name), method))
    assume(how != "warm start" or hasattr(make(name), "warm_start"))

    def run():
        estimator = make(name) if how == "fit" else fitted(name)
        if how == "warm start":
            estimator.set_params(warm_start=True)
        started.append((estimator, fingerprint(estimator)))
        getattr(estimator, method)(X, **extra)

    interrupt(run, share)
    estimator, before = started[-1]
    if hasattr(estimator, "_module"):
        check_usable(name, estimator)
    else:
        assert fingerprint(estimator) == before


@cases(
    st.sampled_from(BY_NAME),
    st.sampled_from(["transform", "recommend", "score", "score_samples", "sample"]),
    SHARES,
    quick=20,
    slow=200,
)
def test_interrupted_inference_changes_nothing(name, method, share):
    estimator = fitted(name)
    assume(hasattr(estimator, method))
    before = fingerprint(estimator)
    X = tame_rows()
    arguments = {"sample": (3,), "recommend": (X, 2)}.get(method, (X,))
    if method == "sample":
        estimator.sample(3, random_state=0)
    interrupt(lambda: getattr(estimator, method)(*arguments), share)
    assert fingerprint(estimator) == before


@cases(SHARES, quick=5, slow=40)
def test_an_interrupted_scorer_changes_nothing(share):
    estimator = fitted("mult-vae")
    assert isinstance(estimator, MultVAERecommender)
    before = fingerprint(estimator)
    scorer = make_ranking_scorer(("ndcg@2", "coverage@1"))
    interrupt(lambda: scorer(estimator, tame_rows()), share)
    assert fingerprint(estimator) == before
    assert set(scorer(estimator, tame_rows())) == {"ndcg@2", "coverage@1"}
