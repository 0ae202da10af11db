"""The content model of CollaborativeVAE, and how it is trained before the rounds."""

from dataclasses import dataclass, fields

import numpy as np
import torch

from skvae._training import (
    RowBatches,
    VAENet,
    annealing_steps,
    column_means,
    column_variances,
    make_callbacks,
    make_generator,
    resolve_device,
    train,
)
from skvae.nn import VAE, Bernoulli, Gaussian, Multinomial, TiedMLP

LIKELIHOODS = ("multinomial", "bernoulli", "gaussian")
INITIAL_WEIGHTS, LAYERS, CONTENT = 3, 5, 6  # streams of random numbers
INITIAL_LOG_VARIANCE = -4.0
# As in the code of Li & She 2017: how the layers are trained one by one.
LAYER_LEARNING_RATE, LAYER_DROPOUT = 0.01, 0.3
NEVER_DECAYED = ("*bias*", "*likelihood.*")


@dataclass(frozen=True)
class ContentSettings:
    """What the content model is and how it is trained before the rounds.

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
        """Take the types of Python, so that equal settings are the same to a cache."""
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
    """Raised where the user interrupts the pre-training, with the model so far."""

    def __init__(self, content):
        super().__init__()
        self.content = content


def pretrained_content(features, settings, seed, device="auto", verbose=0):
    """Make the content model and train it alone: layer by layer, then as a whole.

    A function of its arguments and nothing else, so that its result can be cached.

    Parameters
    ----------
    features : CSR or ndarray of shape (n_items, n_words)
        Content, checked.
    settings : ContentSettings
        See there.
    seed : int
        Seed of weights, order, dropout and noise.
    device : str or torch.device
        Where to train.
    verbose : int
        As of `CollaborativeVAE`.

    Returns
    -------
    content : skvae.nn.VAE
        On the CPU.

    Raises
    ------
    PretrainingInterrupted
        On the user's interruption.
    """
    content = make_content(features, settings, make_generator(seed, INITIAL_WEIGHTS))
    try:
        interrupted = _train(content, features, settings, seed, device, verbose)
    except KeyboardInterrupt:  # between two trainings
        interrupted = True
    content.eval().cpu()
    if interrupted:
        raise PretrainingInterrupted(content)
    return content


def _train(content, features, settings, seed, device, verbose):
    """Train layers and whole in place; return whether the user interrupted."""
    device = resolve_device(device)
    content.to(device)
    if settings.layer_epochs and _train_layers(
        content, features, settings, seed, device, verbose
    ):
        return True
    if not settings.content_epochs:
        return False
    net = make_net(
        VAENet,
        content,
        settings,
        device=device,
        n_rows=features.shape[0],
        n_epochs=settings.content_epochs,
        seed=stream_seed(seed, CONTENT),
        anneal=True,
        verbose=verbose,
        callbacks=progress(settings.content_epochs, "content", verbose),
        training_of="the content model, before the rounds,",
    )
    batches = RowBatches(features, device, for_training=True)
    return train(net, batches, settings.content_epochs)


def blank_content(n_words, settings, generator):
    """Make an untrained content model for so many columns of features."""
    likelihood = {
        "multinomial": Multinomial,
        "bernoulli": Bernoulli,
        "gaussian": lambda: Gaussian(n_words),
    }[settings.likelihood]()
    return VAE(
        n_words,
        settings.n_components,
        hidden_layer_sizes=settings.hidden_layer_sizes,
        activation=settings.activation,
        likelihood=likelihood,
        variational=settings.variational,
        input_dropout=settings.dropout,
        hidden_dropout=0.0,
        normalize=settings.likelihood == "multinomial",
        tied_weights=settings.tied_weights,
        initial_log_variance=INITIAL_LOG_VARIANCE,
        generator=generator,
        code_activation="identity",
    )


@torch.no_grad()
def make_content(features, settings, generator):
    """Make a content model that gives the means of the features, whatever its code."""
    content = blank_content(features.shape[1], settings, generator)
    likelihood = content.likelihood
    means = column_means(features)
    if settings.likelihood == "gaussian":
        likelihood.start_from(means, column_variances(features, means))
    else:
        # As if one row more had half a count of everything: no mean is 0 or 1.
        means = (features.shape[0] * means + 0.5) / (features.shape[0] + 1)
        first_bias = likelihood.first_bias(means)
        _way_back(content.decoder)["bias"].add_(torch.from_numpy(first_bias))
    return content


def _way_back(decoder, depth=0):
    """Parameters of the decoder's layer so many before the last: name -> parameter."""
    if isinstance(decoder, TiedMLP):
        return {"bias": decoder.biases[-1 - depth]}
    return _named(decoder.layers[-1 - depth])


def _named(module):
    return dict(module.named_parameters())


@torch.no_grad()
def _copy_weights(source, target):
    """Copy parameters of the same names."""
    for name, parameter in source.items():
        target[name].copy_(parameter)


