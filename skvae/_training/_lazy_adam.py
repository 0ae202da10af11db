"""AdamW that touches only the rows of a weight which have a gradient."""

import torch

# Numbers in a block of rows that are updated at a time.
BLOCK_SIZE = 2**16


class LazyAdamW(torch.optim.AdamW):
    """AdamW, where a sparse gradient changes the rows that it holds and no others.

    Weight, moments and decay of the other rows stay as they are, as in
    `torch.optim.SparseAdam`. Dense gradients are those of `torch.optim.AdamW`.
    """

    @torch.no_grad()
    def step(self, closure=None):
        """Update the parameters; `closure` computes the loss and the gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.grad.is_sparse:
                    self._update_rows(parameter, group)
                    parameter.grad = None
        super().step()
        return loss

    def _update_rows(self, parameter, group):
        """Update rows: Loshchilov & Hutter 2019, algorithm 2, with decoupled decay."""
        gradient = coalesced(parameter.grad)
        rows, gradient = gradient.indices()[0], gradient.values()
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        n_rows = max(1, BLOCK_SIZE // max(1, parameter[0].numel()))
        for part in zip(rows.split(n_rows), gradient.split(n_rows), strict=True):
            self._update_block(parameter, *part, state, group)

    def _update_block(self, parameter, rows, gradient, state, group):
        """Update rows that fit in the cache, so that only their first use is slow."""
        beta1, beta2 = group["betas"]
        mean = state["exp_avg"].index_select(0, rows)
        square = state["exp_avg_sq"].index_select(0, rows)
        mean.lerp_(gradient, 1 - beta1)
        square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        state["exp_avg"].index_copy_(0, rows, mean)
        state["exp_avg_sq"].index_copy_(0, rows, square)
        n_steps = state["step"].item()
        scale = square.div_(1 - beta2**n_steps).sqrt_().add_(group["eps"])
        change = mean.div_(scale).mul_(-group["lr"] / (1 - beta1**n_steps))
        if group["weight_decay"]:
            decay = group["lr"] * group["weight_decay"]
            change.sub_(parameter.index_select(0, rows), alpha=decay)
        parameter.index_add_(0, rows, change)


def coalesced(gradient):
    """Coalesce a sparse gradient of rows, which takes no time if these increase.

    The gradient of `SampledRows.take` is coalesced, but autograd forgets it.
    """
    rows = gradient._indices()[0]
    if (rows[1:] > rows[:-1]).all():
        gradient._coalesced_(True)
    return gradient.coalesce()
