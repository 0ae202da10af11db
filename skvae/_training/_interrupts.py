"""Ctrl-C at a moment at which it would break more than the fit."""

import importlib
import signal
import sys
import threading
from contextlib import contextmanager

# What torch's optimisers import at their first use, with hundreds of other modules.
USED_BY_OPTIMIZERS = "torch._dynamo"


def import_for_optimizers():
    """Import what the optimisers need, before they do.

    An interrupt may leave half of the modules, with which no later fit could run. So it
    is deferred until all of them are imported.
    """
    if USED_BY_OPTIMIZERS not in sys.modules:
        with interrupts_deferred():
            importlib.import_module(USED_BY_OPTIMIZERS)


@contextmanager
def interrupts_deferred():
    """Handle SIGINT at the end of the block; only the main thread receives it.

    Yields
    ------
    received : list
        The signals so far; empty it if they have been handled.
    """
    handler = signal.getsignal(signal.SIGINT)
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not (in_main_thread and callable(handler)):
        yield []
        return
    received = []
    signal.signal(signal.SIGINT, lambda *args: received.append(args))
    try:
        yield received
    finally:
        signal.signal(signal.SIGINT, handler)
        if received:
            handler(*received[-1])
