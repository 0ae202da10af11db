"""The recommenders and their baselines on one split of MovieLens-1M.

    python -m benchmarks.ranking.ml1m
    python -m benchmarks.ranking.ml1m --only best --seeds 1 --max-iter 5 --output trial

The data are one strong-generalisation split, `ml-1m-split` in the data folder: whole
users are held out, and a fifth of the interactions of these users is to be predicted.
All choices are made on the validation users (the epoch of an autoencoder, the penalty
of EASE, the neighbours of item-kNN), and the scores are those of the test users. Users
without held-out items are left out. A blend finds its weights on training users.

Every model ranks items for the same test users, so that two models can be compared user
by user: the standard error of their mean difference is much less than that of a mean.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid

from benchmarks.environment import DATA, RESULTS, describe, environment
from skvae import BlendRecommender, LinearVAERecommender, MultVAERecommender
from skvae.baselines import EASE, ItemKNN, Popularity
from skvae.metrics import ndcg_at_k, recall_at_k
from skvae.metrics._scorer import ranking_scores
from skvae.model_selection import top_items

PARTS = ("train", "val_in", "val_out", "test_in", "test_out")

# Settings in the code of Liang et al. 2018, but with 100 epochs instead of 200 and with
# annealing as a fraction of them. In skvae alpha is decoupled from the gradient, so the
# same number is a weaker penalty.
PAPER_VAE = {
    "n_components": 200,
    "hidden_layer_sizes": (600,),
    "activation": "tanh",
    "tied_weights": False,
    "initial_log_variance": 0.0,
    "beta": 0.2,
    "annealing": 0.8,
    "dropout": 0.5,
    "label_smoothing": 0.0,
    "learning_rate_init": 1e-3,
    "lr_schedule": None,
    "alpha": 0.0,
    "batch_size": 500,
    "max_iter": 100,
}
PAPER_DAE = PAPER_VAE | {
    "hidden_layer_sizes": (),
    "variational": False,
    "alpha": 0.01 / 500,
}
# The best settings on the validation users are the defaults. Mult-DAE is better with a
# wider code.
BEST_VAE = {}
BEST_DAE = {
    "variational": False,
    "activation": "identity",
    "n_components": 1000,
    "learning_rate_init": 1.5e-3,
}


def make_blend(*names):
    """Blend these models in fixed settings."""
    models = {
        "linear": LinearVAERecommender(random_state=0),
        "ease": EASE(1, user_exponent=0.3, item_exponent=0.3, output_exponent=0.24),
        "dae": MultVAERecommender(**BEST_DAE, max_iter=13, random_state=0),
    }
    return BlendRecommender([(name, models[name]) for name in names], random_state=0)


# For each name on the command line: title, estimator, and the grid that is searched on
# the validation users.
MODELS = {
    "best": ("Mult-VAE, best found", MultVAERecommender(**BEST_VAE), {}),
    "best-dae": ("Mult-DAE, best found", MultVAERecommender(**BEST_DAE), {}),
    "paper": ("Mult-VAE, paper", MultVAERecommender(**PAPER_VAE), {}),
    "paper-dae": ("Mult-DAE, paper", MultVAERecommender(**PAPER_DAE), {}),
    "linear": ("linear VAE", LinearVAERecommender(random_state=0), {}),
    "blend": ("blend: linear VAE + EASE", make_blend("linear", "ease"), {}),
    "blend-3": (
        "blend: linear VAE + EASE + Mult-DAE",
        make_blend("linear", "ease", "dae"),
        {},
    ),
    "ease": ("EASE", EASE(), {"l2": [100, 200, 300, 500, 700, 1000, 1500, 2000]}),
    "ease-exponents": (
        "EASE with exponents",
        EASE(user_exponent=0.3, item_exponent=0.3),
        {"l2": [0.3, 1, 3, 10], "output_exponent": [0.15, 0.24]},
    ),
    "knn": (
        "item-kNN",
        ItemKNN(),
        {"n_neighbors": [20, 50, 100, 200, 400], "shrinkage": [0, 10, 100]},
    ),
    "popularity": ("popularity", Popularity(), {}),
}
COMPARED = (
    ("linear", "ease"),
    ("blend", "ease"),
    ("blend-3", "ease"),
    ("blend-3", "blend"),
    ("best", "ease"),
    ("best-dae", "ease"),
    ("best", "paper"),
)

# For each name in the table, a function of (y_true, y_rank) that scores each user.
METRICS = {
    "ndcg@100": lambda y, ranked: ndcg_at_k(y, y_rank=ranked, k=100, per_user=True),
    "recall@20": lambda y, ranked: recall_at_k(y, y_rank=ranked, k=20, per_user=True),
    "recall@50": lambda y, ranked: recall_at_k(y, y_rank=ranked, k=50, per_user=True),
}
DEEPEST = 100
CHOSEN_BY = "ndcg@100"


def main(arguments=None):
    """Run the requested models, print the table and write it to files."""
    options = parse(arguments)
    data = load_split(options.data)
    results = {}
    for name in options.only or MODELS:
        results[name] = run_model(name, data, options)
    report = summarize(results) | environment()
    text = table(report)
    print(f"\n{text}")
    write(report, text, options.output)


def parse(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Compare Mult-VAE and Mult-DAE with simple models on MovieLens-1M."
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=DATA,
        help="folder with ml-1m-split (default: SKVAE_DATA, or the shared folder)",
    )
    parser.add_argument(
        "--seeds", type=int, default=3, help="number of fits of each autoencoder"
    )
    parser.add_argument(
        "--max-iter", type=int, help="number of epochs, to make a run shorter"
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=MODELS,
        help="a model to run; may be repeated (default: all)",
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--output",
        type=Path,
        default=RESULTS / "ml1m",
        help="path of the results, without the endings .json and .md",
    )
    options = parser.parse_args(arguments)
    if not (options.data / "ml-1m-split").is_dir():
        parser.error(
            f"{options.data} does not contain ml-1m-split; pass the folder that does "
            "as --data."
        )
    return options


def load_split(folder):
    """Read the parts of the split into a dict of CSR arrays."""
    return {
        part: sp.csr_array(sp.load_npz(folder / "ml-1m-split" / f"{part}.npz"))
        for part in PARTS
    }


def run_model(name, data, options):
    """Choose settings on the validation users, and score the test users.

    Returns
    -------
    result : dict
        Input of `summarize`: the title, the chosen parameters, the validation score and
        the seconds of each fit, and ``per_user``, which maps each metric to an array of
        shape (n_fits, n_users).
    """
    title, estimator, grid = MODELS[name]
    print(f"{title}:", flush=True)
    if isinstance(estimator, MultVAERecommender):
        fits = fit_seeds(estimator, data, options)
    else:
        fits = [fit_best(estimator, grid, data)]
    per_user = [per_user_scores(fit["model"], data, "test") for fit in fits]
    return {
        "title": title,
        "parameters": fits[0]["parameters"],
        "validation": [fit["validation"] for fit in fits],
        "seconds": [fit["seconds"] for fit in fits],
        "best_iter": [getattr(fit["model"], "best_iter_", None) for fit in fits],
        "per_user": {
            metric: np.array([scores[metric] for scores in per_user])
            for metric in METRICS
        },
    }


def fit_seeds(estimator, data, options):
    """Fit an autoencoder with several seeds, and keep the best epoch of each fit."""
    fits = []
    for seed in range(options.seeds):
        model = clone(estimator).set_params(random_state=seed, device=options.device)
        if options.max_iter:
            model.set_params(max_iter=options.max_iter)
        start = time.perf_counter()
        model.fit(data["train"], X_val=data["val_in"], y_val=data["val_out"])
        fits.append(
            {
                "model": model,
                "parameters": _shown_parameters(model),
                "seconds": time.perf_counter() - start,
                "validation": model.best_validation_score_,
            }
        )
        _say(f"seed {seed}, epoch {model.best_iter_} of {model.max_iter}", fits[-1])
    return fits


def fit_best(estimator, grid, data):
    """Fit a simple model with every setting; return the best on validation users.

    The seconds are those of the best fit only.
    """
    best = None
    for parameters in ParameterGrid(grid):
        start = time.perf_counter()
        model = clone(estimator).set_params(**parameters).fit(data["train"])
        fit = {
            "model": model,
            "parameters": parameters,
            "seconds": time.perf_counter() - start,
            "validation": ranking_scores(
                model, data["val_in"], data["val_out"], CHOSEN_BY
            ),
        }
        _say(", ".join(f"{k}={v}" for k, v in parameters.items()) or "fit", fit)
        if best is None or fit["validation"] > best["validation"]:
            best = fit
    return best


def per_user_scores(model, data, part):
    """Score each user by each metric; NaN for users without held-out items."""
    ranked = top_items(model, data[f"{part}_in"], n_items=DEEPEST)
    truth = data[f"{part}_out"]
    return {name: metric(truth, ranked) for name, metric in METRICS.items()}


def _shown_parameters(model):
    """Return the parameters of the model, without those that only concern the run."""
    shown = {**PAPER_VAE, "variational": True}
    return {name: value for name, value in model.get_params().items() if name in shown}


def _say(what, fit):
    print(
        f"  {what}: validation {CHOSEN_BY} {fit['validation']:.4f}, "
        f"{fit['seconds']:.1f} s",
        flush=True,
    )


def summarize(results):
    """Compute means, standard errors and paired comparisons, as plain values."""
    models = {}
    for name, result in results.items():
        summary = {key: value for key, value in result.items() if key != "per_user"}
        summary["test"] = {
            metric: mean_and_errors(scores)
            for metric, scores in result["per_user"].items()
        }
        models[name] = summary
    compared = [
        {
            "models": pair,
            "titles": [results[name]["title"] for name in pair],
            "difference": {
                metric: paired_difference(
                    *(results[name]["per_user"][metric] for name in pair)
                )
                for metric in METRICS
            },
        }
        for pair in COMPARED
        if set(pair) <= results.keys()
    ]
    n_users = {len(r["per_user"][CHOSEN_BY][0]) for r in results.values()}
    return {"n_test_users": n_users.pop(), "models": models, "compared": compared}


def mean_and_errors(scores):
    """Compute the mean over seeds and users, with its standard errors.

    Parameters
    ----------
    scores : ndarray of shape (n_seeds, n_users)
        NaN for users without held-out items.

    Returns
    -------
    summary : dict
        ``mean``; ``se_users``, over users of their mean over seeds; ``se_seeds``, over
        seeds of the mean over users, None for one seed.
    """
    by_user, by_seed = scores.mean(axis=0), np.nanmean(scores, axis=1)
    return {
        "mean": float(np.nanmean(by_user)),
        "se_users": _standard_error(by_user[~np.isnan(by_user)]),
        "se_seeds": _standard_error(by_seed) if len(by_seed) > 1 else None,
    }


def paired_difference(scores, others):
    """Compute the mean of the differences of users, and its standard error."""
    difference = scores.mean(axis=0) - others.mean(axis=0)
    difference = difference[~np.isnan(difference)]
    return {
        "mean": float(difference.mean()),
        "se_users": _standard_error(difference),
        "users_better": int((difference > 0).sum()),
        "users_worse": int((difference < 0).sum()),
    }


def _standard_error(values):
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def table(report):
    """Write the report as Markdown that reads well as plain text."""
    rows = [["model", *METRICS, "validation", "s per fit", "chosen"]]
    for model in report["models"].values():
        rows.append(
            [
                model["title"],
                *(figure(model["test"][metric]) for metric in METRICS),
                f"{np.mean(model['validation']):.4f}",
                f"{np.mean(model['seconds']):.1f}",
                _chosen(model),
            ]
        )
    lines = [
        "# MovieLens-1M, one strong-generalisation split",
        "",
        f"{report['n_test_users']} test users. Mean ± standard error over users; the "
        "standard error over seeds is in brackets.",
        f"Validation: {CHOSEN_BY}, by which the epoch or the setting was chosen.",
        "",
        *aligned(rows),
    ]
    if report["compared"]:
        rows = [["user by user", *METRICS, "better : worse"]]
        for pair in report["compared"]:
            difference = pair["difference"]
            counts = difference[CHOSEN_BY]
            rows.append(
                [
                    " minus ".join(pair["titles"]),
                    *(
                        f"{d['mean']:+.4f} ± {d['se_users']:.4f}"
                        for d in difference.values()
                    ),
                    f"{counts['users_better']} : {counts['users_worse']}",
                ]
            )
        lines += ["", *aligned(rows)]
    return "\n".join([*lines, "", describe(report)])


def figure(summary):
    text = f"{summary['mean']:.4f} ± {summary['se_users']:.4f}"
    seeds = summary["se_seeds"]
    return text if seeds is None else f"{text} ({seeds:.4f})"


def _chosen(model):
    epochs = [epoch for epoch in model["best_iter"] if epoch is not None]
    if epochs:
        return "epoch " + ", ".join(map(str, epochs))
    return ", ".join(f"{k}={v}" for k, v in model["parameters"].items())


def aligned(rows):
    """Return the lines of a Markdown table with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows = [rows[0], ["-" * width for width in widths], *rows[1:]]
    return [
        "| "
        + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        + " |"
        for row in rows
    ]


def write(report, text, output):
    """Write the report as JSON and as Markdown."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    output.with_suffix(".md").write_text(text + "\n")
    print(f"\nWritten: {output.name}.json and {output.name}.md")


if __name__ == "__main__":
    sys.exit(main())
