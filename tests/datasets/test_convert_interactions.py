"""Tables converted to rows on disk, against the matrix of `load_interactions`."""

import numpy as np
import pandas as pd
import pytest

from skvae.datasets import _convert, _readers, convert_interactions, load_interactions

N = 6000
rng = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "who": rng.integers(0, 200, N) * 3,
        "what": [f"item {i}" for i in rng.zipf(1.4, N) % 90],
        "stars": rng.integers(1, 6, N),
        "when": rng.integers(0, 500, N) + rng.integers(0, 2, N) / 2,
    }
)
NAMES = {"user": "who", "item": "what"}
CASES = {
    "plain": {},
    "liked": {"rating": "stars", "min_rating": 4},
    "count": {"values": "count"},
    "sum": {"values": "count", "rating": "stars"},
    "last": {"values": "rating", "rating": "stars"},
    "latest": {"values": "rating", "rating": "stars", "timestamp": "when"},
    "core": {"min_user_items": 11, "min_item_users": 12},
    "known": {"item_ids": ["item 7", "item 1", "new"]},
    "known core": {"item_ids": [f"item {i}" for i in range(9)], "min_user_items": 3},
}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(_readers, "CHUNK_ROWS", 700)
    monkeypatch.setattr(_convert, "BATCH_ROWS", 700)
    monkeypatch.setattr(_convert, "PART_SIZE", 900)
    monkeypatch.setattr(_convert, "PENDING_IDS", 50)


@pytest.mark.parametrize("form", ["parquet", "npy"])
@pytest.mark.parametrize("case", CASES)
def test_the_rows_are_those_of_the_matrix_in_memory(case, form, tmp_path):
    TABLE.to_csv(tmp_path / "table.csv", index=False)
    expected = load_interactions(tmp_path / "table.csv", **NAMES, **CASES[case])
    rows = convert_interactions(
        tmp_path / "table.csv",
        tmp_path / "rows",
        **NAMES,
        **CASES[case],
        form=form,
        block_size=500,
    )
    assert rows.shape == expected.matrix.shape
    np.testing.assert_array_equal(rows[:].toarray(), expected.matrix.toarray())
    np.testing.assert_array_equal(rows.user_ids, expected.user_ids)
    np.testing.assert_array_equal(rows.item_ids, expected.item_ids)
    if case == "core":
        assert expected.n_filtered > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows", "table.csv"]
    assert not (tmp_path / "rows" / "parts").exists()


def test_several_files_are_one_table(tmp_path):
    expected = load_interactions(TABLE, **NAMES)
    for name, part in (("a", TABLE[:2500]), ("b", TABLE[2500:])):
        part.to_csv(tmp_path / f"{name}.csv.gz", index=False)
        (tmp_path / "folder").mkdir(exist_ok=True)
        part.to_parquet(tmp_path / "folder" / f"{name}.parquet")
    for i, source in enumerate(
        (
            [tmp_path / "a.csv.gz", tmp_path / "b.csv.gz"],
            tmp_path / "folder",
            [tmp_path / "folder" / f"{name}.parquet" for name in "ab"],
        )
    ):
        rows = convert_interactions(source, tmp_path / f"rows {i}", **NAMES)
        np.testing.assert_array_equal(rows[:].toarray(), expected.matrix.toarray())
        np.testing.assert_array_equal(rows.user_ids, expected.user_ids)


@pytest.mark.parametrize(
    "ids",
    [
        ["7", "007", "x", "12"] * 300,  # text in a later chunk
        ["7", "007", "12"] * 400,  # different ids that are one number
        ["3.5", "2.5", "10.5"] * 400,
        [str(2**63 + i % 7) for i in range(1200)],
        [str(i % 70) for i in range(800)] + ["tea"] * 400,
    ],
)
def test_ids_of_text_stay_as_distinct_as_in_memory(ids, tmp_path):
    table = pd.DataFrame({"who": ids, "what": ids[::-1]})
    table.to_csv(tmp_path / "table.csv", index=False)
    expected = load_interactions(tmp_path / "table.csv", **NAMES)
    rows = convert_interactions(tmp_path / "table.csv", tmp_path / "rows", **NAMES)
    np.testing.assert_array_equal(rows.user_ids, expected.user_ids)
    np.testing.assert_array_equal(rows.item_ids, expected.item_ids)
    np.testing.assert_array_equal(rows[:].toarray(), expected.matrix.toarray())


