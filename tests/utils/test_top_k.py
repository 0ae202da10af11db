import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skvae.utils._top_k import top_k

INF = torch.inf
DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])


def reference(scores, k):
    """Sort each row by score, highest first, then by index."""
    scores = np.asarray(scores)
    items = np.stack([np.lexsort((np.arange(row.size), -row))[:k] for row in scores])
    best = np.take_along_axis(scores, items, 1)
    return np.where(best == -np.inf, -1, items), best


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6), n_levels=st.integers(1, 12), n_items=st.integers(1, 40)
)
def test_ties_go_to_the_lowest_index(device, dtype, seed, n_levels, n_items):
    rng = np.random.default_rng(seed)
    levels = np.concatenate([[-np.inf, np.inf, -0.0, 0.0], rng.normal(size=n_levels)])
    scores = torch.tensor(rng.choice(levels, (7, n_items)), dtype=dtype)
    k = int(rng.integers(1, n_items + 1))
    items, best = top_k(scores.to(device), k)
    expected_items, expected = reference(scores, k)
    assert items.dtype == torch.int64
    assert best.dtype == dtype
    np.testing.assert_array_equal(items.cpu(), expected_items)
    np.testing.assert_array_equal(best.cpu(), expected)


@pytest.mark.parametrize("n_items", [31, 32, 33, 47, 320, 1001])
@pytest.mark.parametrize("k", [1, 2, 10])
def test_any_number_of_items_and_any_k(device, n_items, k):
    scores = np.random.default_rng(n_items).integers(0, 60, (40, n_items)) / 7
    items, best = top_k(torch.tensor(scores, device=device), k)
    expected_items, expected = reference(scores, k)
    np.testing.assert_array_equal(items.cpu(), expected_items)
    np.testing.assert_array_equal(best.cpu(), expected)


def test_without_ties_it_equals_torch_topk(device):
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(50, 700, generator=generator).to(device)
    values, items = torch.topk(scores, 20)
    ours = top_k(scores, 20)
    torch.testing.assert_close(ours[0], items, rtol=0, atol=0)
    torch.testing.assert_close(ours[1], values, rtol=0, atol=0)


def test_scores_are_only_overwritten_at_seen_items():
    scores = torch.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    before = scores.clone()
    top_k(scores, 2)
    torch.testing.assert_close(scores, before)
    seen = (torch.tensor([0, 1]), torch.tensor([2, 0]))
    items, best = top_k(scores, 3, seen=seen)
    assert items.tolist() == [[1, 0, -1], [1, 2, -1]]
    assert best.tolist() == [[2, 1, -INF], [2, 1, -INF]]


def test_candidates_in_any_order_and_repeated():
    scores = torch.tensor([[5.0, 1.0, 2.0, 2.0, 9.0]])
    items, best = top_k(scores, 3, candidates=torch.tensor([3, 1, 2, 3]))
    assert items.tolist() == [[2, 3, 1]]
    assert best.tolist() == [[2, 2, 1]]


def test_seen_candidates_are_not_ranked():
    scores = torch.tensor([[5.0, 1.0, 2.0, 2.0, 9.0]])
    seen = (torch.tensor([0]), torch.tensor([2]))
    items, _ = top_k(scores, 2, seen=seen, candidates=torch.tensor([2, 1]))
    assert items.tolist() == [[1, -1]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_fewer_candidates_than_k_are_filled_up(device, dtype):
    scores = torch.tensor([[5.0, 1.0, 2.0], [0.0, 4.0, 9.0]], dtype=dtype)
    candidates = torch.tensor([2, 0, 2], device=device)
    items, best = top_k(scores.to(device), 3, candidates=candidates)
    assert items.tolist() == [[0, 2, -1], [2, 0, -1]]
    assert best.tolist() == [[5, 2, -INF], [9, 0, -INF]]
    assert best.dtype == dtype
    nobody = torch.tensor([], dtype=torch.int64, device=device)
    items, best = top_k(scores.to(device), 2, candidates=nobody)
    assert items.tolist() == [[-1, -1]] * 2
    assert best.tolist() == [[-INF, -INF]] * 2


def test_scores_without_rows():
    items, best = top_k(torch.empty(0, 4), 2)
    assert items.shape == best.shape == (0, 2)


def test_nan_is_refused_unless_it_is_not_ranked():
    scores = torch.tensor([[1.0, torch.nan, 2.0]])
    with pytest.raises(ValueError, match="NaN"):
        top_k(scores, 1)
    assert top_k(scores, 1, candidates=torch.tensor([0, 2]))[0].tolist() == [[2]]
    seen = (torch.tensor([0]), torch.tensor([1]))
    assert top_k(scores, 1, seen=seen)[0].tolist() == [[2]]


@pytest.mark.parametrize("k", [0, 4])
def test_k_out_of_range_is_refused(k):
    with pytest.raises(ValueError, match=f"k={k} but there are 3 items"):
        top_k(torch.zeros(1, 3), k)
