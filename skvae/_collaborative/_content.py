"""The content model of CollaborativeVAE, and its training before the rounds."""

from dataclasses import dataclass, fields

import numpy as np
import torch

from skvae._nn import LIKELIHOODS, VAE, TiedMLP
from skvae._training import (
    RowBatches,
    Stream,
    annealing_steps,
    check_improved,
    count_steps,
    make_callbacks,
    make_generator,
    make_net,
    resolve_device,
    starting_outputs,
    stream_seed,
    train,
)

INITIAL_LOG_VARIANCE = -4.0
# Settings for training the layers one by one, as in the code of Li & She 2017.
LAYER_LEARNING_RATE, LAYER_DROPOUT = 0.01, 0.3


@dataclass(frozen=True)
class ContentSettings:
    """Settings of the content model and of its training.

    The names are those of the parameters of `CollaborativeVAE`.
    """

    n_components: int
    hidden_layer_sizes: tuple
    activation: str
    variational: bool
    tied_weights: bool
    likelihood: str
    beta: float
    annealing: float | int
    dropout: float
    lambda_w: float
    layer_epochs: int
    content_epochs: int
    learning_rate_init: float
    lr_schedule: str | None
    batch_size: int
    precision: str

    def __post_init__(self):
        """Convert to Python types, so that a cache recognises equal settings."""
        sizes = tuple(int(size) for size in self.hidden_layer_sizes)
        object.__setattr__(self, "hidden_layer_sizes", sizes)
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.generic):
                object.__setattr__(self, field.name, value.item())

    @classmethod
    def names(cls):
        """Names of the settings."""
        return [field.name for field in fields(cls)]


class PretrainingInterrupted(KeyboardInterrupt):
    """Raised if the user interrupts the pre-training, with the model so far."""

    def __init__(self, content):
        super().__init__()
        self.content = content


def pretrained_content(features, settings, seed, device="auto", verbose=0):
    """Make the content model and train it alone: layer by layer, then as a whole.

    The result depends only on the arguments, so that it can be cached.

    Parameters
    ----------
    features : CSR or ndarray of shape (n_items, n_words)
        Content, checked.
    settings : ContentSettings
        Settings of the model and of its training.
    seed : int
        Seed of weights, order, dropout and noise.
    device : str or torch.device
        Device to train on.
    verbose : int
        As in `CollaborativeVAE`.

    Returns
    -------
    content : skvae._nn.VAE
        On the CPU.

    Raises
    ------
    PretrainingInterrupted
        If the user interrupts the training.
    """
    content = make_content(
        features, settings, make_generator(seed, Stream.INITIAL_WEIGHTS)
    )
    try:
        interrupted = _train(content, features, settings, seed, device, verbose)
    except KeyboardInterrupt:  # between two trainings
        interrupted = True
    content.eval().cpu()
    if interrupted:
        raise PretrainingInterrupted(content)
    return content


def _train(content, features, settings, seed, device, verbose):
    """Train layers and model in place; return whether the user interrupted it."""
    device = resolve_device(device)
    content.to(device)
    if settings.layer_epochs and _train_layers(
        content, features, settings, seed, device, verbose
    ):
        return True
    if not settings.content_epochs:
        return False
    net = content_net(
        content,
        settings,
        n_rows=features.shape[0],
        n_epochs=settings.content_epochs,
        seed=stream_seed(seed, Stream.CONTENT),
        anneal=True,
        verbose=verbose,
        description="content",
        training_of="the content model, before the rounds,",
    )
    batches = RowBatches(features, device, for_training=True)
    outcome = train(net, batches, settings.content_epochs)
    generator = make_generator(seed, Stream.INITIAL_WEIGHTS)
    check_improved(
        net, features, outcome, lambda: make_content(features, settings, generator)
    )
    return outcome.interrupted


def blank_content(n_words, settings, generator):
    """Make an untrained content model for `n_words` columns of features."""
    return VAE(
        n_words,
        settings.n_components,
        hidden_layer_sizes=settings.hidden_layer_sizes,
        activation=settings.activation,
        likelihood=LIKELIHOODS[settings.likelihood].make(n_words),
        variational=settings.variational,
        input_dropout=settings.dropout,
        hidden_dropout=0.0,
        tied_weights=settings.tied_weights,
        initial_log_variance=INITIAL_LOG_VARIANCE,
        generator=generator,
        code_activation="identity",
    )


def make_content(features, settings, generator):
    """Make a content model that returns the means of the features for any code."""
    content = blank_content(features.shape[1], settings, generator)
    content.shift_outputs(starting_outputs(content.likelihood, features))
    return content


def _decoder_layer(decoder, depth=0):
    """Return the parameters, by name, of the layer `depth` layers before the last."""
    if isinstance(decoder, TiedMLP):
        return {"bias": decoder.biases[-1 - depth]}
    return _named(decoder.layers[-1 - depth])


