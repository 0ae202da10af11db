"""Users per second in training on a GPU, at the shape of MovieLens 20M.

    python -m benchmarks.speed.gpu [--batch-sizes 500 2000 8000]
        [--precisions float32 tf32 bfloat16] [--shape 116677 20108 9500000]

In addition to the rates, the benchmark prints the maximum rates measured on the machine
(copies, matrix products), the rate of arithmetic of a step, the share of an epoch in
which the device was idle, and how often the host waited for it; by design, this is once
per epoch. On a CPU (--device cpu) only the rates are measured, as a check that the code
runs.
"""

import argparse
import time
import warnings

import torch

from benchmarks.environment import describe, environment
from benchmarks.speed import shapes
from skvae import MultVAERecommender
from skvae._training import PRECISIONS, RowBatches, train
from skvae._training._precision import products_in

HIDDEN, LATENT = 600, 200
EPOCHS_OF_THE_PAPER = 200


def main(arguments=None):
    options = parse(arguments)
    device = torch.device(options.device)
    X = shapes.generated(*options.shape)
    print(f"{X.shape[0]:,} users x {X.shape[1]:,} items, {X.nnz:,} interactions")
    if device.type == "cuda":
        for name, value in ceilings(device).items():
            print(f"{name}: {value:.3g}")
    print("| batch | precision | users/s | 200 epochs, min | TFLOP/s | idle | waits |")
    print("|---|---|---|---|---|---|---|")
    for batch_size in options.batch_sizes:
        for precision in options.precisions:
            print(row(X, batch_size, precision, device, options.epochs), flush=True)
    print(f"\n{describe(environment())}")


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[500, 2000, 8000])
    parser.add_argument(
        "--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS)
    )
    parser.add_argument("--shape", type=int, nargs=3, default=shapes.ML_20M)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--device", default="cuda")
    return parser.parse_args(arguments)


def row(X, batch_size, precision, device, n_epochs):
    """Make one line of the table."""
    net, batches = make(X, batch_size, precision, device)
    train(net, batches, 1)  # warm up
    seconds = min(epoch_seconds(net, batches) for _ in range(n_epochs))
    idle, waits = ("-", "-")
    if device.type == "cuda":
        idle = f"{idle_share(net, batches, seconds):.0%}"
        waits = count_waits(net, batches)
    flops = 6 * X.shape[0] * (2 * X.shape[1] * HIDDEN + 3 * HIDDEN * LATENT)
    return (
        f"| {batch_size} | {precision} | {X.shape[0] / seconds:,.0f} "
        f"| {EPOCHS_OF_THE_PAPER * seconds / 60:.1f} | {flops / seconds / 1e12:.3g} "
        f"| {idle} | {waits} |"
    )


def make(X, batch_size, precision, device):
    """Make the net and the batches of Mult-VAE as in Liang et al. 2018."""
    model = MultVAERecommender(
        LATENT,
        hidden_layer_sizes=(HIDDEN,),
        tied_weights=False,
        initial_log_variance=0,
        label_smoothing=0,
        dropout=0.5,
        batch_size=batch_size,
        precision=precision,
        device=device,
        random_state=0,
    ).partial_fit(X[:batch_size])
    net = model._make_net(X.shape[0], 1, None, False, None)
    return net, RowBatches(X, device, for_training=True)


def epoch_seconds(net, batches):
    start = time.perf_counter()
    train(net, batches, 1)  # fetches the losses at its end, so all work is done
    return time.perf_counter() - start


def idle_share(net, batches, seconds):
    """Measure the share of an epoch in which no kernel ran."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as record:
        train(net, batches, 1)
    busy = sum(event.self_device_time_total for event in record.key_averages())
    return max(0.0, 1 - busy / 1e6 / seconds)


def count_waits(net, batches):
    """Count how often the host waits for the device in an epoch."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            train(net, batches, 1)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in caught)


def ceilings(device, n=8192, n_bytes=2**30):
    """Measure the maximum rates of copies and of matrix products."""
    source = torch.empty(n_bytes, dtype=torch.uint8, device=device)
    copy = torch.empty_like(source)
    seconds = kernel_seconds(lambda: copy.copy_(source))
    rates = {"copies, TB/s (read and written)": 2 * n_bytes / seconds / 1e12}
    a = torch.randn(n, n, device=device)
    for precision in PRECISIONS:
        with products_in(precision, device):
            seconds = kernel_seconds(lambda: a @ a)
        rates[f"products in {precision}, TFLOP/s"] = 2 * n**3 / seconds / 1e12
    return rates


def kernel_seconds(function, n_calls=10):
    """Measure the seconds of a call, averaged over `n_calls` consecutive calls."""
    function()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(n_calls):
        function()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / n_calls


if __name__ == "__main__":
    main()
