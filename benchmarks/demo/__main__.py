"""Recommendations end to end, on your own data or on generated data.

    python -m benchmarks.demo
    python -m benchmarks.demo --data ratings.csv --user userId --item movieId

Loads interactions, holds out test users, searches the settings of a Mult-VAE by
cross-validation over the other users, compares it on the test users with popularity
and item-kNN, and shows its recommendations to three of them.
"""

import argparse
import sys
import textwrap
import time

import numpy as np
import torch
from sklearn.model_selection import GridSearchCV, ParameterGrid, train_test_split

from benchmarks.demo.data import DemoError, check_size, generate, load
from skvae import MultVAERecommender
from skvae.baselines import ItemKNN, Popularity
from skvae.metrics import make_ranking_scorer, ndcg_at_k, recall_at_k
from skvae.model_selection import hold_out_interactions, top_items

WIDTH = 80
N_FOLDS = 2
TEST_SHARE = 0.2
MANY_ITEMS = 20_000
GRID = {"n_components": [50, 600], "max_iter": [10, 20]}
KNN_GRID = {"n_neighbors": [20, 50, 100, 200, 500], "shrinkage": [0, 10]}
N_SHOWN_USERS, N_SHOWN_ITEMS = 3, 5


def main(arguments=None):
    """Run the demo; return the exit code, 2 for errors that the caller can correct."""
    options = parse(arguments)
    # The fits are small: on a busy machine several threads would wait for each other.
    torch.set_num_threads(1)
    start = time.perf_counter()
    try:
        data = load(options) if options.data else generate()
        check_size(data.matrix)
    except DemoError as error:
        for paragraph in f"demo: {error}".splitlines():
            say(paragraph, file=sys.stderr)
        return 2
    run(data, max_users=options.max_users)
    print(f"\nThe whole demo took {time.perf_counter() - start:.0f} s.")
    return 0


def parse(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Recommendations end to end: search, test, examples."
    )
    add = parser.add_argument
    add("--data", help="table of interactions, .csv, .csv.gz or .zip")
    add("--user", metavar="COL", help="column of users (default: guessed)")
    add("--item", metavar="COL", help="column of items (default: guessed)")
    add("--rating", metavar="COL", help="column of ratings (default: guessed)")
    add(
        "--timestamp",
        metavar="COL",
        help="column of times; if given, the latest interactions are held out",
    )
    add("--sep", help="separator of the columns (default: guessed)")
    add("--member", metavar="FILE", help="table in a .zip (default: guessed)")
    add(
        "--encoding",
        help="encoding of the tables, such as latin-1 or utf-16 (default: utf-8)",
    )
    add(
        "--decimal",
        choices=(".", ","),
        default=".",
        help="decimal mark of ratings and times (default: .)",
    )
    add(
        "--timestamp-format",
        metavar="FORM",
        help="form of times that are text, such as %%d/%%m/%%Y (default: numbers or "
        "ISO 8601)",
    )
    add("--item-names", metavar="FILE", help="table with ids and names of the items")
    add(
        "--min-rating",
        type=float,
        default=4,
        help="drop rows with a lower rating, if there are ratings (default: 4)",
    )
    add("--min-user-items", type=int, default=5, help="drop users with fewer items")
    add("--min-item-users", type=int, default=3, help="drop items with fewer users")
    add(
        "--max-users",
        type=int,
        default=4000,
        help="sample at most this many users (default: 4000; 0: all)",
    )
    return parser.parse_args(arguments)


def run(data, *, max_users=0, grid=None):
    """Run all parts of the demo on its data.

    Parameters
    ----------
    data : DemoData
        Interactions and names of the items.
    max_users : int, default=0
        Number of users to sample; 0 for all.
    grid : dict, default=None
        Grid of parameters to search; None for `GRID`.

    Returns
    -------
    scores : dict of str to dict
        For each model and metric, an array with a number for each test user.
    """
    heading("1. The data")
    users = sample_users(data.matrix.shape[0], max_users)
    describe_data(data, users)
    metrics = metric_names(data.matrix.shape[1])

    heading("2. Hold out test users")
    train, test = train_test_split(users, test_size=TEST_SHARE, random_state=0)
    fold_in, held_out = ask_test_users(data, test)

    heading("3. Search")
    best = search_settings(data.matrix[train], metrics, grid or GRID)

    heading("4. Test")
    knn = search_quietly(ItemKNN(), KNN_GRID, data.matrix[train], metrics)
    popularity = Popularity().fit(data.matrix[train])
    models = {"Mult-VAE": best, "item-kNN": knn, "popularity": popularity}
    rankings = {
        name: top_items(model, fold_in, n_items=metrics[0][1])
        for name, model in models.items()
    }
    if data.preferences is not None:
        rankings["(the true preferences)"] = true_ranking(data, test, fold_in)
    scores = {
        name: user_scores(held_out, ranked, metrics)
        for name, ranked in rankings.items()
    }
    print_test(scores, metrics)
    say(
        "The settings of item-kNN were searched on the same users: "
        f"{said(knn, KNN_GRID)}."
    )
    if data.preferences is not None:
        say(
            "No model can rank better than the preferences from which the data were "
            "generated."
        )
        say(
            "These generated data were chosen to suit Mult-VAE; on other data both "
            "models may be equally good. Try your own data."
        )

    heading("5. Recommendations to three test users")
    show_users(best, data.item_names, fold_in, held_out)
    return scores


