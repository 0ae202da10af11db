"""Likelihoods p(x given z): what the decoder's outputs mean."""

import math

import numpy as np
import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from skvae.nn._buffers import empty
from skvae.nn._sparse_rows import SparseRows

# In standard units, where all features together have the variance 1: what the noise
# starts from, and what it cannot fall under, lest it vanish where X has no noise.
INITIAL_LOG_NOISE = -1.0
MIN_NOISE_VARIANCE = 1e-6
NOISE_GAIN = 4.0
# Keep squares and sums finite in float32 for rows far from all that was seen.
MAX_ABS_STANDARDIZED = 1e9
MAX_LOG_RATE = 60.0


class Multinomial:
    """Counts of a row, spread over the columns by softmax of the decoder's outputs.

    Parameters
    ----------
    label_smoothing : float, default=0
        Share of each row's mass that the training loss spreads evenly over all
        columns: targets (1 - e) x + e N / I, for a row of N counts over I columns.
        `log_prob` knows nothing of it.
    """

    non_negative = True

    def __init__(self, label_smoothing=0.0):
        self.label_smoothing = label_smoothing

    def first_bias(self, mean):
        """Outputs that give features of these means: array of shape (n_columns,)."""
        return np.log(mean / mean.mean())

    def prepare(self, rows):
        """What the encoder sees: the rows as they are."""
        return rows

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
        probability = empty(logits.shape, like=logits)
        torch.softmax(logits, dim=1, out=probability)
        in_training = ctx.needs_input_grad[0]
        log_prob = _observed_log_prob(logits, probability, rows, quick=in_training)
        nll = -rows.row_sums(rows.values * log_prob)
        if label_smoothing:
            observed = rows.row_sums(rows.values * rows.pick(logits))
            nll += label_smoothing * (observed - totals * logits.mean(dim=1))
        ctx.save_for_backward(probability, totals)
        ctx.rows, ctx.label_smoothing = rows, label_smoothing
        return nll

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        # d nll / d f = N softmax(f) - (1 - e) x - e N / I
        probability, totals = ctx.saved_tensors
        rows, smoothing = ctx.rows, ctx.label_smoothing
        weight = (totals * grad_output)[:, None]
        grad = empty(probability.shape, like=probability)
        torch.mul(probability, weight, out=grad)
        if smoothing:
            grad -= smoothing / rows.n_columns * weight
        observed = (1.0 - smoothing) * rows.values * rows.spread(grad_output)
        grad.view(-1).index_add_(0, rows.flat_index, observed, alpha=-1)
        return grad, None, None


def _observed_log_prob(logits, probability, rows, *, quick):
    """Log-probability of each stored entry under the softmax of its row.

    `quick` takes logarithms of probabilities where none is too small, which depends
    on all rows in the last bits.
    """
    if quick and logits.device.type == "cpu":  # on others, to look is to wait
        observed = rows.pick(probability)
        if (observed > torch.finfo(observed.dtype).tiny).all():
            return observed.log()
    # The largest probability is at least 1 / I, so its logarithm is safe.
    logsumexp = logits.amax(dim=1) - probability.amax(dim=1).log()
    return rows.pick(logits) - rows.spread(logsumexp)


class Gaussian(nn.Module):
    """Real values with normal noise around the decoder's outputs.

    The network works in standard units, ``(x - location) / scale``, so that it meets
    the same data whatever the units of X; log-probabilities, means and samples are in
    those of X.

    Parameters
    ----------
    n_features : int
        Width of the data.
    noise_variance : {"shared", "feature"} or float
        Whether one variance is learned for all features, one for each, or which
        variance, in the squared units of X, all have.
    """

    non_negative = False

    def __init__(self, n_features, noise_variance="shared"):
        super().__init__()
        self.noise_variance = noise_variance
        n_variances = n_features if noise_variance == "feature" else 1
        self.register_buffer("location", torch.zeros(n_features))
        # One scale for all where the noise is shared: its variance means the same in
        # every feature.
        self.register_buffer("scale", torch.ones(n_variances))
        log_noise = torch.full((n_variances,), INITIAL_LOG_NOISE / NOISE_GAIN)
        if isinstance(noise_variance, str):
            self.log_noise = nn.Parameter(log_noise)  # no "weight": it never decays
        else:
            self.register_buffer("log_noise", log_noise)

    @torch.no_grad()
    def start_from(self, mean, variance):
        """Take the units from the columns' means and variances, float64 arrays.

        A feature that does not vary, as far as float32 can see, keeps the unit scale.
        """
        if self.scale.shape[0] == 1:
            variance = variance.mean(keepdims=True)
        std = np.sqrt(variance)
        std[std < np.finfo(np.float32).tiny * 2**23] = 1.0
        self.location.copy_(torch.from_numpy(mean))
        self.scale.copy_(torch.from_numpy(std))
        if not isinstance(self.noise_variance, str):
            fixed = np.log(self.noise_variance) - 2 * np.log(std)
            self.log_noise.copy_(torch.from_numpy(fixed / NOISE_GAIN))

    def prepare(self, rows):
        """Rows in standard units, as a tensor: what the encoder sees."""
        standard = (as_dense(rows) - self.location) / self.scale
        return standard.clamp(-MAX_ABS_STANDARDIZED, MAX_ABS_STANDARDIZED)

    def log_variance(self):
        """Logarithm of the noise variance in standard units: shape (1,) or (n,)."""
        log_noise = NOISE_GAIN * self.log_noise
        if not isinstance(self.noise_variance, str):
            return log_noise
        floor = log_noise.new_tensor(math.log(MIN_NOISE_VARIANCE))
        return torch.logaddexp(log_noise, floor)

    def noise_variances(self):
        """Noise variance in the squared units of X: (1,) or (n_features,), float64.

        The square of a scale that float32 holds may be past it.
        """
        return self.log_variance().double().exp() * self.scale.double().square()

    def nll(self, outputs, rows):
        """Negative log-likelihood of each row: shape (n_rows,)."""
        return -self.log_prob(outputs, rows)

    def log_prob(self, outputs, rows):
        """Log-density of each row: shape (n_rows,).

        Parameters
        ----------
        outputs : Tensor of shape (n_rows, n_features)
            Outputs of the decoder, in standard units.
        rows : SparseRows or Tensor of shape (n_rows, n_features)
            Data, in the units of X.
        """
        log_variance = self.log_variance()
        squares = (self.prepare(rows) - outputs).square()
        constants = log_variance + 2 * self.scale.log() + math.log(2 * math.pi)
        constant = constants.expand(outputs.shape[1]).sum()
        return -0.5 * ((squares * torch.exp(-log_variance)).sum(dim=1) + constant)

    def mean(self, outputs):
        """Mean of each feature, in the units of X: (n_rows, n_features).

        Cut at the range of float32, beyond which X has no values either.
        """
        limit = torch.finfo(torch.float32).max
        return (self.location + self.scale * outputs).clamp(-limit, limit)

    def sample(self, outputs, generator):
        """Draw one row around each row of outputs: (n_rows, n_features)."""
        noise = torch.empty_like(outputs).normal_(generator=generator)
        return self.mean(outputs + torch.exp(0.5 * self.log_variance()) * noise)


