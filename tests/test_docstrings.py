"""Public docstrings are complete by numpydoc's own rules."""

import inspect

import pytest
from numpydoc.validate import validate

import skvae
import skvae.datasets
import skvae.inspection
import skvae.metrics
import skvae.model_selection
import skvae.utils.estimator_checks

IGNORED = {
    "ES01",  # an extended summary is written where the summary does not say it all
    "SA01",  # a See Also section where there is something to see
    "EX01",  # methods are shown in the example of their class
    "GL01",  # the summary stands on the first line, as in scikit-learn
    "RT02",  # the name of what is returned is given, as in scikit-learn
}


def public_objects():
    modules = [
        skvae,
        skvae.datasets,
        skvae.inspection,
        skvae.metrics,
        skvae.model_selection,
    ]
    for module in modules:
        for name in module.__all__:
            member = getattr(module, name)
            if not callable(member):
                continue
            yield f"{module.__name__}.{name}"
            if inspect.isclass(member):
                for method, value in inspect.getmembers(member):
                    defined_here = str(getattr(value, "__module__", "")).startswith(
                        "skvae"
                    )
                    if not method.startswith("_") and defined_here:
                        yield f"{module.__name__}.{name}.{method}"
    for name, value in vars(skvae.utils.estimator_checks).items():
        if name in {
            "check_recommender",
            "parametrize_with_recommender_checks",
            "recommender_checks_generator",
        }:
            yield f"{value.__module__}.{name}"


@pytest.mark.parametrize("name", sorted(public_objects()))
def test_docstring_is_valid(name):
    errors = [f"{c}: {m}" for c, m in validate(name)["errors"] if c not in IGNORED]
    assert not errors, "\n".join(errors)
