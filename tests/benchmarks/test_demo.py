import gzip
import zipfile

import numpy as np
import pytest

from benchmarks.demo import __main__ as demo
from benchmarks.demo.data import DemoError, choose_columns, generate, load, read_header

TINY = {"n_users": 60, "n_items": 40, "n_factors": 3, "n_interactions_per_user": 8}
QUICK_GRID = {"n_components": [4]}


@pytest.fixture
def rows():
    """Lines of ratings: 30 users, each with 9 of 12 items, rated 3 to 5."""
    rng = np.random.default_rng(0)
    return [
        f"{user},{100 + item},{3 + (user + item) % 3},{1000 + item}"
        for user in range(30)
        for item in rng.choice(12, 9, replace=False)
    ]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(demo, "GRID", QUICK_GRID)
    monkeypatch.setattr(demo, "KNN_GRID", {"n_neighbors": [5]})


def write(path, header, rows):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_run_prints_all_parts_within_the_line_width(capsys, quick):
    scores = demo.run(generate(**TINY))

    said = capsys.readouterr().out
    assert [line[:2] for line in said.splitlines() if line[1:3] == ". "] == [
        "1.",
        "2.",
        "3.",
        "4.",
        "5.",
    ]
    assert max(map(len, said.splitlines())) <= 80
    assert list(scores) == [
        "Mult-VAE",
        "item-kNN",
        "popularity",
        "(the true preferences)",
    ]


def test_lists_are_at_most_as_long_as_the_catalogue(capsys, quick):
    scores = demo.run(generate(**TINY))

    assert "There are only 40 items" in capsys.readouterr().out
    assert list(scores["Mult-VAE"]) == ["NDCG@40", "Recall@20"]


def test_search_does_not_use_the_test_users(monkeypatch, quick):
    data = generate(**TINY)
    asked, searched = [], []
    ask, search = demo.ask_test_users, demo.search_settings
    monkeypatch.setattr(
        demo, "ask_test_users", lambda data, test: asked.append(test) or ask(data, test)
    )
    monkeypatch.setattr(
        demo,
        "search_settings",
        lambda X, *options: searched.append(X) or search(X, *options),
    )

    demo.run(data)

    others = np.setdiff1d(np.arange(TINY["n_users"]), asked[0])
    assert len(asked[0]) == demo.TEST_SHARE * TINY["n_users"]
    rows = sorted(map(tuple, searched[0].toarray()))
    assert rows == sorted(map(tuple, data.matrix[others].toarray()))


def test_true_preferences_rank_above_popularity(quick):
    scores = demo.run(generate(**TINY))

    by_truth = scores["(the true preferences)"]["NDCG@40"]
    assert np.nanmean(by_truth) > np.nanmean(scores["popularity"]["NDCG@40"])


def test_main_runs_on_a_table(tmp_path, rows, capsys, quick):
    path = write(tmp_path / "ratings.csv", "User_ID,movieId,Stars,when", rows)

    assert demo.main(["--data", str(path), "--min-rating", "3"]) == 0

    said = capsys.readouterr().out
    assert "user = User_ID, item = movieId, rating = Stars" in said
    assert "30 users x 12 items" in said


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["userId", "movieId", "rating", "timestamp"], ("userId", "movieId", "rating")),
        (["USER", "ITEM"], ("USER", "ITEM", None)),
        (["date", "customer_id", "product_id", "score"], None),
        (["reviewerID", "asin", "overall"], ("reviewerID", "asin", "overall")),
    ],
)
def test_columns_are_guessed_in_any_spelling(names, expected):
    given = dict.fromkeys(("user", "item", "rating", "timestamp"))
    expected = expected or ("customer_id", "product_id", "score")

    columns, notes = choose_columns(names, given)

    roles = ("user", "item", "rating")
    assert tuple(columns.get(role) for role in roles) == expected
    assert "timestamp" not in columns
    assert "by their names" in notes[0]


def test_given_columns_have_priority_over_guesses():
    given = {"user": "who", "item": None, "rating": None, "timestamp": "time"}

    columns, notes = choose_columns(["who", "userId", "item", "time"], given)

    assert columns == {"user": "who", "item": "item", "timestamp": "time"}
    assert "by their names: item)" in notes[0]


def test_error_for_a_missing_column_lists_the_columns():
    given = dict.fromkeys(("user", "item", "rating", "timestamp"))

    with pytest.raises(DemoError, match=r"(?s)user or the item.*: a, b\n.*--user COL"):
        choose_columns(["a", "b"], given)
    with pytest.raises(DemoError, match="no column 'x' for --user.*: a, b"):
        choose_columns(["a", "b"], given | {"user": "x"})


@pytest.mark.parametrize("sep", [",", "\t", ";"])
def test_separator_is_guessed(tmp_path, sep):
    path = write(tmp_path / "r.csv", sep.join("abc"), [])

    assert read_header(path) == (sep, ["a", "b", "c"])


def test_titles_are_found_in_the_zip(tmp_path, rows):
    path = tmp_path / "ml.zip"
    titles = "\n".join(f'{100 + i},"Film, The ({i})",Drama' for i in range(11))
    with zipfile.ZipFile(path, "w") as archive:
        ratings = "\n".join(["userId,movieId,rating,timestamp", *rows])
        archive.writestr("ml/ratings.csv", ratings)
        archive.writestr("ml/movies.csv", f"movieId,title,genres\n{titles}\n")
        archive.writestr("ml/tags.csv", "userId,movieId,tag\n1,100,good\n")

    data = load(demo.parse(["--data", str(path)]))

    assert data.item_names[0] == "Film, The (0)"
    assert data.item_names[-1] == "item 111"  # the one without a title
    assert "Names of items: title in ml/movies.csv." in data.notes


