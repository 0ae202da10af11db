"""Likelihoods p(x given z): what the decoder's outputs mean."""

import torch

from skvae.nn._sparse_rows import SparseRows


class Multinomial:
    """Counts of a row, spread over the columns by softmax of the decoder's outputs.

    Parameters
    ----------
    label_smoothing : float, default=0
        Share of each row's mass that the training loss spreads evenly over all
        columns: targets (1 - e) x + e N / I, for a row of N counts over I columns.
        `log_prob` knows nothing of it.
    """

    def __init__(self, label_smoothing=0.0):
        self.label_smoothing = label_smoothing

    def nll(self, logits, rows):
        """Negative log-likelihood of each row, without the multinomial coefficient.

        Liang et al. 2018, eq. 2, as N logsumexp(f) - sum_i x_i f_i.

        Parameters
        ----------
        logits : Tensor of shape (n_rows, n_columns)
            Outputs f of the decoder.
        rows : SparseRows of shape (n_rows, n_columns)
            Counts x, all >= 0.

        Returns
        -------
        nll : Tensor of shape (n_rows,)
            Of the smoothed targets when `label_smoothing` is positive.
        """
        return _MultinomialNLL.apply(logits, rows, self.label_smoothing)

    def log_prob(self, logits, rows):
        """Log-probability of each row given its number of counts: shape (n_rows,)."""
        coefficient = torch.lgamma(rows.row_sums() + 1) - rows.row_sums(
            torch.lgamma(rows.values + 1)
        )
        return coefficient - _MultinomialNLL.apply(logits, rows, 0.0)

    def mean(self, logits):
        """Probability of each column for one count: shape (n_rows, n_columns)."""
        return torch.softmax(logits, dim=1)

    def sample(self, logits, totals, generator):
        """Draw rows with given numbers of counts.

        Parameters
        ----------
        logits : Tensor of shape (n_rows, n_columns)
            Outputs of the decoder.
        totals : Tensor of shape (n_rows,), int64
            Number of counts of each row.
        generator : torch.Generator
            On the device of `logits`.

        Returns
        -------
        row_index, columns : Tensor of shape (sum of totals,)
            One entry a count.
        """
        n_draws = max(int(totals.max()), 1)
        columns = torch.multinomial(
            self.mean(logits), n_draws, replacement=True, generator=generator
        )
        drawn = torch.arange(n_draws, device=totals.device) < totals[:, None]
        return drawn.nonzero()[:, 0], columns[drawn]


class _MultinomialNLL(torch.autograd.Function):
    """The loss from softmax's one pass and the non-zeros, with its gradient by hand."""

    @staticmethod
    def forward(ctx, logits, rows: SparseRows, label_smoothing):
        totals = rows.row_sums()
        probability = torch.softmax(logits, dim=1)
        # The largest probability is at least 1 / I, so its logarithm is safe.
        logsumexp = logits.amax(dim=1) - probability.amax(dim=1).log()
        nll = totals * logsumexp
        observed = rows.row_sums(rows.values * logits.view(-1)[rows.flat_index])
        if label_smoothing == 0.0:
            nll -= observed
        else:
            nll -= (1.0 - label_smoothing) * observed
            nll -= label_smoothing * totals * logits.mean(dim=1)
        ctx.save_for_backward(probability, totals)
        ctx.rows, ctx.label_smoothing = rows, label_smoothing
        return nll

    @staticmethod
    def backward(ctx, grad_output):
        # d nll / d f = N softmax(f) - (1 - e) x - e N / I
        probability, totals = ctx.saved_tensors
        rows, smoothing = ctx.rows, ctx.label_smoothing
        weight = (totals * grad_output)[:, None]
        grad = probability * weight
        if smoothing:
            grad -= smoothing / rows.n_columns * weight
        observed = (1.0 - smoothing) * rows.values * grad_output[rows.row_index]
        grad.view(-1)[rows.flat_index] -= observed
        return grad, None, None
