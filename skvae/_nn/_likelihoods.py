"""Likelihoods p(x given z), whose parameters are the outputs of the decoder."""

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from skvae._nn._buffers import empty
from skvae._nn._layers import affine
from skvae._nn._sparse_rows import SparseRows

# In standard units, where all features together have variance 1: the logarithm of the
# first noise variance, and a floor that keeps it positive if X has no noise.
INITIAL_LOG_NOISE = -1.0
MIN_NOISE_VARIANCE = 1e-6
NOISE_GAIN = 4.0
# Keep squares and sums finite in float32 for rows far from the training data.
MAX_ABS_STANDARDIZED = 1e9
MAX_LOG_RATE = 60.0
# A batch with more logits than MAX_LOGITS, half a gigabyte, is computed in blocks of
# LOGITS_IN_BLOCK.
MAX_LOGITS, LOGITS_IN_BLOCK = 2**27, 2**22


class Generators(NamedTuple):
    """Random number generators of torch, on its device, and of numpy, for samples.

    torch draws multinomial counts one by one; numpy draws all counts of a row at once.
    """

    torch: torch.Generator
    numpy: np.random.Generator


class Likelihood(ABC):
    """Distribution p(x given z) of a row, whose parameters are the decoder's outputs.

    This is the protocol that networks and estimators rely on. To add a likelihood,
    write a subclass below and add it to `LIKELIHOODS`.
    """

    name: str  # as in the parameter `likelihood` of the estimators
    non_negative = True  # negative data have no meaning
    max_value: float | None = None  # above which data have no meaning
    takes_sparse_rows_only = False
    needs_variances = False  # whether `start_from` needs the variances of the columns
    given_totals = False  # whether a row is drawn given its total count

    @classmethod
    def make(cls, n_features, *, noise_variance="shared", label_smoothing=0.0):
        """Make a likelihood for `n_features` columns from the options that it uses."""
        return cls()

    @abstractmethod
    def start_from(self, means, variances):
        """Adapt to the data, and return outputs that give its means.

        Parameters
        ----------
        means, variances : ndarray of shape (n_features,), float64
            Moments of the columns. `variances` is None unless `needs_variances`; for
            non-negative data no mean is 0.

        Returns
        -------
        outputs : ndarray of shape (n_features,), float64
            Outputs of the decoder with which every feature has its mean.
        """

    def prepare(self, rows):
        """Return rows as the encoder sees them: by default unchanged."""
        return rows

    def nll(self, outputs, rows):
        """Loss of each row, its negative log-likelihood: shape (n_rows,)."""
        return -self.log_prob(outputs, rows)

    def nll_of_layer(self, hidden, weight, bias, rows):
        """Compute `nll` of the outputs ``hidden @ weight + bias``.

        Parameters
        ----------
        hidden : Tensor of shape (n_rows, n_hidden)
            Last hidden layer of the decoder.
        weight : Tensor of shape (n_hidden, n_features)
            Weight of its output layer.
        bias : Tensor of shape (n_features,)
            Bias of its output layer.
        rows : SparseRows or Tensor of shape (n_rows, n_features)
            Data, in the units of X.
        """
        return self.nll(affine(bias, hidden, weight), rows)

    def loss_of_units(self, n_features):
        """Part of the loss of a row that only the units of the data determine."""
        return 0.0

    @abstractmethod
    def log_prob(self, outputs, rows):
        """Log-probability or log-density of each row: shape (n_rows,).

        Parameters
        ----------
        outputs : Tensor of shape (n_rows, n_features)
            Outputs of the decoder.
        rows : SparseRows or Tensor of shape (n_rows, n_features)
            Data, in the units of X.
        """

    @abstractmethod
    def mean(self, outputs):
        """Mean of each feature, in the units of X: shape (n_rows, n_features)."""

    @abstractmethod
    def sample(self, outputs, generators, totals=None):
        """Draw a row for each row of outputs: Tensor of shape (n_rows, n_features).

        Parameters
        ----------
        outputs : Tensor of shape (n_rows, n_features)
            Outputs of the decoder.
        generators : Generators
            The one of torch is on the device of the outputs.
        totals : ndarray of shape (n_rows,), int64, default=None
            Total count of each row, if `given_totals`.
        """


