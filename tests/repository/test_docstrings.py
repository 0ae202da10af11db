"""Public docstrings are complete, and agree where they describe the same thing."""

import inspect
from itertools import combinations

import pytest
from numpydoc.validate import Validator, get_doc_object, validate

import skvae
import skvae.baselines
import skvae.datasets
import skvae.inspection
import skvae.metrics
import skvae.model_selection
import skvae.utils.estimator_checks

MODULES = [
    skvae,
    skvae.baselines,
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


# Parameters and attributes that mean something else in each estimator. All others of
# one name are described in the same words.
OWN_MEANING = {
    "activation",
    "annealing",
    "beta",
    "early_stopping",
    "hidden_layer_sizes",
    "learning_rate_init",
    "likelihood",
    "n_components",
    "validation_fraction",
    "validation_scores_",
    "variational",
}
# CollaborativeVAE has rounds and items where the others have epochs and rows.
ROUNDS = {
    "batch_size",
    "best_iter_",
    "callbacks",
    "kl_curve_",
    "loss_curve_",
    "lr_schedule",
    "max_iter",
    "n_iter_",
    "n_iter_no_change",
    "reconstruction_curve_",
    "refit",
    "tied_weights",
    "verbose",
}
# Rows and columns of VAETransformer are samples and features, not users and items.
SAMPLES = {"alpha", "beta_", "feature_names_in_", "max_iter", "n_features_in_"}


ESTIMATORS = (
    skvae.MultVAERecommender,
    skvae.VAETransformer,
    skvae.CollaborativeVAE,
)


def descriptions(documented, section):
    """Name -> description without its line breaks."""
    return {
        name.strip(): " ".join(" ".join(entry.desc).split())
        for entry in get_doc_object(documented)[section]
        for name in entry.name.split(",")
    }


def assert_described_alike(one, other, section, own=()):
    one, other = descriptions(one, section), descriptions(other, section)
    shared = one.keys() & other.keys() - set(own)
    assert shared
    for name in sorted(shared):
        assert one[name] == other[name], name


@pytest.mark.parametrize(
    ("one", "other"),
    list(combinations(ESTIMATORS, 2)),
    ids=lambda estimator: estimator.__name__,
)
@pytest.mark.parametrize("section", ["Parameters", "Attributes"])
def test_shared_parameters_and_attributes_are_described_alike(one, other, section):
    own = OWN_MEANING.copy()
    if skvae.CollaborativeVAE in (one, other):
        own |= ROUNDS
    if skvae.VAETransformer in (one, other):
        own |= SAMPLES
    assert_described_alike(one, other, section, own)


@pytest.mark.parametrize("method", ["fit", "recommend", "decision_function", "score"])
def test_methods_of_recommenders_are_described_alike(method):
    # One has epochs and a catalogue that grows, the other has rounds.
    own = {"X", "X_val"} if method == "fit" else ()
    one = getattr(skvae.MultVAERecommender, method)
    other = getattr(skvae.CollaborativeVAE, method)
    assert_described_alike(one, other, "Parameters", own)


@pytest.mark.parametrize("baseline", skvae.baselines.__all__)
def test_baselines_are_described_alike(baseline):
    baseline = getattr(skvae.baselines, baseline)
    assert_described_alike(baseline, skvae.MultVAERecommender, "Attributes")
    own = {"n_neighbors", "shrinkage"}  # by users in some, by content in others
    if baseline is not skvae.baselines.Popularity:
        assert_described_alike(
            baseline.fit, skvae.baselines.EASE.fit, "Parameters", {"X", *own}
        )
