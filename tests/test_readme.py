"""The code that the README shows runs as it stands."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_block_runs(block):
    names = {}
    exec(compile(block, "README.md", "exec"), names)
    assert names["items"].shape == (100, 10)
    assert names["scores"].shape == (100, 10)
