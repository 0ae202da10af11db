"""An environment for each peer of the speed benchmark.

    python -m benchmarks.speed.environments
    python -m benchmarks.speed.environments implicit cornac

The peers cannot be installed together. The command makes the environments that do not
exist yet; the benchmark does the same if it needs them. Each has the packages in
`peers/requirements-<peer>.txt`, which gives a reason for every pin that a peer forces.
All peers have wheels for Python 3.11.

pip uses its own settings. The usual build of torch for Linux contains gigabytes for
GPUs; set PIP_INDEX_URL or PIP_EXTRA_INDEX_URL to install the CPU build instead.
"""

import argparse
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.speed.contestant import ContestantError

HERE = Path(__file__).resolve().parent
FOLDER = HERE / ".environments"
# Worker script of each peer, by name.
WORKERS = {
    "recbole": HERE / "peers" / "recbole_multivae.py",
    "cornac": HERE / "peers" / "cornac_vaecf.py",
    "recpack": HERE / "peers" / "recpack_multvae.py",
    "implicit": HERE / "peers" / "implicit_als.py",
}
# A copy of the requirements, written into an environment once they are installed.
INSTALLED = "installed.txt"


class PeerError(ContestantError):
    """The environment of a peer could not be made, so the peer cannot be timed."""


def requirements(peer):
    """Return the path of the requirements of a peer."""
    return HERE / "peers" / f"requirements-{peer}.txt"


def interpreter(peer, folder=FOLDER):
    """Return the Python of a peer's environment, which is made or updated if needed.

    Parameters
    ----------
    peer : str
        A key of `WORKERS`.
    folder : path
        Folder of the environments, each with the name of its peer.

    Returns
    -------
    python : Path

    Raises
    ------
    PeerError
        If its packages cannot be installed. The message has the end of pip's output.
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
    """Make the requested environments; return the exit code, 1 if one failed."""
    parser = argparse.ArgumentParser(description="Environments of the peers.")
    parser.add_argument(
        "peers",
        nargs="*",
        metavar="peer",
        help=f"one of {', '.join(WORKERS)} (default: all)",
    )
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args(arguments)
    if unknown := set(options.peers) - set(WORKERS):
        parser.error(
            f"unknown peers: {', '.join(sorted(unknown))}; pass some of "
            f"{', '.join(WORKERS)}."
        )
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