def test_titles_are_read_from_a_file(tmp_path, rows):
    path = tmp_path / "ratings.csv.gz"
    names = write(tmp_path / "names.csv", "id,label", ["100,First", "101,Second"])
    path_and_names = ["--data", str(path), "--item-names", str(names)]
    rows = [row.rpartition(",")[0].replace(",", ";") for row in rows]
    with gzip.open(path, "wt") as file:
        file.write("\n".join(["user;item;rating", *rows]))
    data = load(demo.parse(path_and_names))

    assert data.item_names[:3].tolist() == ["First", "Second", "item 102"]


def test_latest_interactions_are_held_out_if_there_are_times(tmp_path, rows):
    path = write(tmp_path / "ratings.csv", "user,item,rating,time", rows)
    data = load(demo.parse(["--data", str(path), "--timestamp", "time"]))

    fold_in, held_out = demo.ask_test_users(data, np.arange(10))

    # Times increase with the item.
    for user in range(10):
        assert fold_in[[user]].indices.max() < held_out[[user]].indices.min()


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (None, [], "is not a file"),
        (b"\x00\xff\xfe garbage", [], "ratings.csv"),
        (b"", [], "ratings.csv"),
        (b"a,b\n1,2\n", [], "the columns are: a, b"),
        (b"user,item\n1,2\n", ["--item", "film"], "no column 'film'"),
        (b"user,item\n1,2\n", ["--sep", "::"], "takes one character"),
        (b"user,item,rating\n1,2,1\n", [], "No interactions are left"),
        (b"user,item\n1,2\n", ["--min-user-items", "1"], "--min-item-users 3"),
        (b"user,item\n1,\xe9\n", [], "such as --encoding"),
        (b"us\xe9r,item\n1,2\n", [], "such as --encoding"),
        (b"user,item\n1,2\n", ["--encoding", "utf-9"], "utf-9"),
        (b"user;item;rating\n1;2;4,5\n", [], "--decimal ','"),
        (b"user,item\n1,2\n", ["--member", "a.csv"], "not a .zip"),
        (
            b"user,item,when\n1,2,1/2/20\n",
            ["--timestamp", "when"],
            "--timestamp-format '%d/%m/%Y",
        ),
        (b"user,item,when\n1,2,\n", ["--timestamp", "when"], "leave out --timestamp"),
        (b"user,item,rating\n1,2,5\n1,a, b,5\n", [], "line 3 has 4"),
        (
            b"user,item\n1,2\n",
            ["--min-user-items", "1", "--min-item-users", "1"],
            "needs 20 users",
        ),
    ],
)
def test_errors_are_printed_with_exit_code_2(
    tmp_path, capsys, content, arguments, message
):
    path = tmp_path / "ratings.csv"
    if content is not None:
        path.write_bytes(content)

    assert demo.main(["--data", str(path), *arguments]) == 2

    captured = capsys.readouterr()
    assert captured.err.startswith("demo: ")
    assert message in " ".join(captured.err.split())
    assert captured.out == ""


def test_users_are_sampled_on_request():
    assert demo.sample_users(10, 0).tolist() == list(range(10))
    sample = demo.sample_users(1000, 50)
    assert len(set(sample)) == 50
    assert (np.diff(sample) > 0).all()


def test_layout_of_a_table_can_be_given(tmp_path, rows):
    """The same ratings in another layout give the same data and the names of items."""
    plain = write(tmp_path / "plain.csv", "user,item,rating,time", rows)
    expected = load(demo.parse(["--data", str(plain), "--timestamp", "time"]))
    lines = ["user;item;rating;tag"]
    for row in rows:
        user, item, rating, time = row.split(",")
        day = f"{(int(time) - 999):02}/01/1970"
        lines.append(f"{user};{int(item):05};{rating},0;{day}")
    names = ["item;title", *(f"{100 + i:05};Gerät {i}" for i in range(12))]
    path = tmp_path / "ratings.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "\n".join(lines).encode("latin-1"))
        archive.writestr("b.csv", "x")
    (tmp_path / "names.csv").write_text("\n".join(names), encoding="latin-1")
    given = (
        "--member a.csv --encoding latin-1 --decimal , --timestamp tag "
        "--timestamp-format %d/%m/%Y"
    )
    data = load(
        demo.parse(
            ["--data", str(path), *given.split()]
            + ["--item-names", str(tmp_path / "names.csv")]
        )
    )
    assert (data.matrix != expected.matrix).nnz == 0
    assert data.item_names[0] == "Gerät 0"
    days = data.timestamps.data // 86400  # the first is 1000 in the other table
    np.testing.assert_array_equal(days, expected.timestamps.data - 1000)


def test_users_without_remaining_interactions_are_reported(tmp_path, rows):
    rows = [*rows, "99,100,1,1000"]
    path = write(tmp_path / "ratings.csv", "user,item,rating,time", rows)
    data = load(demo.parse(["--data", str(path)]))
    n_dropped = 31 - data.matrix.shape[0]
    assert n_dropped >= 1
    assert f"Dropped {n_dropped} users without interactions left." in data.notes
