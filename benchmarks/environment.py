"""Machine, versions and command of a benchmark, to print with its results."""

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "skorch")
REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results"
# Folder with real data.
DATA = Path(os.environ.get("SKVAE_DATA", REPOSITORY.parent / "shared" / "data"))


def environment():
    """Return machine, versions, commit and command as a dict of plain values."""
    import torch

    return {
        "machine": {
            "cpu": _cpu_name(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            "system": f"{platform.system()} {platform.machine()}",
        },
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in PACKAGES},
        "commit": _commit(),
        "command": command(),
    }


def command():
    """Return the command line of the benchmark, without folders of this machine."""
    spec = sys.modules["__main__"].__spec__
    module = Path(sys.argv[0]).name if spec is None else spec.name
    words = ["python", "-m", module.removesuffix(".__main__")]
    for word in sys.argv[1:]:
        option, equals, value = word.rpartition("=")
        words.append(f"{option}{equals}{Path(value).name}")
    return " ".join(words)


def describe(environment):
    """Format the result of `environment` as two lines of text."""
    machine = environment["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in environment["versions"].items())
    gpu = f", {machine['gpu']}" if machine["gpu"] else ""
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads"
        f"{gpu}; {versions}.\n"
        f"Commit {environment['commit']}; `{environment['command']}`."
    )


def _cpu_name():
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit():
    """Return the short hash of the commit, with a mark if files were changed."""
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        return commit + ("+changes" if _git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments):
    return subprocess.run(
        ["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.strip()
