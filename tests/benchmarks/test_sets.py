"""The comparison of recommenders on several sets: folds, choices, paired figures."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.ranking import picture, sets
from benchmarks.ranking.implicit_als import ImplicitALS
from skvae.baselines import EASE, Popularity
from skvae.datasets import make_interactions

X = make_interactions(100, 120, random_state=0).matrix
OPTIONS = SimpleNamespace(folds=5, models=["popularity", "ease"])


def test_every_user_is_tested_once_and_never_trained_on():
    totals = np.zeros(120)
    for fold in sets.in_folds(X, OPTIONS):
        fold_in, held_out = fold["test"]
        assert fold["train"].shape[0] + fold_in.shape[0] == 100
        n_validated = fold["validation"][0].shape[0]
        n_rest = fold["without validation"].shape[0]
        assert n_rest + n_validated == fold["train"].shape[0]
        assert fold_in.multiply(held_out).nnz == 0
        totals += (fold_in + held_out).sum(axis=0)
    np.testing.assert_array_equal(totals, X.sum(axis=0))


def test_the_setting_is_the_best_on_validation_users_and_figures_are_of_the_test():
    fold = next(sets.in_folds(X, OPTIONS))
    chosen = sets.best_setting(EASE(), {"l2": [1e-6, 50.0]}, fold)
    assert chosen.l2 == 50.0
    assert not hasattr(chosen, "item_weights_")
    result = sets.score(chosen, fold)
    fitted = EASE(l2=50.0).fit(fold["train"])
    ranked = fitted.recommend(fold["test"][0], n_items=100)
    expected = sets.ndcg_at_k(fold["test"][1], y_rank=ranked, k=100)
    assert np.nanmean(result["per user"]["ndcg@100"]) == pytest.approx(expected)


def test_differences_are_of_the_same_users():
    folds = [
        {
            name: {
                "chosen": Popularity(),
                "run": {},
                **dict.fromkeys(sets.FIGURES, 1.0),
                "per user": dict.fromkeys(sets.METRICS, np.array(values)),
            }
            for name, values in (
                ("ease", [0.1, np.nan, 0.5]),
                ("knn", [0.2, np.nan, 0.3]),
            )
        }
    ] * 2
    summary = sets.summarize(folds)
    assert summary["n_users"] == 4
    mean, error = summary["compared"]["EASE minus item-kNN"]
    assert mean == pytest.approx(0.05)
    assert error == pytest.approx(np.std([-0.1, 0.2] * 2, ddof=1) / 2)


def test_a_short_run_writes_tables(tmp_path, monkeypatch):
    monkeypatch.setitem(sets.SETS, "ml-1m", lambda o: sets.in_folds(X, o))
    models = {"popularity": ("popularity", Popularity(), {})}
    models["ease"] = ("EASE", EASE(), {"l2": [10, 100]})
    monkeypatch.setattr(sets, "MODELS", models)
    output = tmp_path / "sets"
    arguments = ["--sets", "ml-1m", "--folds", "2", "--output", str(output)]
    sets.main([*arguments, "--models", "popularity", "ease"])
    text = output.with_suffix(".md").read_text()
    assert "2 folds" in text
    assert "**EASE**" in text


def test_models_are_added_to_those_of_an_earlier_run(tmp_path, monkeypatch):
    monkeypatch.setitem(sets.SETS, "ml-1m", lambda o: sets.in_folds(X, o))
    models = {"popularity": ("popularity", Popularity(), {})}
    models["ease"] = ("EASE", EASE(), {})
    monkeypatch.setattr(sets, "MODELS", models)
    arguments = ["--sets", "ml-1m", "--folds", "2", "--output", str(tmp_path / "sets")]
    sets.main([*arguments, "--models", "popularity"])
    models["popularity"] = ("popularity", None, {})  # a second fit would fail
    sets.main([*arguments, "--models", "popularity", "ease", "--add"])
    report = json.loads((tmp_path / "sets.json").read_text())["sets"]["ml-1m"]
    assert list(report["models"]) == ["popularity", "EASE"]
    assert report["compared"]["EASE minus popularity"][0] > 0


def test_the_picture_has_a_point_for_each_model():
    model = {"seconds to fit": 2.0, "test": {"ndcg@100": {"mean": 0.4}}}
    models = {"EASE": model, "blend: linear + EASE": model, "popularity": model}
    figure = picture.draw({"one": {"models": models}, "two": {"models": models}})
    *panels, legend = figure.axes
    assert [ax.get_title(loc="left") for ax in panels[:2]] == ["one", "two"]
    for ax in panels[:2]:  # popularity is out of range
        points = [points.get_offsets().tolist() for points in ax.collections]
        assert points == [[[2.0, 0.4]]] * 2
    texts = [text.get_text() for text in legend.get_legend().get_texts()]
    assert texts == ["EASE", "blend: linear + EASE"]


def test_users_are_folded_into_the_als_of_implicit_by_least_squares():
    pytest.importorskip("implicit")
    model = ImplicitALS(4, alpha=5, regularization=0.1, random_state=0).fit(X)
    V = model.model_.item_factors.astype(float)
    row = X[:1].toarray().ravel().astype(float)
    weights = np.where(row > 0, 5 * row, 1.0)
    gram = V.T @ (weights[:, None] * V) + 0.1 * np.eye(4)
    expected = V @ np.linalg.solve(gram, V.T @ (weights * (row > 0)))
    np.testing.assert_allclose(model.decision_function(X[:1])[0], expected, rtol=1e-3)


def test_models_of_an_earlier_run_are_kept_but_for_blends_of_new_ones():
    def summary(*titles):
        model = {
            "settings": [""],
            "test": {m: {"mean": 0.5, "over users": 0.1} for m in sets.METRICS},
            "run": {},
            **dict.fromkeys(sets.FIGURES, 1.0),
        }
        pairs = [f"{one} minus {other}" for one in titles for other in titles]
        return {
            "n_folds": 5,
            "n_users": 9,
            "models": {title: dict(model) for title in titles},
            "compared": dict.fromkeys(pairs, [0.0, 0.1]),
        }

    mult_vae = sets.MODELS["mult-vae"][0]
    blend = "blend: linear + EASE + Mult-VAE"
    earlier = summary("EASE", "item-kNN", mult_vae, blend)
    new = summary("popularity", mult_vae)
    new["models"][mult_vae]["test"] = {"ndcg@100": "changed"}
    joined = sets.with_earlier(new, earlier)
    assert list(joined["models"]) == ["popularity", "item-kNN", "EASE", mult_vae]
    assert "item-kNN minus EASE" in joined["compared"]
    assert f"{mult_vae} minus EASE" not in joined["compared"]
    with pytest.raises(ValueError, match="other folds or users"):
        sets.with_earlier({**joined, "n_users": 8}, earlier)
