"""Make tests that draw a given number of cases, in a quick and in a slow run."""

import functools

import pytest
from hypothesis import HealthCheck, given, settings

RUNS = ("quick", pytest.param("slow", marks=pytest.mark.slow))
# Number of cases of each test, by its name and the run. Filled by `cases`.
N_CASES = {}


def cases(*strategies, quick, slow):
    """Make a test of a function that checks one case.

    The quick run draws the same cases every time. The slow run draws different cases,
    and hypothesis prints how to draw a failed case again.

    Parameters
    ----------
    *strategies : strategies of hypothesis
        Strategies from which the arguments of the function are drawn.
    quick, slow : int
        Number of cases in the quick and in the slow run.
    """

    def decorate(check):
        name = f"{check.__module__.rpartition('.')[2]}.{check.__name__}"
        N_CASES[name] = {"quick": quick, "slow": slow}

        @pytest.mark.parametrize("run", RUNS)
        def test(run):
            n_run = 0

            @settings(
                max_examples=N_CASES[name][run],
                derandomize=run == "quick",
                database=None,
                deadline=None,
                print_blob=True,
                suppress_health_check=list(HealthCheck),
            )
            @given(*strategies)
            @functools.wraps(check)
            def run_case(**drawn):
                nonlocal n_run
                check(**drawn)
                n_run += 1

            run_case()
            # hypothesis stops early if a strategy is exhausted.
            assert n_run >= N_CASES[name][run]

        test.__name__ = check.__name__
        test.__doc__ = check.__doc__
        return test

    return decorate
