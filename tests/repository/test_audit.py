"""`make audit` passes nothing off as checked that no database was asked for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
AUDIT = Path(__file__).parent / "audit.py"
PIP_AUDIT = """
import json, sys
service = sys.argv[sys.argv.index("-s") + 1]
asked = open(sys.argv[sys.argv.index("-r") + 1]).read().split()
answer = json.load(open(__file__ + ".json")).get(service)
if answer is None:
    raise SystemExit("ConnectionError: no network")
dependencies = [answer[line.partition("==")[0].lower()] for line in asked]
print(json.dumps({"dependencies": dependencies, "fixes": []}))
raise SystemExit(any(one.get("vulns") for one in dependencies))
"""


def known(name, *ids):
    return {"name": name, "version": "1.0", "vulns": [{"id": one} for one in ids]}


def skipped(name):
    return {"name": name, "skip_reason": "Dependency not found on PyPI"}


BOTH_CLEAN = {"numpy": known("numpy"), "pyyaml": known("pyyaml")}


@pytest.mark.parametrize(
    ("databases", "status", "said", "not_said"),
    [
        ({}, 2, "NOTHING WAS CHECKED: none of 2", "0 with known"),
        (
            {"pypi": {"numpy": skipped("numpy"), "pyyaml": skipped("pyyaml")}},
            2,
            "NOTHING WAS CHECKED: none of 2",
            "0 with known",
        ),
        (
            {"pypi": {"numpy": known("numpy"), "pyyaml": skipped("pyyaml")}},
            2,
            "INCOMPLETE: 1 of 2 packages were not looked up,",
            "0 with known",
        ),
        (
            {"pypi": {"numpy": known("numpy", "CVE-1"), "pyyaml": skipped("pyyaml")}},
            1,
            "numpy==1.0 has known vulnerabilities: CVE-1",
            "0 with known",
        ),
        (
            {
                "pypi": {"numpy": known("numpy"), "pyyaml": skipped("pyyaml")},
                "osv": {"pyyaml": known("pyyaml", "CVE-2", "CVE-3")},
            },
            1,
            "PyYAML==1.0 has known vulnerabilities: CVE-2, CVE-3",
            "INCOMPLETE",
        ),
        (
            {
                "pypi": {"numpy": known("numpy"), "pyyaml": skipped("pyyaml")},
                "osv": {"pyyaml": known("pyyaml")},
            },
            0,
            "2 packages looked up, 0 with known",
            "INCOMPLETE",
        ),
        ({"osv": BOTH_CLEAN}, 0, "2 packages looked up, 0 with known", "NOTHING"),
        ({"pypi": BOTH_CLEAN}, 0, "2 packages looked up, 0 with known", "could not"),
    ],
)
def test_only_what_was_looked_up_is_clean(databases, status, said, not_said, tmp_path):
    (tmp_path / "pip_audit.py").write_text(PIP_AUDIT)
    (tmp_path / "pip_audit.py.json").write_text(json.dumps(databases))
    (tmp_path / "installed").write_text("numpy==1.0\nPyYAML==1.0\n")
    done = subprocess.run(
        [sys.executable, AUDIT, tmp_path / "installed"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == status, done.stderr
    assert said in done.stdout
    assert not_said not in done.stdout


def test_an_empty_list_is_not_clean(tmp_path):
    (tmp_path / "installed").touch()
    done = subprocess.run([sys.executable, AUDIT, tmp_path / "installed"])
    assert done.returncode == 2


@pytest.mark.skipif(not (ROOT / ".github").is_dir(), reason="not in the distribution")
def test_a_workflow_audits_on_a_schedule_and_when_dependencies_change():
    workflow = (ROOT / ".github" / "workflows" / "audit.yml").read_text()
    assert "run: make audit" in workflow
    assert "schedule:" in workflow
    changed = workflow.partition("pull_request:")[2].partition("permissions:")[0]
    for path in ("pyproject.toml", "constraints*.txt", "conda/**"):
        assert f'"{path}"' in changed
