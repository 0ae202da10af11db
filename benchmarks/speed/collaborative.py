"""Speed of CollaborativeVAE on citeulike-t: half-steps and epochs of content.

    python -m benchmarks.speed.collaborative [--rounds 5] [--threads 1]

Half-steps are compared with an iteration of implicit's ALS (by conjugate gradient, its
default, and by Cholesky) on the same matrix. An epoch of content is compared with the
floor, which is the bare products of its steps with one pass over the loss and a fused
Adam, and with a plain loop in torch with dense batches and BCEWithLogits. Everything
runs in one process with the same number of threads and with interleaved rounds, and
minima are compared. implicit is installed by ``pip install -e ".[peers]"``.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.base import clone
from torch.nn import functional as F

from benchmarks.environment import DATA, describe, environment
from benchmarks.ranking.citeulike import PAPER, load, scaled, tfidf
from skvae import CollaborativeVAE
from skvae._collaborative._als import half_step
from skvae._collaborative._content import content_net, make_content
from skvae._training import RowBatches, make_generator, train

N_BATCHES = 40  # number of batches of the timed epochs
CONFIDENCE = {"a": 1.0, "b": 0.01}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, help="file to write the tables to")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train_matrix, _, counts, _ = load(options.data, "p10")
    lines = ["A sweep of both half-steps, citeulike-t, P = 10:", ""]
    lines += [
        "| factors | skvae | implicit, CG | implicit, Cholesky |",
        "|---" * 4 + "|",
    ]
    for n_factors in (50, 128):
        times = minima(sweeps(train_matrix, n_factors, options.threads), options.rounds)
        lines.append(f"| {n_factors} | " + " | ".join(ratios(times)) + " |")
    lines += [
        "",
        f"An epoch of content, {N_BATCHES} batches, words: {counts.shape[1]}:",
    ]
    lines += ["", "| model | skvae | floor | plain loop |", "|---" * 4 + "|"]
    for name, estimator, weigh in (
        ("default, multinomial", CollaborativeVAE(), tfidf),
        ("paper, bernoulli", PAPER, scaled),
    ):
        times = minima(epochs(estimator, weigh(counts)), options.rounds)
        lines.append(f"| {name} | " + " | ".join(ratios(times)) + " |")
    lines += ["", "Seconds, and in brackets the ratio to skvae's time.", ""]
    text = "\n".join(lines) + "\n" + describe(environment())
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


def minima(functions, n_rounds):
    """Return the shortest time of each function; rounds are interleaved."""
    times = np.empty((n_rounds, len(functions)))
    for function in functions:
        function()
    for row in times:
        for i, function in enumerate(functions):
            start = time.perf_counter()
            function()
            row[i] = time.perf_counter() - start
    return times.min(axis=0)


def ratios(times):
    return [f"{t:.3f} ({t / times[0]:.2f})" for t in times]


def sweeps(X, n_factors, n_threads):
    """Make functions that do both half-steps, by skvae and by implicit's solvers."""
    from implicit.cpu.als import AlternatingLeastSquares

    rng = np.random.default_rng(0)
    by_item = X.T.tocsr()
    users = RowBatches(X, "cpu").take(slice(0, X.shape[0]))
    items = RowBatches(by_item, "cpu").take(slice(0, X.shape[1]))
    V = rng.normal(size=(X.shape[1], n_factors)).astype(np.float32) / n_factors**0.5
    U = np.zeros((X.shape[0], n_factors), np.float32)

    def ours():
        factors = half_step(
            users, torch.from_numpy(V), **CONFIDENCE, regularization=0.1
        )
        half_step(items, factors, **CONFIDENCE, regularization=0.1)

    def theirs(use_cg):
        solver = AlternatingLeastSquares(n_factors, use_cg=use_cg).solver

        def sweep():
            rows, columns = U.copy(), V.copy()
            solver(X, rows, columns, 0.1, num_threads=n_threads)
            solver(by_item, columns, rows, 0.1, num_threads=n_threads)

        return sweep

    return [ours, theirs(True), theirs(False)]


