"""Skip the tests of this folder on old versions of scikit-learn."""

from pathlib import Path

import pytest
import sklearn
from sklearn.utils.fixes import parse_version

HERE = Path(__file__).resolve().parent
OLD = parse_version(sklearn.__version__) < parse_version("1.8")


def pytest_collection_modifyitems(items):
    """Skip this folder on old versions, because it would only find their own bugs."""
    skip = pytest.mark.skip(
        reason="older scikit-learn, pandas and polars themselves fail on odd input"
    )
    for item in items:
        if OLD and HERE in item.path.parents:
            item.add_marker(skip)
