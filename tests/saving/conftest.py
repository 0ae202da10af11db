"""Fixtures of the tests of saving."""

import pytest

from tests.saving.models import MODELS, fitted


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture(params=list(MODELS))
def model(request):
    return fitted(request.param)
