import math

import pytest

from skvae._training._schedules import (
    FACTOR_AFTER_PLAN,
    annealed_beta,
    annealing_steps,
    cosine_factor,
)


@pytest.mark.parametrize(
    ("annealing", "expected"), [(0.8, 80), (0.0, 0), (1.0, 100), (25, 25), (1, 1)]
)
def test_annealing_is_a_fraction_of_the_plan_or_a_number_of_steps(annealing, expected):
    assert annealing_steps(annealing, planned_steps=100) == expected


def test_beta_rises_linearly_to_its_cap_and_never_beyond():
    path = [annealed_beta(step, 0.2, 80) for step in range(100)]
    expected = [min(0.2, 0.2 * step / 80) for step in range(100)]
    assert path == pytest.approx(expected, abs=1e-15)
    assert max(path) == 0.2


def test_without_annealing_beta_is_the_cap_from_the_first_step():
    assert annealed_beta(0, 0.3, 0) == 0.3


def test_cosine_falls_from_one_and_has_its_own_factor_after_the_plan():
    assert cosine_factor(0, 10) == 1.0
    assert cosine_factor(5, 10) == pytest.approx(0.5)
    assert cosine_factor(9, 10) == pytest.approx((1 + math.cos(0.9 * math.pi)) / 2)
    assert cosine_factor(10, 10) == cosine_factor(50, 10) == FACTOR_AFTER_PLAN