def make_net(
    net_class,
    module,
    settings,
    *,
    device,
    n_rows,
    n_epochs,
    seed,
    anneal,
    verbose,
    callbacks,
    **kwargs,
):
    """Make a net for a module that stands on its device, and initialise it.

    Parameters
    ----------
    net_class : type
        `VAENet` or a subclass.
    module : torch.nn.Module
        What is trained.
    settings : ContentSettings
        Where optimiser and schedules come from.
    device : torch.device
        Where it stands.
    n_rows : int
        Rows in an epoch.
    n_epochs : int
        Planned epochs.
    seed : int
        Seed of this training.
    anneal : bool
        Whether the weight of the KL rises, or is beta from the start.
    verbose : int
        More than 1 for a line for each epoch.
    callbacks : list
        As `make_callbacks` returns them.
    **kwargs
        More for the net.
    """
    optimizer = {}
    if any(True for _ in module.parameters()):
        optimizer = {
            "optimizer": torch.optim.Adam,
            "optimizer__fused": device.type in ("cpu", "cuda"),
            # The loss is a mean over rows, so lambda_w / 2 |W|^2 is divided too.
            "optimizer__weight_decay": settings.lambda_w / n_rows,
            "optimizer__param_groups": [
                (pattern, {"weight_decay": 0.0}) for pattern in NEVER_DECAYED
            ],
        }
    planned_steps = n_epochs * -(-n_rows // settings.batch_size)
    defaults = {
        "lr": settings.learning_rate_init,
        "remedy": "lower learning_rate_init or scale item_features",
    }
    net = net_class(
        module,
        seed=seed,
        planned_steps=planned_steps,
        beta=settings.beta if settings.variational else 0.0,
        n_annealing_steps=(
            annealing_steps(settings.annealing, planned_steps) if anneal else 0
        ),
        cosine=settings.lr_schedule == "cosine",
        precision=settings.precision,
        batch_size=settings.batch_size,
        device=device,
        verbose=int(verbose > 1),
        callbacks=callbacks,
        **{**defaults, **optimizer, **kwargs},
    )
    return net.initialize()


def progress(n_epochs, description, verbose):
    """Callbacks of a training that is only shown."""
    return make_callbacks(
        n_epochs,
        score_function=None,
        patience=None,
        tol=0.0,
        lr_schedule=None,
        callbacks=(),
        verbose=verbose,
        description=description,
    )


def stream_seed(seed, *stream):
    """Seed of one training among several of a fit."""
    return int(np.random.SeedSequence([seed, *stream]).generate_state(1)[0] >> 1)


def _train_layers(content, features, settings, seed, device, verbose):
    """Train each hidden layer as a denoising autoencoder of what is below it.

    Vincent et al. 2010. Returns whether the user interrupted.
    """
    rows = features
    for depth, layer in enumerate(content.encoder.layers[:-1]):
        n_in, n_out = layer.weight.shape
        first = depth == 0
        one = VAE(
            n_in,
            n_out,
            hidden_layer_sizes=(),
            activation=settings.activation,
            likelihood=content.likelihood
            if first
            else _code_likelihood(settings, n_in),
            variational=False,
            input_dropout=LAYER_DROPOUT,
            hidden_dropout=0.0,
            normalize=content.normalize and first,
            tied_weights=settings.tied_weights,
            initial_log_variance=0.0,
            generator=make_generator(seed, LAYERS, depth),
        ).to(device)
        # It starts from where the content model stands, and hands back what it learns.
        _copy_weights(_named(layer), _named(one.encoder.layers[0]))
        _copy_weights(_way_back(content.decoder, depth), _way_back(one.decoder))
        net = make_net(
            VAENet,
            one,
            settings,
            device=device,
            n_rows=rows.shape[0],
            n_epochs=settings.layer_epochs,
            seed=stream_seed(seed, LAYERS, depth),
            anneal=False,
            verbose=verbose,
            lr=LAYER_LEARNING_RATE,
            training_of=f"hidden layer {depth + 1} alone",
            remedy="scale item_features, or pass layer_epochs=0",
            callbacks=progress(settings.layer_epochs, f"layer {depth + 1}", verbose),
        )
        batches = RowBatches(rows, device, for_training=True)
        interrupted = train(net, batches, settings.layer_epochs)
        _copy_weights(_named(one.encoder.layers[0]), _named(layer))
        _copy_weights(_way_back(one.decoder), _way_back(content.decoder, depth))
        with torch.no_grad():
            if interrupted:
                return True
            codes = [one.encode(batch).cpu() for _, batch in batches.in_order(4096)]
        rows = torch.cat(codes).numpy()
    return False


def _code_likelihood(settings, n_features):
    """Likelihood of a hidden layer's outputs, when they are to be reconstructed."""
    if settings.activation == "logistic":
        return Bernoulli()
    return Gaussian(n_features, noise_variance=1.0)
