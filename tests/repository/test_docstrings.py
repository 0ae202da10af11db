"""Public docstrings are complete by numpydoc's own rules."""

import inspect

import pytest
from numpydoc.validate import Validator, get_doc_object, validate

import skvae
import skvae.datasets
import skvae.inspection
import skvae.metrics
import skvae.model_selection
import skvae.utils.estimator_checks

MODULES = [
    skvae,
    skvae.datasets,
    skvae.inspection,
    skvae.metrics,
    skvae.model_selection,
    skvae.utils.estimator_checks,
]

IGNORED = {
    "ES01",  # an extended summary is written where the summary does not say it all
    "SA01",  # a See Also section where there is something to see
    "EX01",  # methods are shown in the example of their class
    "GL01",  # the summary stands on the first line, as in scikit-learn
    "RT02",  # the name of what is returned is given, as in scikit-learn
}


def public_objects():
    for module in MODULES:
        for name in getattr(module, "__all__", ()):
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


@pytest.mark.parametrize("name", sorted(public_objects()))
def test_docstring_is_valid(name):
    errors = [f"{c}: {m}" for c, m in validate(name)["errors"] if c not in IGNORED]
    assert not errors, "\n".join(errors)


@pytest.mark.parametrize(
    "name",
    sorted(
        f"{module.__name__}.{name}"
        for module in MODULES
        for name in getattr(module, "__all__", ())
        if callable(getattr(module, name))
    ),
)
def test_classes_and_functions_have_an_example_that_shows_them(name):
    docstring = Validator(get_doc_object(Validator._load_obj(name)))
    assert name.rpartition(".")[2] in "\n".join(docstring.examples)
