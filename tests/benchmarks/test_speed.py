import numpy as np
import pytest
import torch

from benchmarks.speed import gpu, report, shapes
from benchmarks.speed.floor import Floor


def test_generated_matrix_has_the_requested_size_and_popular_items():
    X = shapes.generated(300, 200, 5000)
    assert (X.shape, X.nnz) == ((300, 200), 5000)
    assert (X.data == 1).all()
    by_item = np.asarray(X.sum(axis=0)).ravel()
    assert by_item[:20].mean() > 2 * by_item[-20:].mean()
    assert (X != shapes.generated(300, 200, 5000)).nnz == 0


@pytest.mark.parametrize("sparse", [False, True])
def test_floor_computes_the_products_of_the_first_layer(sparse):
    rows = shapes.generated(30, 50, 400)
    floor = Floor(rows, hidden=8, latent=3)
    floor.first_layer(sparse)
    np.testing.assert_allclose(
        floor.out_hidden, rows @ floor.weights["first"].numpy(), rtol=1e-4, atol=1e-6
    )
    floor.first_gradient(sparse)
    np.testing.assert_allclose(
        floor.gradients["first"],
        rows.T @ floor.slope_hidden.numpy(),
        rtol=1e-4,
        atol=1e-5,
    )


def test_floor_computes_the_loss_and_its_gradient():
    rows = shapes.generated(30, 50, 400)
    floor = Floor(rows, hidden=8, latent=3)
    logits = floor.logits.clone().requires_grad_()
    counts = torch.from_numpy(rows.toarray())
    loss = -(counts * torch.log_softmax(logits, dim=1)).sum()
    loss.backward()
    torch.testing.assert_close(floor.loss(), loss.detach())
    torch.testing.assert_close(floor.slope, logits.grad)


def test_floor_ranks_the_items_with_the_highest_scores():
    floor = Floor(shapes.generated(30, 50, 400), hidden=8, latent=3)
    items = floor.rank(5)
    expected = torch.topk(floor.logits, 5, dim=1).indices
    np.testing.assert_array_equal(items, expected)


def test_rates_can_be_measured_on_a_cpu(capsys):
    gpu.main(
        ["--device=cpu", "--shape", "60", "40", "600", "--batch-sizes", "20"]
        + ["--precisions", "float32", "bfloat16", "--epochs", "1"]
    )
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("| 20 |") for line in lines) == 2


def test_report_contains_all_parts():
    ran = {
        "machine": {"cpu": "a CPU", "cores": 2, "threads": 1, "gpu": None},
        "versions": {"python": "3"},
        "commit": "abc",
        "command": "python benchmarks/speed",
    }
    epoch = {
        "floor, sparse first layer": {"seconds": 2.0, "count": 4},
        "floor, dense first layer": {"seconds": 4.0, "count": 4},
        "skvae": {"seconds": 2.2, "count": 4},
        "implicit": {"seconds": 1.1, "count": None},
    }
    recommend = {
        "skvae": {"seconds": 2.0, "count": 100},
        "implicit, 600 factors": {"seconds": 3.0, "count": 100},
    }
    scorer = {
        "floor, no item left out": {"seconds": 1.0, "count": 100},
        "skvae": {"seconds": 1.0, "count": 80},
    }
    text = report.table(
        {
            "ml-1m": {
                "shape": (100, 50),
                "interactions": 700,
                "epoch": epoch,
                "recommend": recommend,
                "scorer": scorer,
                "parts": {"loss": 0.0031},
                "environment": ran,
            },
            "growth": {
                "base": (10, 20, 30),
                "seconds": {"base": 1.0, "users x 2": 1.9},
                "bytes": {"base": 2**20, "users x 2": 2**20},
                "exponents": {"users": 0.93},
                "environment": ran,
            },
            "import": {"seconds": 0.123, "environment": ran},
        }
    )
    assert "skvae takes 1.10 x the time of the faster floor." in text
    assert (
        "| implicit ALS, 200 factors (no VAE) | 1.100 | an iteration | 0.50 |" in text
    )
    assert "skvae 1.50 x implicit ALS, 600 factors." in text
    assert "takes 1.25 x the time of the bare products" in text
    assert "loss 3.1" in text
    assert "| users x 2 | 1.900 | 1.90 | 1 |" in text
    assert "0.93 in users" in text
    assert "takes 0.12 s" in text
