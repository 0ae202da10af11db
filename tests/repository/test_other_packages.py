"""The code shown for other packages runs in their environments."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from docs.tools import code_blocks

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = Path(
    os.environ.get("SKVAE_PEERS", ROOT / "benchmarks" / "speed" / ".environments")
)
PAGE = code_blocks.DOCS / "coming_from.md"
FOUND = code_blocks.blocks(PAGE.read_text(encoding="utf-8"))
# Name and version in the first line of a block -> the block.
OTHERS = {
    tuple(block.code.split("\n", 1)[0].split()[-2:]): block
    for block in FOUND
    if block.mark == "environment"
}
CHECK = """
import importlib.metadata
import json
assert importlib.metadata.version({name!r}) == {version!r}
print(json.dumps([[int(item) for item in row] for row in items]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "version"), OTHERS)
def test_block_recommends_ten_items_to_every_user(name, version, tmp_path, monkeypatch):
    python = ENVIRONMENTS / name.lower() / "bin" / "python"
    if not python.exists():
        pytest.skip(f"no environment with {name} in {ENVIRONMENTS} (SKVAE_PEERS)")
    monkeypatch.chdir(tmp_path)
    exec(FOUND[0].code, {})  # writes the file that all blocks read
    code = OTHERS[name, version].code + CHECK.format(name=name, version=version)
    run = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stderr
    items = np.array(json.loads(run.stdout.splitlines()[-1]))
    n_users = 300 if name != "RecBole" else len(items)  # users with held-out items
    assert items.shape == (n_users, 10)
    assert n_users > 250
    assert all(len(set(row)) == 10 for row in items)
