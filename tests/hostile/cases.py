"""How many cases are drawn: one test, a quick run of it and a slow one."""

import functools

import pytest
from hypothesis import HealthCheck, given, settings

RUNS = ("quick", pytest.param("slow", marks=pytest.mark.slow))
# Name of each test -> its number of cases by run, filled by `cases`.
N_CASES = {}


def cases(*strategies, quick, slow):
    """Make a test of a function that checks one case.

    The quick run draws the same cases every time; the slow one others, and hypothesis
    prints how to draw them again where one fails.

    Parameters
    ----------
    *strategies : strategies of hypothesis
        What the arguments of the function are drawn from.
    quick, slow : int
        Number of cases in either run.
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
            # hypothesis stops early where a strategy has no more to give.
            assert n_run >= N_CASES[name][run]

        test.__name__ = check.__name__
        test.__doc__ = check.__doc__
        return test

    return decorate