def epochs(estimator, features):
    """Make functions that run an epoch of skvae, its floor and a plain loop."""
    settings = clone(estimator).set_params(dropout=0.0)._content_settings()
    features = features[: N_BATCHES * settings.batch_size]
    generator = make_generator(0)
    content = make_content(features, settings, generator)
    net = content_net(
        content,
        settings,
        n_rows=features.shape[0],
        n_epochs=1,
        seed=0,
        anneal=False,
        verbose=0,
        description="content",
        training_of="the content model",
    )
    batches = RowBatches(features, "cpu", for_training=True)
    return [
        lambda: train(net, batches, 1),
        floor(settings, batches),
        plain_loop(settings, features),
    ]


def floor(settings, batches):
    """Make a function that does the bare operations of the steps, on fixed arrays."""
    rows = batches.take(np.arange(settings.batch_size))
    n_words = rows.n_columns
    width = (*settings.hidden_layer_sizes, settings.n_components)[0]
    # Small, so that the softmax does not underflow to slow denormal numbers.
    weight = 0.01 * torch.randn(n_words, width)
    hidden = torch.randn(rows.n_rows, width)
    grad = torch.randn(rows.n_rows, width)
    first = torch.sparse_csr_tensor(
        rows.indptr, rows.indices, rows.values, (rows.n_rows, n_words)
    )
    parameter = torch.nn.Parameter(weight.clone())
    parameter.grad = torch.randn_like(parameter)
    adam = torch.optim.Adam([parameter], fused=True)

    def run():
        for _ in range(N_BATCHES):
            _ = first @ weight  # the sparse first layer, and its gradient
            _ = rows.transposed @ grad
            logits = hidden @ weight.T  # the three products of the output layer
            if settings.likelihood == "multinomial":
                slope = torch.softmax(logits, dim=1)
            else:
                F.softplus(logits).sum(dim=1)
                slope = torch.sigmoid(logits)
            _ = slope @ weight
            _ = slope.T @ hidden
            adam.step()

    return run


def plain_loop(settings, features):
    """Make a function that trains the same network on dense batches with BCE."""
    n_words = features.shape[1]
    sizes = (n_words, *settings.hidden_layer_sizes)
    act = {"logistic": torch.sigmoid, "tanh": torch.tanh}[settings.activation]
    generator = torch.Generator().manual_seed(0)

    def parameter(*shape):
        values = torch.randn(*shape, generator=generator) * shape[0] ** -0.5
        return torch.nn.Parameter(values)

    layers = [
        (parameter(n, m), parameter(1, m), parameter(1, n))
        for n, m in zip(sizes, sizes[1:], strict=False)
    ]
    k = settings.n_components
    code = (parameter(sizes[-1], k), parameter(1, k), parameter(1, sizes[-1]))
    spread = (parameter(sizes[-1], k), parameter(1, k))
    parameters = [p for layer in layers for p in layer] + [*code, *spread]
    adam = torch.optim.Adam(parameters, lr=1e-3, fused=True)
    loss_function = torch.nn.BCEWithLogitsLoss(reduction="sum")

    def run():
        for start in range(0, features.shape[0], settings.batch_size):
            part = features[start : start + settings.batch_size]
            x = torch.from_numpy(part.toarray())
            h = x
            for weight, bias, _ in layers:
                h = act(h @ weight + bias)
            mean = h @ code[0] + code[1]
            log_variance = h @ spread[0] + spread[1]
            z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
            h = z
            for i, (weight, _, bias) in enumerate([code, *reversed(layers)]):
                h = h if i == 0 else act(h)
                h = h @ weight.T + bias
            kl = 0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum()
            loss = (loss_function(h, x.clamp(max=1.0)) + kl) / len(x)
            adam.zero_grad()
            loss.backward()
            adam.step()

    return run


if __name__ == "__main__":
    main()
