"""The variational autoencoder of Kingma & Welling 2014, and the plain autoencoder."""

import torch
from torch import nn
from torch.nn import functional as F

from skvae._nn._custom_network import CustomNetwork
from skvae._nn._layers import ACTIVATIONS, MLP, Linear, TiedMLP, affine, dropout
from skvae._nn._likelihoods import as_dense
from skvae._nn._sampled_rows import SampledRows
from skvae._nn._sparse_rows import SparseRows

# Keeps variances and their inverses finite in float32 for any output of the encoder.
# The posteriors of trained models are far from this bound.
MAX_ABS_LOG_VARIANCE = 20.0


def kl_to_standard_normal(mean, log_variance):
    """KL(N(mean, diag exp(log_variance)) || N(0, I)) of each dimension.

    Kingma & Welling 2014, appendix B.

    Parameters
    ----------
    mean, log_variance : Tensor of shape (n_rows, n_components)
        Parameters of the posterior.

    Returns
    -------
    kl : Tensor of shape (n_rows, n_components)
        In nats, >= 0.
    """
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1.0)


class VAE(nn.Module):
    """Encoder, latent code, decoder, and the likelihood of the decoder's outputs.

    Every method is deterministic unless a `generator` is passed. Dropout and the
    reparametrisation draw from it.

    Parameters
    ----------
    n_features : int
        Width of the data.
    n_components : int
        Width of the latent code.
    hidden_layer_sizes : sequence of int
        Hidden widths of the encoder; the decoder has them in reverse.
    activation : str
        Key of `ACTIVATIONS`.
    likelihood : Likelihood
        Distribution of x given z.
    variational : bool
        Whether the code is a distribution. If not, it is a plain hidden layer with
        the activation `code_activation`.
    input_dropout, hidden_dropout : float
        Probability of dropping an input, or a hidden unit.
    tied_weights : bool
        Whether the decoder uses the weights of the encoder, transposed, with its own
        biases.
    initial_log_variance : float
        Bias of the posterior's log-variance before training.
    generator : torch.Generator
        Draws the initial weights, on the CPU.
    code_activation : str or None, default=None
        Key of `ACTIVATIONS` for a code that is not a distribution; None for
        `activation`.
    encoder, decoder : callable or None, default=None
        Factories of networks that replace the perceptrons; see `CustomNetwork`. The
        encoder returns the mean and, next to it, the log-variance.
    """

    def __init__(
        self,
        n_features,
        n_components,
        *,
        hidden_layer_sizes,
        activation,
        likelihood,
        variational,
        input_dropout,
        hidden_dropout,
        tied_weights,
        initial_log_variance,
        generator,
        code_activation=None,
        encoder=None,
        decoder=None,
    ):
        super().__init__()
        sizes = (n_features, *hidden_layer_sizes, n_components)
        options = {
            "activation": activation,
            "dropout": hidden_dropout,
            "generator": generator,
        }
        self.log_variance = None
        if encoder is not None:
            n_out = (1 + variational) * n_components
            self.encoder = CustomNetwork(
                encoder, n_features, n_out, name="encoder", generator=generator
            )
        else:
            self.encoder = MLP(sizes, **options)  # its output is the mean
        if variational and encoder is None:
            self.log_variance = Linear(sizes[-2], n_components, generator)
            with torch.no_grad():
                self.log_variance.bias += initial_log_variance
        if decoder is not None:
            self.decoder = CustomNetwork(
                decoder, n_components, n_features, name="decoder", generator=generator
            )
        elif tied_weights:
            self.decoder = TiedMLP(self.encoder.layers, **options)
        else:
            self.decoder = MLP(sizes[::-1], **options)
        self.n_features = n_features
        self.n_components = n_components
        self.code_activation = code_activation or activation
        self.likelihood = likelihood
        self.variational = variational
        self.input_dropout = input_dropout
        self.hidden_dropout = hidden_dropout

    def posterior(self, x, generator=None):
        """Return mean and log-variance of q(z given x), each (n_rows, n_components).

        The log-variance is None for a plain autoencoder, whose code is the mean.
        """
        mean, log_variance = self._encode(self._prepare(x, generator), generator)
        if not self.variational:
            code = ACTIVATIONS[self.code_activation](mean)
            return dropout(code, self.hidden_dropout, generator), None
        return mean, log_variance.clamp(-MAX_ABS_LOG_VARIANCE, MAX_ABS_LOG_VARIANCE)

    def encode(self, x):
        """Return the posterior mean, or the plain code: (n_rows, n_components)."""
        mean, _ = self._encode(self._prepare(x, None), None, with_variance=False)
        return mean if self.variational else ACTIVATIONS[self.code_activation](mean)

    def decode(self, z, generator=None):
        """Return the parameters of the likelihood, of shape (n_rows, n_features)."""
        return self.decoder(z, generator)

    def user_vectors(self, x):
        """Vectors whose products with `item_vectors` are the outputs of the decoder.

        They are the last hidden layer, and 1 for the bias: (n_rows, n_hidden + 1).
        """
        hidden = self.decoder.hidden(self.encode(x))
        return F.pad(hidden, (0, 1), value=1.0)

    @property
    def item_vectors(self):
        """Weights and bias of each output: (n_features, n_hidden + 1)."""
        bias = self.decoder.output_bias
        return torch.cat([self.decoder.output_weight.T, bias[:, None]], dim=1)

    def forward(self, x, generator):
        """Compute negative log-likelihood and KL of each row, with one draw from q.

        Parameters
        ----------
        x : SparseRows or Tensor of shape (n_rows, n_features)
            Data.
        generator : torch.Generator
            Draws dropout and noise, on the device of `x`.

        Returns
        -------
        nll, kl : Tensor of shape (n_rows,)
            In nats. Their sum, with the KL weighted by beta, is the training loss.
        """
        return self.losses(x, *self.posterior(x, generator), generator)

    def losses(self, x, mean, log_variance, generator):
        """Compute the same as `forward`, given the posterior of the rows."""
        if log_variance is None:
            z, kl = mean, mean.new_zeros(mean.shape[0])
        else:
            noise = torch.empty_like(mean).normal_(generator=generator)
            z = mean + torch.exp(0.5 * log_variance) * noise
            kl = kl_to_standard_normal(mean, log_variance).sum(dim=1)
        if isinstance(self.decoder, CustomNetwork):
            return self.likelihood.nll(self.decode(z, generator), x), kl
        hidden = self.decoder.hidden(z, generator)
        weight, bias = self.decoder.output_weight, self.decoder.output_bias
        if isinstance(x, SampledRows):
            weight = self.decoder.output_columns(x)
            outputs = affine(bias.index_select(0, x.columns), hidden, weight)
            return self.likelihood.sampled_nll(outputs, x), kl
        return self.likelihood.nll_of_layer(hidden, weight, bias, x), kl

    @torch.no_grad()
    def shift_outputs(self, amount):
        """Add a Tensor of shape (n_features,) to all outputs, through the last bias.

        A decoder made by the user's factory is not changed.
        """
        if not isinstance(self.decoder, CustomNetwork):
            self.decoder.output_bias.add_(amount)

    def _encode(self, x, generator, with_variance=True):
        if isinstance(self.encoder, CustomNetwork):
            outputs = self.encoder(as_dense(x), generator)
            return outputs.chunk(2, dim=1) if self.variational else (outputs, None)
        hidden = self.encoder.hidden(x, generator)
        has_variance = self.variational and with_variance
        log_variance = self.log_variance(hidden) if has_variance else None
        return self.encoder.output(hidden), log_variance

    def _prepare(self, x, generator):
        x = self.likelihood.prepare(x)
        if not isinstance(x, SparseRows):
            return dropout(x, self.input_dropout, generator)
        if self.input_dropout == 0.0 or generator is None:
            return x
        return x.dropout(self.input_dropout, generator)
