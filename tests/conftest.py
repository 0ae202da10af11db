"""Shared fixtures: data in several containers, devices, the folder of real data."""

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import Phase, settings

# Mutation testing asks whether a test fails, always on the same cases: no shrinking.
settings.register_profile(
    "mutation",
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
)

# The tests' tensors are tiny: more threads would only wait for one another.
torch.set_num_threads(int(os.environ.get("SKVAE_TEST_THREADS", "1")))


if os.environ.get("SKVAE_TEST_BLAS") == "alignment":
    from tests.kernels_by_alignment import take_kernels_by_alignment

    take_kernels_by_alignment()

DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])


@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


@pytest.fixture(params=[sp.csr_matrix, sp.csr_array, lambda X: X.toarray()])
def container(request):
    """Turns a sparse array into one of the types that users bring."""
    return request.param


@pytest.fixture
def interactions():
    rng = np.random.default_rng(0)
    return sp.csr_array((rng.random((60, 25)) < 0.25).astype(np.float32))


@pytest.fixture(scope="session")
def data_home():
    """The folder with real data; tests that need it are skipped where it is not."""
    default = Path(__file__).parents[1] / ".." / "shared" / "data"
    home = Path(os.environ.get("SKVAE_DATA", default))
    if not home.is_dir():
        pytest.skip("no real data: set SKVAE_DATA to its folder")
    return home
