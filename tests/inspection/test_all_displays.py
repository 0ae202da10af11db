"""Tests of what all displays have in common."""

import inspect
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest

import skvae.inspection
import skvae.metrics

PARAMETERS = {
    "ActiveUnitsDisplay": {"component_kl": [1.0, 0.0]},
    "BetaSearchDisplay": {"beta": [0.5, 1.0], "score": [0.2, 0.1]},
    "GeneratedSamplesDisplay": {"samples": np.eye(4)},
    "LatentSpaceDisplay": {"Z": np.eye(3), "y": [0, 0, 1]},
    "RankingCurveDisplay": {"k": [1, 5], "scores": [0.1, 0.2]},
    "ReconstructionDisplay": {"X": np.eye(4), "X_reconstructed": np.ones((4, 4))},
    "TrainingCurveDisplay": {"curves": {"loss": [2.0, 1.0]}},
}
DISPLAYS = {
    name: value
    for module in (skvae.inspection, skvae.metrics)
    for name, value in vars(module).items()
    if name.endswith("Display")
}


def test_all_displays_are_tested():
    assert DISPLAYS.keys() == PARAMETERS.keys()


@pytest.fixture(params=sorted(PARAMETERS))
def display(request):
    return DISPLAYS[request.param](**PARAMETERS[request.param])


def test_plot_returns_the_display_with_its_axes_and_figure(display):
    assert display.plot() is display
    assert isinstance(display.ax_, plt.Axes)
    assert display.figure_ is display.ax_.figure
    display.figure_.canvas.draw()  # everything can be drawn


def test_parameters_are_kept_as_attributes(display):
    kept = PARAMETERS[type(display).__name__]
    assert all(getattr(display, name) is value for name, value in kept.items())
    signature = inspect.signature(type(display))
    for name, parameter in signature.parameters.items():
        assert hasattr(display, name)
        assert parameter.kind is parameter.KEYWORD_ONLY


def test_plot_does_not_change_the_settings_of_matplotlib(display):
    before = dict(plt.rcParams)
    display.plot()
    assert dict(plt.rcParams) == before


def test_without_matplotlib_the_error_says_what_to_install(display, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"plot requires matplotlib.*pip install"):
        display.plot()
