"""An environment for each peer of the speed benchmark, as they exclude one another.

    python -m benchmarks.speed.environments
    python -m benchmarks.speed.environments implicit cornac

makes those that are not there yet, which the benchmark does itself when it needs them.
Each holds what `peers/requirements-<peer>.txt` says, where a pin that a peer forces has
its reason. Python 3.11 is what all of them have wheels for.

pip obeys its own settings, so that of torch, of which the usual build for Linux brings
gigabytes for GPUs, the CPU build can be had by PIP_INDEX_URL or PIP_EXTRA_INDEX_URL.
"""

import argparse
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.speed.contestant import ContestantError

HERE = Path(__file__).resolve().parent
FOLDER = HERE / ".environments"
# Name of the peer -> its worker script.
WORKERS = {
    "recbole": HERE / "peers" / "recbole_multivae.py",
    "cornac": HERE / "peers" / "cornac_vaecf.py",
    "recpack": HERE / "peers" / "recpack_multvae.py",
    "implicit": HERE / "peers" / "implicit_als.py",
}
# A copy of the requirements, written into an environment when all of them are there.
INSTALLED = "installed.txt"


class PeerError(ContestantError):
    """The environment of a peer could not be made, so that it cannot take part."""


def requirements(peer):
    """Path of the file that says what a peer's environment holds."""
    return HERE / "peers" / f"requirements-{peer}.txt"


def interpreter(peer, folder=FOLDER):
    """Python of a peer's environment, which is made if it is not there or outdated.

    Parameters
    ----------
    peer : str
        A key of `WORKERS`.
    folder : path
        Where the environments are, each by the name of its peer.

    Returns
    -------
    python : Path

    Raises
    ------
    PeerError
        If its packages cannot be installed; with the end of what pip said.
    """
    environment = Path(folder).resolve() / peer
    scripts = "Scripts" if sys.platform == "win32" else "bin"
    python = environment / scripts / "python"
    file = requirements(peer)
    stamp = environment / INSTALLED
    if stamp.exists() and stamp.read_text() == file.read_text():
        return python
    print(f"Making the environment of {peer} ...", file=sys.stderr, flush=True)
    venv.create(environment, clear=True, with_pip=True)
    pip = subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "-r", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if pip.returncode:
        end = "\n".join(pip.stdout.splitlines()[-15:])
        raise PeerError(f"pip could not install what {peer} requires:\n{end}")
    stamp.write_text(file.read_text())
    return python


def main(arguments=None):
    """Make the environments that are asked for; the status is 1 if one failed."""
    parser = argparse.ArgumentParser(description="Environments of the peers.")
    parser.add_argument(
        "peers", nargs="*", metavar="peer", help=f"of {', '.join(WORKERS)}; or all"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args(arguments)
    if unknown := set(options.peers) - set(WORKERS):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    failed = False
    for peer in options.peers or WORKERS:
        try:
            print(interpreter(peer, options.folder))
        except PeerError as error:
            print(error, file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
