"""The warning of a long fit."""

import warnings
from types import SimpleNamespace

import pytest

from skvae import MultVAERecommender
from skvae._training._callbacks import LongFitWarning
from skvae.datasets import make_interactions

X = make_interactions(60, 50, random_state=0).matrix


@pytest.fixture
def clock(monkeypatch):
    """Clock of the callbacks by which a step takes 30 s, and the first one 3,000 s."""
    times = iter([3000.0, *(3000.0 + 30 * 5 for _ in range(10))])
    monkeypatch.setattr(
        "skvae._training._callbacks.time.perf_counter", lambda: next(times)
    )


def test_a_fit_of_hours_warns_once_and_says_how_to_shorten_it(clock):
    model = MultVAERecommender(2, batch_size=10, max_iter=40, random_state=0)
    with pytest.warns(UserWarning, match="bfloat16") as caught:
        model.fit(X)
    (message,) = (str(warning.message) for warning in caught)
    # 40 epochs of 6 steps of 30 s are 7,200 s.
    assert "Training of the model will take about 2.0 hours, for 240 steps" in message


def test_epochs_that_were_resumed_are_not_counted(clock):
    callback = LongFitWarning(n_epochs=40, steps_per_epoch=6)
    net = SimpleNamespace(history=[{}] * 39, training_of="the model")
    callback.on_train_begin(net)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(12):
            callback.on_batch_end(net)


def test_a_fit_of_less_than_an_hour_is_silent(clock):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MultVAERecommender(2, batch_size=10, max_iter=19, random_state=0).fit(X)