def describe_data(data, users):
    """Describe the data and the sampled users."""
    for note in data.notes:
        say(note)
    n_users, n_items = data.matrix.shape
    if len(users) < n_users:
        say(
            f"Sampled {len(users):,} of {n_users:,} users, to save time (--max-users; "
            "0 takes all)."
        )
    n_interactions = data.matrix[users].nnz
    say(
        f"{len(users):,} users x {n_items:,} items, {n_interactions:,} interactions, "
        f"{n_interactions / len(users):.0f} per user."
    )
    if n_items > MANY_ITEMS:
        say(
            "With this many items the demo takes long. For fewer items, pass for "
            "example --min-item-users 20."
        )


def ask_test_users(data, test):
    """Hold out a part of the test users' interactions: (fold_in, held_out)."""
    rest = "the others"
    by = "random"
    if data.timestamps is not None:
        rest, by = "the others, which are the latest", data.timestamps[test]
    say(
        f"{len(test):,} users are held out for the test: neither the search nor any "
        "model uses them. In the test, a model gets four fifths of the items of each "
        f"of these users, and has to find {rest}."
    )
    return hold_out_interactions(data.matrix[test], random_state=0, by=by)


def true_ranking(data, test, fold_in):
    """Rank all items, except those in `fold_in`, by the true preferences."""
    preferences = data.preferences(test)
    preferences[fold_in.nonzero()] = -np.inf
    return np.argsort(-preferences, axis=1)


def sample_users(n_users, max_users):
    """Sample at most `max_users` row indices, in order; 0 takes all."""
    if not max_users or n_users <= max_users:
        return np.arange(n_users)
    return np.sort(np.random.default_rng(0).choice(n_users, max_users, replace=False))


def metric_names(n_items):
    """Return [("ndcg", k), ("recall", k)] with k of at most `n_items`."""
    wanted = [("ndcg", 100), ("recall", 20)]
    clamped = [(name, min(k, n_items)) for name, k in wanted]
    if clamped != wanted:
        say(f"There are only {n_items} items, so that lists are at most that long.")
    return clamped


def search_settings(X, metrics, grid):
    """Search the grid by cross-validation over users, and print the progress."""
    names = [f"{name}@{k}" for name, k in metrics]
    n_settings = len(ParameterGrid(grid))
    say(
        f"GridSearchCV over {n_settings} settings of MultVAERecommender, {N_FOLDS} "
        f"folds of the other {X.shape[0]:,} users: each model is fitted to the users "
        "of one part, and tested in the same way on the users of the other."
    )
    print()
    search = GridSearchCV(
        MultVAERecommender(random_state=0),
        grid,
        scoring=Reporting(make_ranking_scorer(names), grid, n_settings * N_FOLDS),
        refit=names[0],
        cv=N_FOLDS,
    )
    search.fit(X)
    print()
    print_search(search, metrics)
    say(f"The best setting was fitted again to all {X.shape[0]:,} users.")
    return search.best_estimator_


def search_quietly(estimator, grid, X, metrics):
    """Search in the same way without messages; return the best estimator."""
    scorer = make_ranking_scorer("{}@{}".format(*metrics[0]))
    search = GridSearchCV(estimator, grid, scoring=scorer, cv=N_FOLDS)
    return search.fit(X).best_estimator_


class Reporting:
    """A scorer that prints the score of each fit of a search.

    Parameters
    ----------
    scorer : callable
        Scorer that returns a dict of scores.
    grid : dict
        Grid whose parameters are printed.
    n_fits : int
        Number of fits of the search.
    """

    def __init__(self, scorer, grid, n_fits):
        self.scorer, self.grid, self.n_fits = scorer, grid, n_fits
        self.n_done, self.started = 0, time.perf_counter()

    def __call__(self, estimator, X, y=None):
        """Score the estimator, and print the score."""
        scores = self.scorer(estimator, X, y)
        now = time.perf_counter()
        seconds, self.started = now - self.started, now
        self.n_done += 1
        name, score = next(iter(scores.items()))
        say(
            f"[{self.n_done}/{self.n_fits}] {said(estimator, self.grid)}: "
            f"{shown(*name.split('@'))} {score:.3f} ({seconds:.0f} s)"
        )
        return scores


