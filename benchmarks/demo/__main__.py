"""Recommendations end to end, on data of your own or on generated data.

    python -m benchmarks.demo
    python -m benchmarks.demo --data ratings.csv --user userId --item movieId

Loads interactions, puts test users aside, searches the settings of a Mult-VAE by
cross-validation over the other users, compares it on the test users with popularity
and item-kNN, and shows what it recommends to three of them.
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
    """Run the demo; return the exit code, 2 for what the caller can put right."""
    options = parse(arguments)
    # The fits are small: on a busy machine more threads wait for one another.
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
    add("--user", metavar="COL", help="its column of users (default: guessed)")
    add("--item", metavar="COL", help="its column of items (default: guessed)")
    add("--rating", metavar="COL", help="its column of ratings (default: guessed)")
    add(
        "--timestamp",
        metavar="COL",
        help="its column of times: the latest interactions are to be found",
    )
    add("--sep", help="separator of the columns (default: guessed)")
    add("--item-names", metavar="FILE", help="table with ids and names of the items")
    add(
        "--min-rating",
        type=float,
        default=4,
        help="ratings that count, if there are any (default: 4 and more)",
    )
    add("--min-user-items", type=int, default=5, help="drop users with fewer items")
    add("--min-item-users", type=int, default=3, help="drop items with fewer users")
    add(
        "--max-users",
        type=int,
        default=4000,
        help="take at most so many users, at random (default: 4000; 0: all)",
    )
    return parser.parse_args(arguments)


def run(data, *, max_users=0, grid=None):
    """Do all that the demo does with its data.

    Parameters
    ----------
    data : DemoData
        What to recommend from.
    max_users : int, default=0
        Users to sample; 0 for all.
    grid : dict, default=None
        What is searched; None for `GRID`.

    Returns
    -------
    scores : dict of str to dict
        Model -> metric -> array of a number for each test user.
    """
    heading("1. The data")
    users = sample_users(data.matrix.shape[0], max_users)
    describe_data(data, users)
    metrics = metric_names(data.matrix.shape[1])

    heading("2. Test users put aside")
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
    say(f"item-kNN was searched on the same users: {said(knn, KNN_GRID)}.")
    if data.preferences is not None:
        say("No model can rank better than by the preferences that made the data.")
        say(
            "These generated data were chosen to suit Mult-VAE; on others the two may "
            "be level. Try your own."
        )

    heading("5. What three test users are recommended")
    show_users(best, data.item_names, fold_in, held_out)
    return scores


def describe_data(data, users):
    """Print what there is and which users are taken of it."""
    for note in data.notes:
        say(note)
    n_users, n_items = data.matrix.shape
    if len(users) < n_users:
        say(
            f"Sampled {len(users):,} of {n_users:,} users, to be quick (--max-users; "
            "0 takes all)."
        )
    n_interactions = data.matrix[users].nnz
    say(
        f"{len(users):,} users x {n_items:,} items, {n_interactions:,} interactions, "
        f"{n_interactions / len(users):.0f} a user."
    )
    if n_items > MANY_ITEMS:
        say("So many items take long: --min-item-users 20, say, leaves fewer.")


def ask_test_users(data, test):
    """Hold out a part of what the test users have: (fold_in, held_out)."""
    rest = "the rest"
    by = "random"
    if data.timestamps is not None:
        rest, by = "the rest, the latest", data.timestamps[test]
    say(
        f"{len(test):,} users are kept for the end: neither the search nor any model "
        "sees them. Then a model is shown four fifths of what each of them has, and "
        f"is to find {rest}."
    )
    return hold_out_interactions(data.matrix[test], random_state=0, by=by)


def true_ranking(data, test, fold_in):
    """Rank all items but those shown by what made the data."""
    preferences = data.preferences(test)
    preferences[fold_in.nonzero()] = -np.inf
    return np.argsort(-preferences, axis=1)


def sample_users(n_users, max_users):
    """Rows of at most so many users, in order; all for 0."""
    if not max_users or n_users <= max_users:
        return np.arange(n_users)
    return np.sort(np.random.default_rng(0).choice(n_users, max_users, replace=False))


def metric_names(n_items):
    """Return [("ndcg", k), ("recall", k)] with k no more than there are items."""
    wanted = [("ndcg", 100), ("recall", 20)]
    clamped = [(name, min(k, n_items)) for name, k in wanted]
    if clamped != wanted:
        say(f"There are only {n_items} items, so lists are no longer than that.")
    return clamped


def search_settings(X, metrics, grid):
    """Search the grid by cross-validation over users, saying how it goes."""
    names = [f"{name}@{k}" for name, k in metrics]
    n_settings = len(ParameterGrid(grid))
    say(
        f"GridSearchCV over {n_settings} settings of MultVAERecommender, {N_FOLDS} "
        f"folds of the other {X.shape[0]:,} users: each time a model learns from the "
        "users of one part, and is asked in the same way about users it has not seen."
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
    say(f"The best was trained again on all {X.shape[0]:,} users.")
    return search.best_estimator_


def search_quietly(estimator, grid, X, metrics):
    """Search in the same way without a word; return the best estimator."""
    scorer = make_ranking_scorer("{}@{}".format(*metrics[0]))
    search = GridSearchCV(estimator, grid, scoring=scorer, cv=N_FOLDS)
    return search.fit(X).best_estimator_


class Reporting:
    """A scorer that says what each fit of a search has come to.

    Parameters
    ----------
    scorer : callable
        Gives a dict of scores.
    grid : dict
        Parameters to name.
    n_fits : int
        How many fits there will be.
    """

    def __init__(self, scorer, grid, n_fits):
        self.scorer, self.grid, self.n_fits = scorer, grid, n_fits
        self.n_done, self.started = 0, time.perf_counter()

    def __call__(self, estimator, X, y=None):
        """Score and report."""
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
    rows = [["cross-validation", *(shown(*m) for m in metrics), "s a fit"]]
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
    """Metric -> array of a number for each user, NaN where nothing is held out."""
    functions = {"ndcg": ndcg_at_k, "recall": recall_at_k}
    return {
        shown(name, k): functions[name](held_out, y_rank=ranked, k=k, per_user=True)
        for name, k in metrics
    }


def print_test(scores, metrics):
    """Print means with standard errors, and the comparison user by user."""
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
        f"User by user, Mult-VAE ranks {verdict} item-kNN: {names[0]} {mean:+.3f} ± "
        f"{error:.3f}."
    )


def show_users(model, item_names, fold_in, held_out):
    """Print what some users have and what the model recommends to them."""
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
        print("  is recommended")
        for place, item in enumerate(items[items >= 0], start=1):
            mark = "*" if item in to_find else " "
            print(f"   {mark} {place}. {_short(item_names[item])}")
        print()
    print("* The user does have it: it is among what was held out.")


def choose_users(held_out):
    """Choose a few rows at random, of those with much held out if there are any."""
    n_held_out = np.diff(held_out.indptr)
    eligible = np.flatnonzero(n_held_out >= N_SHOWN_ITEMS)
    if len(eligible) < N_SHOWN_USERS:
        eligible = np.flatnonzero(n_held_out)
    n_users = min(N_SHOWN_USERS, len(eligible))
    return np.random.default_rng(0).choice(eligible, n_users, replace=False)


def say(text, file=None):
    """Print a paragraph, wrapped, at once."""
    wrapped = textwrap.fill(text, WIDTH, break_on_hyphens=False)
    print(wrapped, file=file, flush=True)


def heading(text):
    """Print the heading of a part."""
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


def print_table(rows):
    """Print rows of text: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        first, *others = (
            text.rjust(width) for text, width in zip(row, widths, strict=True)
        )
        print("   ".join([row[0].ljust(widths[0]), *others]))
        if number == 0:
            print("   ".join("-" * width for width in widths))


def shown(metric, k):
    """Name a metric as papers do: NDCG@100, Recall@20."""
    return f"{'NDCG' if metric == 'ndcg' else metric.capitalize()}@{k}"


def said(estimator, grid):
    """The parameters of a grid as the estimator has them."""
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
