"""The processes that fit one model together, in a group of `torch.distributed`."""

import hashlib
import json
import operator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import scipy.sparse as sp
import torch
import torch.distributed as dist
from torch.nn import functional as F
from torch.nn.parameter import is_lazy

from skvae._nn import SparseRows
from skvae._training._checkpoint import describe_fit
from skvae._training._interrupts import interrupts_deferred
from skvae._training._lazy_adam import coalesced
from skvae._training._net import VAENet, n_rows_of
from skvae.datasets import RowBlocks
from skvae.datasets._row_blocks import apply_to_block

# Values of the parameter `distributed`: each process has all rows, or rows of its own.
DISTRIBUTED = ("replicated", "sharded")
# What a process tells the others where all of them meet.
FAILED, INTERRUPTED, STOPPED = STATES = ("failed", "interrupted", "stopped")
LOSSES = ("loss", "reconstruction", "kl")


class RanksError(RuntimeError):
    """The fit cannot go on, because of another process of it."""


class Left(KeyboardInterrupt):
    """Another process has left the training, which ends for all of them.

    Parameters
    ----------
    interrupted : bool
        Whether the user interrupted it; if not, a callback has ended it.
    """

    def __init__(self, interrupted):
        super().__init__()
        self.interrupted = interrupted


@dataclass(frozen=True)
class Part:
    """Rows of a step that one process takes.

    Parameters
    ----------
    batch : SparseRows or Tensor
        The rows. If there are none, one row of zeros, so that the gradients have the
        same layout in all processes.
    n_own : int
        Number of these rows that count.
    n_rows : int
        Number of rows of the step in all processes.
    """

    batch: SparseRows | torch.Tensor
    n_own: int
    n_rows: int


class OneProcess:
    """The processes of a fit if there is only one, and what they do together."""

    is_first = True
    own_rows = False
    net_options: dict = {}

    def together(self):
        """Return the context in which the processes work together."""
        return nullcontext()

    def agree(self, estimator, X, seed, n_steps_before):
        """Return the seed of the fit; raise a ValueError if the fits differ."""
        return seed

    def validation(self, given, needed):
        """Return a validation set, or None if there is none yet."""
        return given

    def from_first(self, function):
        """Call a function in the first process, and return its result in all."""
        return function()

    def gather(self, part):
        """List what the processes know of their rows, where these are not the same."""
        return [part]

    def all_rows(self, X):
        """Return the rows of all processes, given those of this one."""
        return X

    def total(self, values):
        """Sum numbers over all rows, given those of the rows of each process."""
        return values

    def average(self, values, n_rows):
        """Average numbers over all rows, given the means of `n_rows` of them."""
        return values

    def union(self, columns, n_columns):
        """Join the columns that the processes visit in a step: increasing, int64."""
        return columns

    def place(self, n_rows):
        """Return the first of the own rows among all rows, and how many there are."""
        return 0, n_rows

    def own(self, rows, first, n_own):
        """Select the rows of a step that this process takes, as indices of its own."""
        return rows

    def part(self, batch, n_rows):
        """Make the part of a step from its own rows, of `n_rows` in all."""
        return batch


