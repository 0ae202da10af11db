"""Searches and rankings on Ray with two worker processes."""

import numpy as np
import pytest
from joblib import parallel_config

from benchmarks.distributed import sent_by_search
from tests.distributed.guide import script
from tests.distributed.searches import (
    CASES,
    assert_same_scores,
    loaded_interactions,
    scores_of,
)

pytestmark = pytest.mark.distributed


@pytest.mark.parametrize("name", CASES)
def test_searches_have_the_same_bits_as_in_one_process(ray, name):
    X = loaded_interactions()
    expected = scores_of(name, X)
    with parallel_config("ray"):
        assert_same_scores(scores_of(name, X), expected)


def test_a_stored_matrix_is_sent_once_and_not_with_every_task(ray):
    X = sent_by_search.interactions(2000, 300)
    n_bytes = sent_by_search.n_bytes(X)
    expected = sent_by_search.search(X, "threading")
    start = sent_by_search.stored_by_ray(ray)
    np.testing.assert_array_equal(sent_by_search.search(X, "ray"), expected)
    sent = sent_by_search.stored_by_ray(ray)
    assert sent - start > 4 * n_bytes  # with each batch of tasks
    names = {"ray": ray}
    exec(script("def send_once").partition("\n\n\nsend_once")[0], names)
    names["send_once"](X)
    np.testing.assert_array_equal(sent_by_search.search(X, "ray"), expected)
    ray.util.deregister_serializer(type(X))
    assert n_bytes <= sent_by_search.stored_by_ray(ray) - sent < 2 * n_bytes