def print_search(search, metrics):
    """Print the table of a search, the best first."""
    results = search.cv_results_
    rows = [["cross-validation", *(shown(*m) for m in metrics), "s per fit"]]
    for candidate in np.argsort(results[f"rank_test_{metrics[0][0]}@{metrics[0][1]}"]):
        means = [results[f"mean_test_{name}@{k}"][candidate] for name, k in metrics]
        rows.append(
            [
                ", ".join(f"{k}={v}" for k, v in results["params"][candidate].items()),
                *(f"{mean:.3f}" for mean in means),
                f"{results['mean_fit_time'][candidate]:.1f}",
            ]
        )
    print_table(rows)


def user_scores(held_out, ranked, metrics):
    """Score each user by each metric; NaN for users without held-out items."""
    functions = {"ndcg": ndcg_at_k, "recall": recall_at_k}
    return {
        shown(name, k): functions[name](held_out, y_rank=ranked, k=k, per_user=True)
        for name, k in metrics
    }


def print_test(scores, metrics):
    """Print means with standard errors, and the comparison of paired users."""
    names = [shown(*metric) for metric in metrics]
    rows = [["test users", *names]]
    for model, by_metric in scores.items():
        rows.append([model, *(_mean(by_metric[name]) for name in names)])
    print_table(rows)
    n_users = np.isfinite(scores["Mult-VAE"][names[0]]).sum()
    say(f"Means over {n_users:,} users, with standard errors.")
    print()
    difference = scores["Mult-VAE"][names[0]] - scores["item-kNN"][names[0]]
    mean, error = _mean_and_error(difference)
    verdict = "better than" if mean > 0 else "worse than"
    if not abs(mean) > 2 * error:
        verdict = "about as well as"
    say(
        f"Compared on the same users, Mult-VAE ranks {verdict} item-kNN: {names[0]} "
        f"{mean:+.3f} ± {error:.3f}."
    )


def show_users(model, item_names, fold_in, held_out):
    """Print some items of a few users, and the recommendations of the model."""
    users = choose_users(held_out)
    ranked = model.recommend(
        fold_in[users], n_items=min(N_SHOWN_ITEMS, len(item_names))
    )
    rng = np.random.default_rng(0)
    for user, items in zip(users, ranked, strict=True):
        liked = fold_in.indices[fold_in.indptr[user] : fold_in.indptr[user + 1]]
        to_find = held_out.indices[held_out.indptr[user] : held_out.indptr[user + 1]]
        some = rng.choice(liked, min(N_SHOWN_ITEMS, len(liked)), replace=False)
        print(f"A user with {len(liked)} items, such as")
        for item in some:
            print(f"      {_short(item_names[item])}")
        print("  gets the recommendations")
        for place, item in enumerate(items[items >= 0], start=1):
            mark = "*" if item in to_find else " "
            print(f"   {mark} {place}. {_short(item_names[item])}")
        print()
    print("* This item is one of the held-out items of the user.")


def choose_users(held_out):
    """Choose a few random rows, if possible with many held-out items."""
    n_held_out = np.diff(held_out.indptr)
    eligible = np.flatnonzero(n_held_out >= N_SHOWN_ITEMS)
    if len(eligible) < N_SHOWN_USERS:
        eligible = np.flatnonzero(n_held_out)
    n_users = min(N_SHOWN_USERS, len(eligible))
    return np.random.default_rng(0).choice(eligible, n_users, replace=False)


def say(text, file=None):
    """Print a wrapped paragraph, without buffering."""
    wrapped = textwrap.fill(text, WIDTH, break_on_hyphens=False)
    print(wrapped, file=file, flush=True)


def heading(text):
    """Print the heading of a part."""
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


def print_table(rows):
    """Print rows of text; the first column is left-aligned, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        first, *others = (
            text.rjust(width) for text, width in zip(row, widths, strict=True)
        )
        print("   ".join([row[0].ljust(widths[0]), *others]))
        if number == 0:
            print("   ".join("-" * width for width in widths))


def shown(metric, k):
    """Return the name of a metric as in papers: NDCG@100, Recall@20."""
    return f"{'NDCG' if metric == 'ndcg' else metric.capitalize()}@{k}"


def said(estimator, grid):
    """Return the values of the grid's parameters in an estimator, as text."""
    return ", ".join(f"{name}={getattr(estimator, name)}" for name in grid)


def _mean_and_error(values):
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return float(values.mean()) if len(values) else np.nan, np.nan
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def _mean(values):
    return "{:.3f} ± {:.3f}".format(*_mean_and_error(values))


def _short(name):
    return name if len(name) <= WIDTH - 10 else f"{name[: WIDTH - 13]}..."


if __name__ == "__main__":
    sys.exit(main())