def test_dates_order_ratings_as_in_memory(tmp_path):
    days = pd.Timestamp("2024-05-01") + pd.to_timedelta(rng.integers(0, 99, N), "h")
    for form in (None, "%d/%m/%Y %H:%M"):
        when = days.astype(str) if form is None else days.strftime(form)
        TABLE.assign(when=when).to_csv(tmp_path / "table.csv", index=False)
        settings = CASES["latest"] | {"timestamp_format": form}
        expected = load_interactions(tmp_path / "table.csv", **NAMES, **settings)
        path = tmp_path / f"rows {form is None}"
        rows = convert_interactions(tmp_path / "table.csv", path, **NAMES, **settings)
        np.testing.assert_array_equal(rows[:].toarray(), expected.matrix.toarray())


@pytest.mark.parametrize(
    ("change", "settings", "error", "fault"),
    [
        ({"stars": -1.0}, {"rating": "stars", "values": "count"}, ValueError, "row 5"),
        ({"stars": np.nan}, {"rating": "stars", "min_rating": 2}, ValueError, "finite"),
        ({"what": None}, {}, ValueError, "missing.*from row 2,800 on"),
        (
            {},
            {"rating": "stars", "min_rating": 9},
            ValueError,
            "No interactions .*6000",
        ),
        ({}, {"min_user_items": 900}, ValueError, "No interactions are left"),
        ({}, {"timestamp": "when"}, ValueError, "timestamp=None"),
        ({}, {"values": "rating"}, ValueError, "needs the ratings"),
        ({}, {"item_ids": ["a"], "min_item_users": 2}, ValueError, "fixes the columns"),
        ({}, {"item_ids": [1, 2]}, ValueError, "convert one"),
        ({}, {"user": "whom"}, ValueError, "not a column"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_errors_leave_no_files(tmp_path, change, settings, error, fault, kind):
    table = TABLE.copy()
    for name, value in change.items():
        table[name] = table[name].astype(object if name == "what" else float)
        table.loc[2805, name] = value
    path = tmp_path / f"table.{kind}"
    write = table.to_parquet if kind == "parquet" else table.to_csv
    write(path, index=False)
    with pytest.raises(error, match=fault):
        convert_interactions(path, tmp_path / "rows", **NAMES | settings)
    assert [path.name for path in tmp_path.iterdir()] == [path.name]


def test_a_folder_is_never_overwritten(tmp_path):
    TABLE.to_csv(tmp_path / "table.csv", index=False)
    (tmp_path / "rows").mkdir()
    with pytest.raises(FileExistsError, match="rows exists already"):
        convert_interactions(tmp_path / "table.csv", tmp_path / "rows", **NAMES)
    (tmp_path / "new.unfinished").mkdir()
    with pytest.raises(FileExistsError, match="or did so and was killed"):
        convert_interactions(tmp_path / "table.csv", tmp_path / "new", **NAMES)
    (tmp_path / "new.unfinished").rmdir()
    with pytest.raises(FileNotFoundError, match="neither a file nor a folder"):
        convert_interactions(tmp_path / "other.csv", tmp_path / "new", **NAMES)
    TABLE.to_parquet(tmp_path / "table.parquet")
    both = [tmp_path / "table.csv", tmp_path / "table.parquet"]
    with pytest.raises(ValueError, match="files of one kind"):
        convert_interactions(both, tmp_path / "new", **NAMES)