def _named(module):
    return dict(module.named_parameters())


@torch.no_grad()
def _copy_weights(source, target):
    """Copy the parameters in `source` to those with the same names in `target`."""
    for name, parameter in source.items():
        target[name].copy_(parameter)


def content_net(
    module,
    settings,
    *,
    n_rows,
    n_epochs,
    seed,
    anneal,
    verbose,
    description,
    training_of,
    learning_rate=None,
    remedy="lower learning_rate_init or scale item_features",
    score_function=None,
    patience=None,
    tol=0.0,
    callbacks=(),
    **kwargs,
):
    """Make an initialised net with the optimiser and schedules of the settings.

    Parameters
    ----------
    module : torch.nn.Module
        The module to train, on its device.
    settings : ContentSettings
        Settings of optimiser and schedules.
    n_rows : int
        Rows in an epoch.
    n_epochs : int
        Planned epochs.
    seed : int
        Seed of this training.
    anneal : bool
        Whether the weight of the KL rises to beta, or is beta from the start.
    verbose : int
        As in `CollaborativeVAE`.
    description : str
        Text before the progress bar.
    training_of, remedy : str
        As in `VAENet`.
    learning_rate : float or None, default=None
        Learning rate; None for that of the settings.
    score_function, patience, tol, callbacks
        As in `make_callbacks`.
    **kwargs
        Further parameters of `make_net`.
    """
    steps_per_epoch = count_steps(n_rows, settings.batch_size, 1)
    planned_steps = steps_per_epoch * n_epochs
    return make_net(
        module,
        seed=seed,
        beta=settings.beta if settings.variational else 0.0,
        n_annealing_steps=(
            annealing_steps(settings.annealing, planned_steps) if anneal else 0
        ),
        precision=settings.precision,
        optimizer=torch.optim.Adam,
        lr=settings.learning_rate_init if learning_rate is None else learning_rate,
        # The loss is a mean over rows, so lambda_w / 2 |W|^2 is divided by n_rows too.
        weight_decay=settings.lambda_w / n_rows,
        batch_size=settings.batch_size,
        verbose=verbose,
        training_of=training_of,
        remedy=remedy,
        callbacks=make_callbacks(
            n_epochs,
            planned_steps=planned_steps,
            steps_per_epoch=steps_per_epoch,
            verbose=verbose,
            description=description,
            lr_schedule=settings.lr_schedule,
            score_function=score_function,
            patience=patience,
            tol=tol,
            callbacks=callbacks,
        ),
        **kwargs,
    )


def _train_layers(content, features, settings, seed, device, verbose):
    """Train each hidden layer as a denoising autoencoder of the layer below it.

    Vincent et al. 2010. Returns whether the user interrupted.
    """
    rows = features
    for depth, layer in enumerate(content.encoder.layers[:-1]):
        n_in, n_out = layer.weight.shape
        one = VAE(
            n_in,
            n_out,
            hidden_layer_sizes=(),
            activation=settings.activation,
            likelihood=content.likelihood
            if depth == 0
            else _code_likelihood(settings, n_in),
            variational=False,
            input_dropout=LAYER_DROPOUT,
            hidden_dropout=0.0,
            tied_weights=settings.tied_weights,
            initial_log_variance=0.0,
            generator=make_generator(seed, Stream.LAYERS, depth),
        ).to(device)
        # It starts from the weights of the content model, and returns them trained.
        _copy_weights(_named(layer), _named(one.encoder.layers[0]))
        _copy_weights(
            _decoder_layer(content.decoder, depth), _decoder_layer(one.decoder)
        )
        net = content_net(
            one,
            settings,
            n_rows=rows.shape[0],
            n_epochs=settings.layer_epochs,
            seed=stream_seed(seed, Stream.LAYERS, depth),
            anneal=False,
            verbose=verbose,
            description=f"layer {depth + 1}",
            training_of=f"hidden layer {depth + 1} alone",
            learning_rate=LAYER_LEARNING_RATE,
            remedy="scale item_features, or pass layer_epochs=0",
        )
        batches = RowBatches(rows, device, for_training=True)
        interrupted = train(net, batches, settings.layer_epochs).interrupted
        _copy_weights(_named(one.encoder.layers[0]), _named(layer))
        _copy_weights(
            _decoder_layer(one.decoder), _decoder_layer(content.decoder, depth)
        )
        with torch.no_grad():
            if interrupted:
                return True
            codes = [one.encode(batch).cpu() for _, batch in batches.in_order(4096)]
        rows = torch.cat(codes).numpy()
    return False


def _code_likelihood(settings, n_features):
    """Likelihood of the outputs of a hidden layer, which the next one reconstructs."""
    if settings.activation == "logistic":
        return LIKELIHOODS["bernoulli"].make(n_features)
    return LIKELIHOODS["gaussian"].make(n_features, noise_variance=1.0)
