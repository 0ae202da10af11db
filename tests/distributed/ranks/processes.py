"""Processes of one group of torch.distributed, which run functions of tests."""

import multiprocessing
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from datetime import timedelta

import torch
import torch.distributed as dist

from skvae._training import import_for_optimizers


class Processes:
    """Some processes of one gloo group on this machine.

    Parameters
    ----------
    folder : Path
        Empty folder, in which they meet.
    size : int, default=2
        Number of processes.
    timeout : float, default=60
        Timeout of the group, in seconds.
    """

    def __init__(self, folder, size=2, timeout=60):
        context = multiprocessing.get_context("spawn")
        self.pipes, self.processes = [], []
        for rank in range(size):
            here, there = context.Pipe()
            process = context.Process(
                target=_work, args=(there, folder / "group", rank, size, timeout)
            )
            process.start()
            there.close()
            self.pipes.append(here)
            self.processes.append(process)
        for _ in ("imported", "joined"):
            for pipe in self.pipes:
                assert pipe.poll(300)
                pipe.recv()
                pipe.send("go on")

    def run(self, function, *args, seconds=120):
        """Call ``function(rank, *args)`` in all; list what it returns, or its error.

        None stands for a process that has ended.
        """
        for pipe in self.pipes:
            pipe.send((function, args))
        deadline, results = time.monotonic() + seconds, []
        for pipe in self.pipes:
            try:
                assert pipe.poll(deadline - time.monotonic()), "a process hangs"
                results.append(pipe.recv())
            except (EOFError, ConnectionError):
                results.append(None)
        return results

    def close(self):
        """End the processes."""
        for pipe in self.pipes:
            with suppress(OSError):
                pipe.send(None)
        for process in self.processes:
            process.join(10)
            process.kill()


def _work(pipe, path, rank, size, timeout):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    import_for_optimizers()
    pipe.send("imported")
    pipe.recv()
    dist.init_process_group(
        "gloo",
        init_method=f"file://{path}",
        rank=rank,
        world_size=size,
        timeout=timedelta(seconds=timeout),
    )
    pipe.send("joined")
    pipe.recv()
    while (task := pipe.recv()) is not None:
        function, args = task
        try:
            result = function(rank, *args)
        except BaseException as error:
            traceback.print_exc(file=sys.stderr)
            result = error.with_traceback(None)
            result.__cause__ = result.__context__ = None
        pipe.send(result)
    sys.stderr.flush()
    os._exit(0)  # the group may have lost a process