class Multinomial(Likelihood):
    """Counts of a row, distributed over the columns by softmax of the outputs.

    Parameters
    ----------
    label_smoothing : float, default=0
        Share of each row's mass that the training loss spreads evenly over all
        columns: targets (1 - e) x + e N / I, for a row of N counts over I columns.
        `log_prob` ignores it.
    """

    name = "multinomial"
    given_totals = True
    takes_sparse_rows_only = True

    def __init__(self, label_smoothing=0.0):
        self.label_smoothing = label_smoothing

    @classmethod
    def make(cls, n_features, *, noise_variance="shared", label_smoothing=0.0):
        """Make a likelihood with this label smoothing."""
        return cls(label_smoothing)

    def start_from(self, means, variances):
        """Return log-shares of the columns: shape (n_columns,)."""
        return np.log(means / means.mean())

    def prepare(self, rows):
        """Return rows as the encoder sees them: scaled to unit Euclidean norm."""
        return (
            rows.l2_normalized() if isinstance(rows, SparseRows) else F.normalize(rows)
        )

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
            That of the smoothed targets if `label_smoothing` is positive.
        """
        return _MultinomialNLL.apply(logits, rows, self.label_smoothing)

    def nll_of_layer(self, hidden, weight, bias, rows):
        """Compute `nll` of a linear layer; of one with very many outputs in blocks.

        Then no tensor of rows by columns is made, but four products instead of three,
        because the gradient computes the logits again.
        """
        if hidden.shape[0] * weight.shape[1] <= MAX_LOGITS:
            return super().nll_of_layer(hidden, weight, bias, rows)
        return _BlockwiseNLL.apply(hidden, weight, bias, rows, self.label_smoothing)

    def sampled_nll(self, logits, rows):
        """Estimate `nll` from some of the columns.

        A row's own columns count as they are, and the others by their weights, so that
        the sum of exponentials in the normaliser and the share of the smoothing are
        estimated without bias. Where both are alike, as for most columns, their errors
        cancel in the gradient.

        Parameters
        ----------
        logits : Tensor of shape (n_rows, n_columns)
            Outputs for the columns of `rows`.
        rows : SampledRows
            Counts x, all >= 0.

        Returns
        -------
        nll : Tensor of shape (n_rows,)
        """
        return _SampledNLL.apply(logits, rows, self.label_smoothing)

    def log_prob(self, logits, rows):
        """Log-probability of each row given its number of counts: shape (n_rows,)."""
        coefficient = torch.lgamma(rows.row_sums() + 1) - rows.row_sums(
            torch.lgamma(rows.values + 1)
        )
        return coefficient - _MultinomialNLL.apply(logits, rows, 0.0)

    def mean(self, logits):
        """Probability of each column for one count: shape (n_rows, n_columns)."""
        return torch.softmax(logits, dim=1)

    def sample(self, logits, generators, totals=None):
        """Draw counts of these totals: (n_rows, n_columns), on the CPU."""
        shares = self.mean(logits.double()).cpu().numpy()
        counts = generators.numpy.multinomial(totals, shares)
        return torch.from_numpy(counts.astype(np.float32))

    def sample_columns(self, logits, generator, totals):
        """Draw counts one by one, which saves memory if the totals are small.

        Parameters
        ----------
        logits : Tensor of shape (n_rows, n_columns)
            Outputs of the decoder.
        generator : torch.Generator
            On the device of `logits`.
        totals : Tensor of shape (n_rows,), int64
            Total count of each row.

        Returns
        -------
        row_index, columns : Tensor of shape (sum of totals,)
            One entry per count.
        """
        n_draws = max(int(totals.max()), 1)
        columns = torch.multinomial(
            self.mean(logits), n_draws, replacement=True, generator=generator
        )
        drawn = torch.arange(n_draws, device=totals.device) < totals[:, None]
        return drawn.nonzero()[:, 0], columns[drawn]


class _MultinomialNLL(torch.autograd.Function):
    """The loss from one softmax and the non-zeros, with a hand-written gradient."""

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


class _BlockwiseNLL(torch.autograd.Function):
    """The loss of a linear layer from blocks of its columns, computed twice."""

    @staticmethod
    def forward(ctx, hidden, weight, bias, rows: SparseRows, label_smoothing):
        totals = rows.row_sums()
        logsumexp = hidden.new_full((rows.n_rows,), -torch.inf)
        logit_sum, observed = torch.zeros_like(totals), torch.zeros_like(totals)
        for columns, logits in _logit_blocks(hidden, weight, bias):
            block_sum = torch.logsumexp(logits, dim=1)
            logsumexp = torch.logaddexp(logsumexp, block_sum)
            logit_sum += logits.sum(dim=1)
            column, inside = _columns_in(rows, columns)
            picked = inside * rows.values * logits[rows.row_index, column]
            observed.index_add_(0, rows.row_index, picked)
        ctx.save_for_backward(hidden, weight, bias, totals, logsumexp)
        ctx.rows, ctx.label_smoothing = rows, label_smoothing
        ctx.autocast = _autocast_as_now(hidden.device.type)
        mean_logit = logit_sum / rows.n_columns
        targets = observed + label_smoothing * (totals * mean_logit - observed)
        return totals * logsumexp - targets

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        hidden, weight, bias, totals, logsumexp = ctx.saved_tensors
        rows, smoothing = ctx.rows, ctx.label_smoothing
        row_weight = (totals * grad_output)[:, None]
        observed = (1.0 - smoothing) * rows.values * rows.spread(grad_output)
        grad_hidden = torch.zeros_like(hidden)
        grad_weight, grad_bias = torch.empty_like(weight), torch.empty_like(bias)
        with ctx.autocast:
            for columns, logits in _logit_blocks(hidden, weight, bias):
                grad = logits.sub_(logsumexp[:, None]).exp_()
                grad.sub_(smoothing / rows.n_columns).mul_(row_weight)
                column, inside = _columns_in(rows, columns)
                place = (rows.row_index, column)
                grad.index_put_(place, -inside * observed, accumulate=True)
                grad_bias[columns] = grad.sum(dim=0)
                grad_weight[:, columns] = (hidden.T @ grad).to(weight.dtype)
                grad_hidden += grad @ weight[:, columns].T
        return grad_hidden, grad_weight, grad_bias, None, None


class _SampledNLL(torch.autograd.Function):
    """The loss from weighted columns, with a hand-written gradient."""

    @staticmethod
    def forward(ctx, logits, rows, label_smoothing):
        totals = rows.row_sums()
        own_log_weight = rows.log_weights.index_select(0, rows.indices)
        weighted = empty(logits.shape, like=logits)
        torch.add(logits, rows.log_weights, out=weighted)
        weighted.view(-1).index_add_(0, rows.flat_index, own_log_weight, alpha=-1)
        largest = weighted.amax(dim=1)
        exponentials = weighted.sub_(largest[:, None]).exp_()
        normalizer = exponentials.sum(dim=1)
        own = rows.pick(logits)
        nll = totals * (normalizer.log() + largest) - rows.row_sums(rows.values * own)
        if label_smoothing:
            weights = rows.log_weights.exp()
            logit_sum = logits @ weights
            logit_sum += rows.row_sums(own * (1.0 - own_log_weight.exp()))
            spread = totals * logit_sum / rows.n_columns_of_matrix
            nll += label_smoothing * (rows.row_sums(rows.values * own) - spread)
        ctx.save_for_backward(exponentials, normalizer, totals, own_log_weight)
        ctx.rows, ctx.label_smoothing = rows, label_smoothing
        return nll

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        # d nll / d f = N p - (1 - e) x - e N w / I, with the weights w, 1 where x > 0
        exponentials, normalizer, totals, own_log_weight = ctx.saved_tensors
        rows, smoothing = ctx.rows, ctx.label_smoothing
        row_weight = totals * grad_output
        grad = empty(exponentials.shape, like=exponentials)
        torch.mul(exponentials, (row_weight / normalizer)[:, None], out=grad)
        observed = (1.0 - smoothing) * rows.values * rows.spread(grad_output)
        if smoothing:
            spread = smoothing / rows.n_columns_of_matrix * row_weight
            weights = rows.log_weights.exp()
            grad.addr_(spread, weights, alpha=-1)
            observed += rows.spread(spread) * (1.0 - own_log_weight.exp())
        grad.view(-1).index_add_(0, rows.flat_index, observed, alpha=-1)
        return grad, None, None


def _logit_blocks(hidden, weight, bias):
    """Yield (slice of columns, logits of these) of a linear layer."""
    n_columns = max(1, LOGITS_IN_BLOCK // max(1, hidden.shape[0]))
    for start in range(0, weight.shape[1], n_columns):
        columns = slice(start, min(start + n_columns, weight.shape[1]))
        logits = torch.addmm(bias[columns], hidden, weight[:, columns])
        yield columns, logits.to(weight.dtype)


def _columns_in(rows, columns):
    """Columns of the stored values in a block, and 1 for those that are in it, else 0.

    All values are kept, because a selection would wait for the device.
    """
    column = rows.indices - columns.start
    last = columns.stop - columns.start - 1
    inside = ((column >= 0) & (column <= last)).to(rows.values.dtype)
    return column.clamp(0, last), inside


def _autocast_as_now(device_type):
    """Autocast for the backward pass as it is in the forward pass."""
    return torch.autocast(
        device_type,
        dtype=torch.get_autocast_dtype(device_type),
        enabled=torch.is_autocast_enabled(device_type),
    )


def _observed_log_prob(logits, probability, rows, *, quick):
    """Log-probability of each stored entry under the softmax of its row.

    `quick` takes logarithms of the probabilities if none is too small, so that the last
    bits of a row may depend on the other rows.
    """
    if quick and logits.device.type == "cpu":  # elsewhere the check would synchronise
        observed = rows.pick(probability)
        if (observed > torch.finfo(observed.dtype).tiny).all():
            return observed.log()
    # The largest probability is at least 1 / I, so its logarithm is safe.
    logsumexp = logits.amax(dim=1) - probability.amax(dim=1).log()
    return rows.pick(logits) - rows.spread(logsumexp)


class Gaussian(Likelihood, nn.Module):
    """Real values with normal noise around the decoder's outputs.

    The network works in standard units, ``(x - location) / scale``, so that it sees
    the same data whatever the units of X; log-probabilities, means and samples are in
    the units of X.

    Parameters
    ----------
    n_features : int
        Width of the data.
    noise_variance : {"shared", "feature"} or float
        "shared" learns one variance for all features, "feature" one for each; a float
        is the fixed variance of all features, in the squared units of X.
    """

    name = "gaussian"
    non_negative = False
    needs_variances = True

    def __init__(self, n_features, noise_variance="shared"):
        super().__init__()
        self.noise_variance = noise_variance
        n_variances = n_features if noise_variance == "feature" else 1
        self.register_buffer("location", torch.zeros(n_features, dtype=torch.float32))
        # If the noise is shared, all features share one scale, so that its variance
        # means the same in every feature.
        self.register_buffer("scale", torch.ones(n_variances, dtype=torch.float32))
        log_noise = torch.full(
            (n_variances,), INITIAL_LOG_NOISE / NOISE_GAIN, dtype=torch.float32
        )
        if isinstance(noise_variance, str):
            self.log_noise = nn.Parameter(log_noise)  # without weight decay
        else:
            self.register_buffer("log_noise", log_noise)

    @classmethod
    def make(cls, n_features, *, noise_variance="shared", label_smoothing=0.0):
        """Make a likelihood for `n_features` features with this noise."""
        return cls(n_features, noise_variance)

    @torch.no_grad()
    def start_from(self, means, variances):
        """Set location and scale from the columns; outputs of zero give their means.

        A feature that does not vary in float32 keeps the unit scale.
        """
        if self.scale.shape[0] == 1:
            variances = variances.mean(keepdims=True)
        std = np.sqrt(variances)
        std[std < np.finfo(np.float32).tiny * 2**23] = 1.0
        self.location.copy_(torch.from_numpy(means))
        self.scale.copy_(torch.from_numpy(std))
        if not isinstance(self.noise_variance, str):
            fixed = np.log(self.noise_variance) - 2 * np.log(std)
            self.log_noise.copy_(torch.from_numpy(fixed / NOISE_GAIN))
        return np.zeros_like(means)

    def prepare(self, rows):
        """Return rows as the encoder sees them: in standard units, as a tensor."""
        standard = (as_dense(rows) - self.location) / self.scale
        return standard.clamp(-MAX_ABS_STANDARDIZED, MAX_ABS_STANDARDIZED)

    def log_variance(self):
        """Logarithm of the noise variance in standard units: shape (1,) or (n,)."""
        log_noise = NOISE_GAIN * self.log_noise
        if not isinstance(self.noise_variance, str):
            return log_noise
        floor = log_noise.new_tensor(math.log(MIN_NOISE_VARIANCE))
        return torch.logaddexp(log_noise, floor)

    def loss_of_units(self, n_features):
        """Logarithms of the scales, and of the constant of the normal density."""
        scales = self.scale.log().expand(n_features).sum().item()
        return scales + 0.5 * n_features * math.log(2 * math.pi)

    def noise_variances(self):
        """Noise variance in the squared units of X: (1,) or (n_features,), float64.

        In float64, because the square of a scale may exceed float32.
        """
        return self.log_variance().double().exp() * self.scale.double().square()

    def log_prob(self, outputs, rows):
        """Log-density of each row, for outputs in standard units: shape (n_rows,)."""
        log_variance = self.log_variance()
        squares = (self.prepare(rows) - outputs).square()
        constants = log_variance + 2 * self.scale.log() + math.log(2 * math.pi)
        constant = constants.expand(outputs.shape[1]).sum()
        return -0.5 * ((squares * torch.exp(-log_variance)).sum(dim=1) + constant)

    def mean(self, outputs):
        """Mean of each feature, in the units of X: (n_rows, n_features).

        Clipped to the range of float32, as the values of X are in it too.
        """
        limit = torch.finfo(torch.float32).max
        return (self.location + self.scale * outputs).clamp(-limit, limit)

    def sample(self, outputs, generators, totals=None):
        """Add noise to the means: (n_rows, n_features)."""
        noise = torch.empty_like(outputs).normal_(generator=generators.torch)
        return self.mean(outputs + torch.exp(0.5 * self.log_variance()) * noise)


class Bernoulli(Likelihood):
    """Values in [0, 1], independent given z; the outputs are log-odds.

    For values between 0 and 1 the log-probability is the negative cross-entropy; it
    is a log-probability in the strict sense if all values are 0 or 1.
    """

    name = "bernoulli"
    max_value = 1.0

    def start_from(self, means, variances):
        """Return the log-odds of the means: shape (n_features,)."""
        return np.log(means) - np.log1p(-means)

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

    def sample(self, logits, generators, totals=None):
        """Draw zeros and ones: (n_rows, n_features)."""
        return torch.bernoulli(self.mean(logits), generator=generators.torch)


class _SparseBernoulliNLL(torch.autograd.Function):
    """Cross-entropy from one dense pass and the non-zeros; hand-written gradient."""

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


class Poisson(Likelihood):
    """Counts, independent given z; the outputs are logarithms of the rates."""

    name = "poisson"

    def start_from(self, means, variances):
        """Return the log-rates of the means: shape (n_features,)."""
        return np.log(means)

    def prepare(self, rows):
        """Return rows as the encoder sees them: log(1 + x), as counts vary widely."""
        if isinstance(rows, SparseRows):
            return rows.with_values(torch.log1p(rows.values))
        return torch.log1p(rows)

    def log_prob(self, log_rates, rows):
        """Log-probability of each row of outputs (n_rows, n_features): (n_rows,)."""
        x, log_rates = as_dense(rows), log_rates.clamp(max=MAX_LOG_RATE)
        return (x * log_rates - log_rates.exp() - torch.lgamma(x + 1)).sum(dim=1)

    def mean(self, log_rates):
        """Rate of each feature: (n_rows, n_features)."""
        return log_rates.clamp(max=MAX_LOG_RATE).exp()

    def sample(self, log_rates, generators, totals=None):
        """Draw counts: (n_rows, n_features)."""
        return torch.poisson(self.mean(log_rates), generator=generators.torch)


LIKELIHOODS = {kind.name: kind for kind in (Gaussian, Bernoulli, Multinomial, Poisson)}


def as_dense(rows):
    """Return rows as a dense tensor of shape (n_rows, n_columns)."""
    return rows.dense if isinstance(rows, SparseRows) else rows
