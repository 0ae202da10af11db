"""Contestants of the speed benchmark: child processes that run actions on request.

The compared packages cannot be installed together, so each contestant runs in a
separate environment, as a child process that stays alive between the rounds. The parent
writes the name of an action on a line; the child runs it and replies with a line of
JSON.

A worker script calls `serve`, and the benchmark makes a `Contestant` from that script.
This module is imported in the environments of the peers, so it needs only NumPy and
SciPy.
"""

import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import scipy.sparse as sp

REPOSITORY = Path(__file__).resolve().parents[2]
READY = "ready"
SETTINGS = {
    "hidden": 600,
    "latent": 200,
    "batch_size": 500,
    "threads": 1,
    "n_batches": None,
    "n_items": 100,
    "n_users": None,
}
TAIL = 2000


# In the child process


def serve(make):
    """Make the contestant, and run the requested actions until stdin is closed.

    Parameters
    ----------
    make : callable
        Called with the interactions, a ``csr_matrix`` of shape (n_users, n_items), and
        the settings, a namespace with the keys of `SETTINGS`. The actions are the
        methods without arguments of the object that it returns. An action returns None
        or a dict that is added to the reply; its ``"seconds"``, if any, replace the
        time of the whole call.
    """
    channel = _take_stdout()
    settings = SimpleNamespace(**json.loads(sys.argv[1]))
    X = sp.csr_matrix(sp.load_npz(settings.matrix))
    X.sort_indices()
    contestant = make(X, settings)
    print(READY, file=channel)
    for line in sys.stdin:
        name = line.strip()
        action = getattr(contestant, name)
        gc.collect()
        start = time.perf_counter()
        more = action()
        seconds = time.perf_counter() - start
        print(
            json.dumps({"name": name, "seconds": seconds, **(more or {})}), file=channel
        )


def _take_stdout():
    """Keep standard output for the replies, and redirect other output to stderr."""
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return channel


class Batches:
    """Count and time the batches of a training loop, and limit their number.

    Parameters
    ----------
    limit : int or None
        Maximum number of batches of an epoch; None for all.

    Notes
    -----
    The time of a whole epoch starts before the call. The time of a limited epoch starts
    at its first batch, because the fixed work per epoch would count too much compared
    with the few batches.
    """

    def __init__(self, limit=None):
        self.limit = limit

    def __call__(self, batches):
        for batch in islice(batches, self.limit):
            if self.count == 0:
                self._first = time.perf_counter()
            self.count += 1
            yield batch

    def epoch(self, train):
        """Call the training loop, which iterates over ``self(batches)``.

        Returns
        -------
        reply : dict
            ``count``, the number of batches, and ``seconds``.
        """
        self.count = 0
        start = time.perf_counter()
        train()
        end = time.perf_counter()
        if self.limit is not None:
            start = self._first
        return {"count": self.count, "seconds": end - start}


# In the parent process


class ContestantError(RuntimeError):
    """A contestant could not be started, or failed in an action."""


class Contestant:
    """A child process that runs one action at a time.

    Parameters
    ----------
    title : str
        Its name in messages and tables.
    worker : path
        The script that calls `serve`.
    settings : dict
        ``matrix``, the path of a matrix written by ``scipy.sparse.save_npz``, and the
        settings that differ from `SETTINGS`.
    python : path, default=sys.executable
        The interpreter of the environment in which the child runs.

    Raises
    ------
    ContestantError
        If the child ends before it is ready.
    """

    def __init__(self, title, worker, settings, python=sys.executable):
        self.title = title
        settings = {**SETTINGS, **settings, "matrix": str(settings["matrix"])}
        # A file, because a full pipe would block the child.
        self._chatter = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(
                [str(python), str(worker), json.dumps(settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._chatter,
                text=True,
                env=_child_environment(settings["threads"]),
            )
        except OSError as error:
            raise ContestantError(f"{title} cannot be started: {error}") from error
        # A package may print while it is imported, before `serve` takes the output.
        while (line := self._process.stdout.readline()).strip() != READY:
            if not line:
                self._fail("before it was ready")

    def run(self, action):
        """Run an action in the child.

        Returns
        -------
        reply : dict
            ``name``, ``seconds`` and the values that the action adds, such as
            ``count``.

        Raises
        ------
        ContestantError
            If the child process ends before it replies.
        """
        try:
            print(action, file=self._process.stdin, flush=True)
        except BrokenPipeError:
            self._fail(f"before {action!r}")
        line = self._process.stdout.readline()
        if not line:
            self._fail(f"in {action!r}")
        return json.loads(line)

    def close(self):
        """End the child process."""
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._chatter.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def _fail(self, when):
        status = self._process.wait()
        end = self._chatter.seek(0, os.SEEK_END)
        self._chatter.seek(max(0, end - TAIL))
        tail = self._chatter.read().decode(errors="replace").strip()
        self.close()
        raise ContestantError(
            f"{self.title} ended {when} with status {status}. "
            f"The end of its output:\n{tail}"
        )


def _child_environment(threads):
    """Return the environment variables of a child: threads and import path."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    path = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        **dict.fromkeys(names, str(threads)),
        "PYTHONPATH": os.pathsep.join(path),
    }