class Ranks(OneProcess):
    """The processes of the group of `torch.distributed` that is initialised.

    Before anything is sent, they meet: each one tells the others whether it has failed,
    was interrupted or has stopped. A process that leaves the fit meets the others once
    more, so that none waits for it in vain. Nothing that can fail comes between a
    meeting and what is sent after it.

    Parameters
    ----------
    own_rows : bool
        Whether each process has rows of its own; if not, all have the same rows.
    """

    def __init__(self, own_rows):
        self.own_rows = own_rows
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.is_first = self.rank == 0
        self.net_options = {"net_class": RanksNet, "ranks": self}
        # Small tensors go by the CPU if the group can, so that no GPU has to wait.
        on_cpu = "cpu:" in str(dist.get_backend_config())
        self._device = torch.device("cpu" if on_cpu else "cuda")
        self._signals, self._is_interrupted = [], False

    # Meetings

    @contextmanager
    def together(self):
        """Let an exception, or Ctrl-C, in one process end the block in all of them."""
        with interrupts_deferred() as self._signals:
            try:
                yield
                self.meet()
            except (RanksError, Left):
                raise  # the others know
            except BaseException as error:
                interrupted = isinstance(error, KeyboardInterrupt)
                with suppress(RanksError):
                    self.meet(INTERRUPTED if interrupted else FAILED, error)
                raise
            finally:
                if self._is_interrupted:
                    self._signals.clear()

    def meet(self, state=None, error=None):
        """Tell the state of this process to all others, and hear theirs.

        Parameters
        ----------
        state : str or None, default=None
            One of `STATES`; None if all is well.
        error : BaseException or None, default=None
            Why this process has failed.

        Returns
        -------
        interrupted : bool
            Whether a process was interrupted.

        Raises
        ------
        RanksError
            If another process has failed, and this one has not, or if one has ended.
        Left
            If a process leaves the training, and this one would continue.
        """
        states = torch.tensor([one == state for one in STATES], dtype=torch.int32)
        # Another Ctrl-C does not interrupt what follows the first one. torchrun sends
        # the signal a second time.
        if self._signals and not self._is_interrupted:
            states[STATES.index(INTERRUPTED)] = 1
        states = states.to(self._device)
        _wait(dist.all_reduce, states)
        failed, interrupted, stopped = states.tolist()
        self._is_interrupted |= interrupted > 0
        if failed:
            message = f"{type(error).__name__}: {error}" if state == FAILED else None
            messages = self._gather_objects(message)
            if state != FAILED:
                rank = next(i for i, one in enumerate(messages) if one is not None)
                raise RanksError(
                    f"The fit has failed in the process of rank {rank}, and has ended "
                    f"in all others. There: {messages[rank]}"
                )
        elif state is None and (interrupted or stopped):
            raise Left(interrupted > 0)
        return interrupted > 0

    def agree(self, estimator, X, seed, n_steps_before):
        """Take the seed of the first process, after a check that the fits are equal.

        Raises
        ------
        ValueError
            If parameters, columns, or rows that should be the same differ, or if there
            are no rows.
        """
        fit = describe_fit(estimator, seed, {} if self.own_rows else {"X": X})
        names = getattr(estimator, "feature_names_in_", None)
        own = {
            **fit["parameters"],
            "estimator": fit["estimator"],
            "the rows of X": fit["data"],
            "the number of columns of X": X.shape[1],
            "the names of the columns of X": None if names is None else names.tolist(),
            "the steps of earlier fits": n_steps_before,
            "the seed of earlier fits": seed if n_steps_before else None,
        }
        texts = {name: json.dumps(value) for name, value in own.items()}
        digests = {n: hashlib.sha256(t.encode()).digest() for n, t in texts.items()}
        first = self.from_first(lambda: (digests, seed))
        differing = {name for name in digests if first[0].get(name) != digests[name]}
        differing = sorted(set().union(*self._exchange(differing)))
        if differing:
            raise ValueError(
                f"The processes of a distributed fit differ in {', '.join(differing)}. "
                "Pass the same parameters and columns in all, and the same rows too if "
                'distributed="replicated" (rows of its own in each: "sharded").'
            )
        if self.total(X.nnz if sp.issparse(X) else X.size) == 0:
            raise ValueError("X holds nothing in any of the processes; pass rows.")
        return first[1]

    def validation(self, given, needed):
        """Return the validation set, or a pair of None where only the first has it."""
        if self.from_first(lambda: given is not None):
            return given or (None, None)
        if needed and self.own_rows:
            raise ValueError(
                'distributed="sharded" holds out no rows for validation, which is '
                "scored in the first process; pass a validation set there."
            )
        return None

    # Sending

    def from_first(self, function):
        """Call a function in the first process, and return its result in all."""
        result = [function() if self.is_first else None]
        self.meet()
        _wait(dist.broadcast_object_list, result, src=0, device=self._device)
        return result[0]

    def gather(self, part):
        """List what the processes know of their rows, where these are not the same."""
        return self._exchange(part) if self.own_rows else [part]

    def all_rows(self, X):
        """Return the rows of all processes, given those of this one."""
        return RankBlocks(X, self) if self.own_rows else X

    def total(self, values):
        """Sum numbers over all rows, given those of the rows of each process."""
        return sum(self.gather(values))

    def average(self, values, n_rows):
        """Average numbers over all rows, given the means of `n_rows` of them."""
        values = np.asarray(values, dtype=np.float64)
        weighted = values * n_rows if n_rows else np.zeros_like(values)
        sums = self._sum(np.append(weighted.ravel(), n_rows))
        return (sums[:-1] / sums[-1]).reshape(values.shape)[()]

    def union(self, columns, n_columns):
        """Join the columns that the processes visit in a step: increasing, int64."""
        visited = torch.zeros(n_columns, dtype=torch.uint8, device=self._device)
        visited[columns.to(self._device)] = 1
        self.meet()
        _wait(dist.all_reduce, visited, op=dist.ReduceOp.MAX)
        return visited.nonzero()[:, 0].to(columns.device)

    def place(self, n_rows):
        """Return the first of the own rows among all rows, and how many there are."""
        counts = self.gather(n_rows)
        return (sum(counts[: self.rank]) if self.own_rows else 0), sum(counts)

    def own(self, rows, first, n_own):
        """Select the rows of a step that this process takes, as indices of its own."""
        if self.own_rows:
            return rows[(rows >= first) & (rows < first + n_own)] - first
        return np.array_split(rows, self.size)[self.rank]

    def part(self, batch, n_rows):
        """Make the part of a step from its own rows, of `n_rows` in all."""
        n_own = n_rows_of(batch)
        if n_own == 0:
            sparse = isinstance(batch, SparseRows)
            batch = batch.pad_rows(1) if sparse else F.pad(batch, (0, 0, 0, 1))
        return Part(batch, n_own, n_rows)

    def sum_gradients(self, module, losses):
        """Sum gradients and losses over the processes, in place.

        A sparse gradient has the same rows in all of them, so that its values are
        summed.
        """
        parameters = [one for one in module.parameters() if one.requires_grad]
        # A network of the user's own may leave weights without gradient in some steps.
        missing = [one.grad is None for one in parameters]
        n_missing = losses.new_tensor(missing)
        summed = [losses, n_missing]
        for one, is_missing in zip(parameters, missing, strict=True):
            if is_missing:
                one.grad = torch.zeros_like(one)
            if one.grad.is_sparse:
                one.grad = coalesced(one.grad)
                summed.append(one.grad.values())
            else:
                one.grad = one.grad.contiguous()
                summed.append(one.grad)
        self.meet()
        _wait_for_all(dist.all_reduce, summed)
        if any(missing):  # otherwise a GPU need not be waited for
            for one, n_processes in zip(parameters, n_missing.tolist(), strict=True):
                if n_processes == self.size:
                    one.grad = None

    @torch.no_grad()
    def copy_weights(self, module):
        """Copy weights and buffers from the first process to the others."""
        state = module.state_dict().values()
        tensors = [value for value in state if isinstance(value, torch.Tensor)]
        # What is neither contiguous nor of a type that all backends know is copied.
        sent = [t.to(torch.uint8) if t.dtype == torch.bool else t for t in tensors]
        sent = [t.contiguous() for t in sent]
        self.meet()
        _wait_for_all(dist.broadcast, sent, src=0)
        for tensor, received in zip(tensors, sent, strict=True):
            tensor.copy_(received)  # to no effect if it is the same tensor

    def _exchange(self, value):
        """List the objects that the processes pass."""
        self.meet()
        return self._gather_objects(value)

    def _gather_objects(self, value):
        values = [None] * self.size
        _wait(dist.all_gather_object, values, value)
        return values

    def _sum(self, values):
        """Sum float64 arrays."""
        tensor = torch.from_numpy(values).to(self._device)
        self.meet()
        _wait(dist.all_reduce, tensor)
        return tensor.cpu().numpy()


