"""The benchmark of very large catalogues, on small ones."""

import json

import numpy as np
import pytest

from benchmarks.scale import catalogue, defaults, interactions, models
from benchmarks.scale.interactions import draw_interactions
from benchmarks.scale.report import exponent
from skvae import LinearVAERecommender
from skvae.baselines import Popularity
from skvae.metrics._scorer import ranking_scores
from skvae.model_selection import hold_out_interactions

SHAPE = (1500, 2000, 30_000)


@pytest.fixture
def in_this_process(monkeypatch):
    """Run the parts in this process, and say which ones were run."""
    ran = []

    def run(part, model, shape, options):
        ran.append((part, model, shape))
        if part != "step":
            interactions.keep_matrix(shape, options.folder)
        options.one, options.models, options.shape = part, [model], shape
        return catalogue.run_here(options)

    monkeypatch.setattr(catalogue, "run_apart", run)
    return ran


def test_interactions_are_as_many_as_asked_and_canonical():
    X = draw_interactions(*SHAPE)
    assert X.shape == SHAPE[:2]
    assert X.nnz == pytest.approx(SHAPE[2], rel=0.05)
    assert np.diff(X.indptr).min() >= 1
    X.has_canonical_format = False  # scipy looks again
    X.sum_duplicates()
    assert X.nnz == len(X.data) == X.sum()


def test_interactions_are_equal_for_equal_seeds():
    one, same = (draw_interactions(*SHAPE) for _ in range(2))
    other = draw_interactions(*SHAPE, seed=1)
    assert (one != same).nnz == 0
    assert (one != other).nnz > 0


def test_popularity_falls_as_the_power_of_the_rank():
    # With few interactions of each user, items are rarely drawn twice.
    X = draw_interactions(50_000, 5000, 200_000)
    counts = np.sort(X.sum(axis=0))[::-1]
    middle = slice(400, 4000)  # equal ranks in all tastes come first together
    slope = np.polyfit(np.log(np.arange(1, 5001)[middle]), np.log(counts[middle]), 1)[0]
    assert slope == pytest.approx(-interactions.EXPONENT, abs=0.1)


def test_tastes_rank_better_than_popularity():
    X = draw_interactions(*SHAPE)
    train, held_out = hold_out_interactions(X, random_state=0)
    scores = [
        ranking_scores(model.fit(train), train, held_out, "ndcg@100")
        for model in (LinearVAERecommender(64, random_state=0), Popularity())
    ]
    assert scores[0] > 1.5 * scores[1]


def test_growth_with_a_known_exponent():
    sizes = [10, 100, 1000]
    assert exponent(sizes, [3 * n**0.7 for n in sizes]) == pytest.approx(0.7)


def test_a_short_run_reports_peaks_exponents_and_steps(tmp_path, in_this_process):
    arguments = ["--quick", "--output", str(tmp_path / "scale")]
    catalogue.main([*arguments, "--models", "linear", "mult-vae"])
    results = json.loads((tmp_path / "scale.json").read_text())
    found = results["large"]["linear"]["1500x2000x30000"]
    assert 0 < found["peak to fit"] < found["peak in total"]
    assert found["n_interactions"] == pytest.approx(30_000, rel=0.05)
    found = results["large"]["mult-vae"]["1500x2000x30000"]
    passes = models.MODELS["mult-vae"].n_default - 1
    assert found["extrapolated processor seconds to fit"] == pytest.approx(
        found["processor seconds to fit"]
        + passes * found["processor seconds of a pass"]
    )
    (steps,) = results["step"]["mult-vae"].values()
    assert min(steps["seconds of parts"]["12000"]) > 0
    text = (tmp_path / "scale.md").read_text()
    assert "in total, GB" in text
    assert text.count("python -m") >= 3


def test_an_epoch_can_be_cut_and_is_then_extrapolated(tmp_path, in_this_process):
    arguments = ["--quick", "--parts", "large", "--output", str(tmp_path / "scale")]
    catalogue.main([*arguments, "--models", "mult-vae", "--max-steps", "7"])
    results = json.loads((tmp_path / "scale.json").read_text())
    found = results["large"]["mult-vae"]["1500x2000x30000"]
    assert found["done"] == "7 of 10 steps"
    rest = (5 * 10 - 7) * found["processor seconds of a step"]
    assert found["extrapolated processor seconds to fit"] == pytest.approx(
        found["processor seconds to fit"] + rest
    )


def test_models_that_are_not_run_keep_their_results(tmp_path, in_this_process):
    arguments = ["--quick", "--parts", "large", "--output", str(tmp_path / "scale")]
    catalogue.main([*arguments, "--models", "linear"])
    before = json.loads((tmp_path / "scale.json").read_text())
    in_this_process.clear()
    catalogue.main([*arguments, "--models", "collaborative"])
    assert [model for _, model, _ in in_this_process] == ["collaborative"]
    after = json.loads((tmp_path / "scale.json").read_text())
    assert after["large"]["linear"] == before["large"]["linear"]
    text = (tmp_path / "scale.md").read_text()
    assert "LinearVAERecommender" in text
    assert "CollaborativeVAE without content" in text


def test_every_model_can_be_measured(tmp_path, in_this_process):
    pytest.importorskip("implicit")
    arguments = ["--quick", "--parts", "growth", "--output", str(tmp_path / "scale")]
    catalogue.main([*arguments, "--models", "collaborative", "implicit"])
    text = (tmp_path / "scale.md").read_text()
    assert "an iteration" in text
    assert "a round" in text


def test_the_defaults_are_compared(tmp_path):
    output = tmp_path / "defaults.md"
    sizes = ["--users", "300", "--items", "200", "--interactions", "4000"]
    defaults.main([*sizes, "--output", str(output)])
    text = output.read_text()
    assert "300 users, 200 items, 4,000 interactions" in text
    assert "MultVAERecommender()" in text
