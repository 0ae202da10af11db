"""The comparison on citeulike-t, on small drawn data instead."""

import json

import numpy as np

from benchmarks.ranking import citeulike
from skvae.datasets import make_interactions
from skvae.model_selection import hold_out_interactions


def test_every_model_is_fitted_and_scored(monkeypatch, tmp_path):
    X = make_interactions(60, 320, random_state=0).matrix
    words = np.random.default_rng(0).poisson(0.5, (320, 30)).astype(float)
    train, test = hold_out_interactions(X, random_state=0)
    monkeypatch.setattr(citeulike, "load", lambda *_: (train, test, words, None))
    for _, make, _ in citeulike.MODELS.values():
        model = make("p10")
        for name, value in (
            ("content_epochs", 1),
            ("layer_epochs", 0),
            ("max_iter", 2),
        ):
            if hasattr(model, name):
                monkeypatch.setattr(model, name, value)
    citeulike.main(["--protocol", "p10", "--seeds", "0", "--output", str(tmp_path)])
    for name in citeulike.MODELS:
        (result,) = json.loads((tmp_path / f"{name}.json").read_text()).values()
        recalls = list(result["recall"].values())
        assert 0 < recalls[0] <= recalls[-1] <= 1
    assert "hybrid item-kNN" in (tmp_path / "README.md").read_text()