class Bernoulli:
    """Values in [0, 1], one coin for each feature; the outputs are its log-odds.

    A value between 0 and 1 counts as the share of ones: the cross-entropy, which is a
    log-probability only where all values are 0 or 1.
    """

    non_negative = True

    def first_bias(self, mean):
        """Outputs that give features of these means: array of shape (n_features,)."""
        return np.log(mean) - np.log1p(-mean)

    def prepare(self, rows):
        """What the encoder sees: the rows as they are."""
        return rows

    def nll(self, logits, rows):
        """Negative log-likelihood of each row: shape (n_rows,)."""
        if isinstance(rows, SparseRows):
            return _SparseBernoulliNLL.apply(logits, rows)
        return -self.log_prob(logits, rows)

    def log_prob(self, logits, rows):
        """Log-probability of each row of logits (n_rows, n_features): (n_rows,)."""
        return (as_dense(rows) * logits - F.softplus(logits)).sum(dim=1)

    def mean(self, logits):
        """Probability of a one: (n_rows, n_features)."""
        return torch.sigmoid(logits)

    def sample(self, logits, generator):
        """Draw zeros and ones: (n_rows, n_features)."""
        return torch.bernoulli(self.mean(logits), generator=generator)


class _SparseBernoulliNLL(torch.autograd.Function):
    """The cross-entropy from one dense pass and the non-zeros, gradient by hand."""

    @staticmethod
    def forward(ctx, logits, rows):
        ctx.save_for_backward(logits)
        ctx.rows = rows
        observed = rows.row_sums(rows.values * rows.pick(logits))
        return F.softplus(logits).sum(dim=1) - observed

    @staticmethod
    def backward(ctx, grad_output):
        # d nll / d f = sigmoid(f) - x
        (logits,), rows = ctx.saved_tensors, ctx.rows
        grad = torch.sigmoid(logits, out=empty(logits.shape, like=logits))
        grad.mul_(grad_output[:, None])
        observed = rows.values * rows.spread(grad_output)
        grad.view(-1).index_add_(0, rows.flat_index, observed, alpha=-1)
        return grad, None


class Poisson:
    """Counts, independent given z; the outputs are the logarithms of the rates."""

    non_negative = True

    def first_bias(self, mean):
        """Outputs that give features of these means: array of shape (n_features,)."""
        return np.log(mean)

    def prepare(self, rows):
        """What the encoder sees: log(1 + x), for counts differ by orders."""
        if isinstance(rows, SparseRows):
            return rows.with_values(torch.log1p(rows.values))
        return torch.log1p(rows)

    def nll(self, log_rates, rows):
        """Negative log-likelihood of each row: shape (n_rows,)."""
        return -self.log_prob(log_rates, rows)

    def log_prob(self, log_rates, rows):
        """Log-probability of each row of outputs (n_rows, n_features): (n_rows,)."""
        x, log_rates = as_dense(rows), log_rates.clamp(max=MAX_LOG_RATE)
        return (x * log_rates - log_rates.exp() - torch.lgamma(x + 1)).sum(dim=1)

    def mean(self, log_rates):
        """Rate of each feature: (n_rows, n_features)."""
        return log_rates.clamp(max=MAX_LOG_RATE).exp()

    def sample(self, log_rates, generator):
        """Draw counts: (n_rows, n_features)."""
        return torch.poisson(self.mean(log_rates), generator=generator)


def as_dense(rows):
    """Rows as a tensor of shape (n_rows, n_columns)."""
    return rows.dense if isinstance(rows, SparseRows) else rows
