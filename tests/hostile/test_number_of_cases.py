"""How many cases there are in all; every test makes sure that it had its share."""

import pytest

from tests.hostile import (  # noqa: F401  they are counted as they are imported
    test_datasets,
    test_estimators,
    test_metrics,
    test_model_selection,
)
from tests.hostile.cases import N_CASES


@pytest.mark.parametrize(("run", "at_least"), [("quick", 300), ("slow", 5000)])
def test_number_of_cases(run, at_least):
    assert sum(cases[run] for cases in N_CASES.values()) >= at_least
