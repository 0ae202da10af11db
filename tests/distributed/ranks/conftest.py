"""Groups of processes for the tests."""

import pytest

from tests.distributed.ranks.processes import Processes


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two processes, which the tests of a file share."""
    processes = Processes(tmp_path_factory.mktemp("pair"))
    yield processes
    processes.close()


@pytest.fixture(scope="module")
def trio(tmp_path_factory):
    """Three of them."""
    processes = Processes(tmp_path_factory.mktemp("trio"), size=3)
    yield processes
    processes.close()


@pytest.fixture
def start(tmp_path):
    """Start processes that end with the test."""
    started = []

    def start(**options):
        folder = tmp_path / f"group {len(started)}"
        folder.mkdir()
        started.append(Processes(folder, **options))
        return started[-1]

    yield start
    for processes in started:
        processes.close()