class RankBlocks(RowBlocks):
    """The rows of all processes, of which each one reads its own.

    Every process has to call the same methods in the same order.

    Parameters
    ----------
    X : CSR of shape (n_rows, n_columns)
        Rows of this process, perhaps none.
    ranks : Ranks
        The processes.
    """

    def __init__(self, X, ranks):
        super().__init__([X])
        self._ranks = ranks

    def map_reduce(self, function, add=operator.add, start=None):
        """Apply a function to the rows of each process, and add up the results."""
        own = apply_to_block(function, self._dropped, self._ranks.rank, self._blocks[0])
        return reduce(add, self._ranks.gather(own))


class RanksNet(VAENet):
    """Train a VAE on the parts of batches, together with the nets of other processes.

    Parameters
    ----------
    module : torch.nn.Module
        As in `VAENet`.
    ranks : Ranks
        The processes.
    **kwargs
        As in `VAENet`.
    """

    def __init__(self, module, *, ranks, **kwargs):
        super().__init__(module, **kwargs)
        self.ranks = ranks

    @property
    def noise_stream(self):
        """Stream of dropout and noise: another one in each process."""
        return (*super().noise_stream, self.ranks.rank)

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        """Start from the weights of the first process, and end together."""
        if any(is_lazy(parameter) for parameter in self.module_.parameters()):
            raise ValueError(
                "A network of your own has lazy weights, whose shapes follow from the "
                "first batch; give them shapes for a distributed fit."
            )
        self.ranks.copy_weights(self.module_)
        super().fit_loop(X, y, epochs, **fit_params)
        self.ranks.meet()
        return self

    def finish_epoch(self):
        """Check the weights, and take those of the first process.

        They differ if the processors round differently, and buffers of networks of the
        user's own differ by their rows.
        """
        super().finish_epoch()
        self.ranks.copy_weights(self.module_)

    def finish_training(self, outcome):
        """Take the weights and the best epoch of the first process.

        A callback that ends the training in one process may keep other callbacks there
        from seeing the last epoch.
        """
        self.ranks.copy_weights(self.module_)
        best_epoch = self.ranks.from_first(lambda: outcome.best_epoch)
        return replace(outcome, best_epoch=best_epoch)

    def mean_terms(self, batch):
        """Return the shares of the own rows in the means over the rows of the step."""
        terms = self.module_(batch.batch, self.noise_)
        return (term[: batch.n_own].sum() / batch.n_rows for term in terms)

    def train_step_single(self, batch, **fit_params):
        """Compute the loss and the gradients of the rows in all processes."""
        step = super().train_step_single(batch, **fit_params)
        losses = torch.stack([step[name] for name in LOSSES])
        self.ranks.sum_gradients(self.module_, losses)
        return {**step, **dict(zip(LOSSES, losses, strict=True))}

    def was_interrupted(self, error):
        """Whether the user has interrupted the training, in any of the processes."""
        if isinstance(error, Left):
            return error.interrupted
        interrupted = super().was_interrupted(error)
        return self.ranks.meet(INTERRUPTED if interrupted else STOPPED)


