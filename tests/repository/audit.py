"""Look up known vulnerabilities of the packages in a file of requirements.

Called by ``make audit`` with the path of a file of lines NAME==VERSION. It looks in
the database of PyPI, and in that of OSV for what it did not find there. The exit
status is 0 only if every package was looked up and none has a known vulnerability; 1
if one has; 2 if packages could not be looked up, of which nothing is known then.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

SERVICES = ("pypi", "osv")


def look_up(packages, service):
    """Ask a database for packages.

    Parameters
    ----------
    packages : dict of str to str
        The line of each package by its name.
    service : str
        Name of the database for pip-audit.

    Returns
    -------
    found : dict of str to list of str
        Known vulnerabilities of each package that was looked up.
    """
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text("\n".join(packages.values()) + "\n")
        command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip"]
        command += ["-f", "json", "--progress-spinner", "off", "-s", service]
        done = subprocess.run(
            [*command, "-r", str(requirements)], capture_output=True, text=True
        )
    try:
        dependencies = json.loads(done.stdout)["dependencies"]
    except (ValueError, LookupError, TypeError):
        reason = (done.stderr.strip().splitlines() or ["without an answer"])[-1]
        print(f"The database {service} could not be read: {reason}")
        return {}
    return {
        canonical(one["name"]): [known["id"] for known in one["vulns"]]
        for one in dependencies
        if "vulns" in one  # else it was skipped
    }


def canonical(name):
    """Return the name of a package as PyPI spells it."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def main(path):
    """Print what is known of the packages in a file; return the exit status."""
    lines = [line.strip() for line in Path(path).read_text().splitlines()]
    packages = {canonical(re.split("[=@ ]", line)[0]): line for line in lines if line}
    found = {}
    for service in SERVICES:
        left = {name: line for name, line in packages.items() if name not in found}
        if left:
            found |= look_up(left, service)
    left = [line for name, line in packages.items() if name not in found]
    vulnerable = {name: ids for name, ids in found.items() if ids}
    for name, ids in vulnerable.items():
        print(f"{packages[name]} has known vulnerabilities: {', '.join(ids)}")
    if left and not found:
        print(f"NOTHING WAS CHECKED: none of {len(packages)} packages was looked up.")
    elif left or not packages:
        print(
            f"INCOMPLETE: {len(left)} of {len(packages)} packages were not looked up,"
        )
        print(f"and nothing is known of them: {', '.join(left)}")
    else:
        print(f"{len(packages)} packages looked up, {len(vulnerable)} with known")
        print("vulnerabilities.")
    if vulnerable:
        return 1
    return 2 if left or not packages else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
