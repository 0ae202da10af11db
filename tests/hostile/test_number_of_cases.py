"""The total number of cases. Every test checks its own number of cases itself."""

import pytest

from tests.hostile import (  # noqa: F401  importing them registers their cases
    test_datasets,
    test_estimators,
    test_interruptions,
    test_metrics,
    test_model_selection,
    test_searches,
)
from tests.hostile.cases import N_CASES


@pytest.mark.parametrize(("run", "at_least"), [("quick", 300), ("slow", 5000)])
def test_number_of_cases(run, at_least):
    assert sum(cases[run] for cases in N_CASES.values()) >= at_least