ONE_PROCESS = OneProcess()


def join_ranks(distributed):
    """Return the processes that the parameter `distributed` of an estimator asks for.

    Parameters
    ----------
    distributed : {"replicated", "sharded"} or None
        Whether all processes have the same rows, or rows of their own. None for this
        process alone.

    Returns
    -------
    ranks : OneProcess

    Raises
    ------
    ValueError
        If there is no group of processes.
    """
    if distributed is None:
        return ONE_PROCESS
    if not (dist.is_available() and dist.is_initialized()):
        raise ValueError(
            f"distributed={distributed!r} needs a group of processes: call "
            "torch.distributed.init_process_group() before fit, in processes that "
            "torchrun, Spark or Ray has started, or pass distributed=None to fit in "
            "this process alone."
        )
    return Ranks(own_rows=distributed == "sharded")


def _wait(function, *args, **kwargs):
    """Send, and wait for the others."""
    try:
        work = function(*args, **kwargs)
        if work is not None:
            work.wait()
    except RuntimeError as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise RanksError(
            "Another process of the fit has ended, or has not answered within the "
            f"timeout of the group of processes ({reason}). If a checkpoint was kept, "
            "the same call in new processes resumes the fit."
        ) from error


def _wait_for_all(function, tensors, **kwargs):
    """Send tensors at the same time."""

    def send():
        works = [function(one, async_op=True, **kwargs) for one in tensors]
        for work in works:
            work.wait()

    _wait(send)
