import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skvae.datasets import load_interactions

COLUMNS = {"user": "u", "item": "i", "rating": "r", "timestamp": "t"}


def table(rows):
    """Turn (user, item, rating, timestamp) rows into a dict of columns."""
    return dict(zip("uirt", map(list, zip(*rows, strict=True)), strict=True))


def reference(rows, values, min_rating):
    """Map (user, item) to (value, timestamp), with a plain loop."""
    merged = {}
    for user, item, rating, time in sorted(rows, key=lambda row: row[3]):
        if min_rating is not None and rating < min_rating:
            continue
        before = merged.get((user, item), (0, None))[0]
        value = {"binary": 1, "rating": rating, "count": before + rating}[values]
        merged[user, item] = (value, time)
    return merged


def as_dict(dataset):
    m, t = dataset.matrix.tocoo(), dataset.timestamps
    return {
        (dataset.user_ids[u], dataset.item_ids[i]): (value, time)
        for u, i, value, time in zip(m.row, m.col, m.data, t.data, strict=True)
    }


def assert_canonical(matrix):
    """Check the arrays themselves, because scipy's flags may be stale."""
    assert matrix.format == "csr"
    assert matrix.dtype == np.float32
    assert matrix.indices.dtype == matrix.indptr.dtype == np.int32
    assert (matrix.data != 0).all()
    for start, stop in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        assert (np.diff(matrix.indices[start:stop]) > 0).all()


ROWS = st.lists(
    st.tuples(
        st.integers(0, 6), st.integers(0, 4), st.integers(1, 5), st.integers(0, 9)
    ),
    min_size=1,
    max_size=60,
)


@pytest.mark.parametrize("values", ["binary", "rating", "count"])
@pytest.mark.parametrize("min_rating", [None, 3])
@settings(max_examples=60, deadline=None)
@given(rows=ROWS)
def test_duplicates_are_merged_as_by_a_plain_loop(values, min_rating, rows):
    expected = reference(rows, values, min_rating)
    if not expected:
        with pytest.raises(ValueError, match="No interactions are left"):
            load_interactions(table(rows), **COLUMNS, min_rating=min_rating)
        return
    dataset = load_interactions(
        table(rows), **COLUMNS, values=values, min_rating=min_rating
    )
    assert as_dict(dataset) == expected
    assert_canonical(dataset.matrix)
    assert_array_equal(dataset.user_ids, np.unique([user for user, _ in expected]))
    assert_array_equal(dataset.item_ids, np.unique([item for _, item in expected]))
    n_liked = len(rows) - dataset.n_below_min_rating
    assert n_liked == len(expected) + dataset.n_duplicates


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, min_user_items=st.integers(1, 4), min_item_users=st.integers(1, 4))
def test_minimum_counts_keep_the_largest_possible_set_of_pairs(
    rows, min_user_items, min_item_users
):
    pairs = {(user, item) for user, item, _, _ in rows}
    while True:  # drop one pair at a time
        users, items = [user for user, _ in pairs], [item for _, item in pairs]
        few = [p for p in pairs if users.count(p[0]) < min_user_items]
        few += [p for p in pairs if items.count(p[1]) < min_item_users]
        if not few:
            break
        pairs.remove(few[0])
    minima = {"min_user_items": min_user_items, "min_item_users": min_item_users}
    if not pairs:
        with pytest.raises(ValueError, match="No interactions are left"):
            load_interactions(table(rows), **COLUMNS, **minima)
        return
    dataset = load_interactions(table(rows), **COLUMNS, **minima)
    assert set(as_dict(dataset)) == pairs
    n_distinct = len({row[:2] for row in rows})
    assert dataset.n_filtered == n_distinct - len(pairs)


def test_last_row_counts_if_timestamps_are_missing_or_equal():
    rows = [(1, 1, 5, 7), (1, 1, 2, 7), (1, 1, 3, 7), (1, 1, 4, 6)]
    no_time = {role: name for role, name in COLUMNS.items() if role != "timestamp"}
    dataset = load_interactions(table(rows), **COLUMNS, values="rating")
    assert dataset.matrix.toarray() == [[3]]
    dataset = load_interactions(table(rows), **no_time, values="rating")
    assert dataset.matrix.toarray() == [[4]]
    assert dataset.timestamps is None


def test_count_without_ratings_counts_interactions():
    rows = [(1, 1, 5, 0), (1, 1, 5, 0), (1, 2, 5, 0)]
    dataset = load_interactions(table(rows), user="u", item="i", values="count")
    assert_array_equal(dataset.matrix.toarray(), [[2, 1]])
    dataset = load_interactions(table(rows), **COLUMNS, values="count")
    assert_array_equal(dataset.matrix.toarray(), [[10, 5]])


def test_timestamps_have_the_structure_of_the_matrix_but_separate_memory():
    rows = [(1, 2, 5, 0), (1, 1, 5, 2**60 + 1), (2, 2, 5, 3)]
    dataset = load_interactions(table(rows), **COLUMNS)
    times = dataset.timestamps
    assert_array_equal(times.indptr, dataset.matrix.indptr)
    assert_array_equal(times.indices, dataset.matrix.indices)
    assert_array_equal(times.data, [2**60 + 1, 0, 3])  # the zero is kept, 2**60+1 exact
    assert times.dtype == np.int64
    assert not np.shares_memory(times.indices, dataset.matrix.indices)
    assert not np.shares_memory(times.indptr, dataset.matrix.indptr)


@pytest.mark.parametrize("unit", ["s", "ms", "ns"])
@pytest.mark.parametrize("tz", [None, "Asia/Tokyo"])
def test_datetimes_are_stored_in_seconds_but_sorted_with_fractions(unit, tz):
    when = pd.DatetimeIndex(["2020-01-01 00:00:01", "2020-01-01 00:00:00"])
    if unit != "s":  # the first row is later, by less than a second
        when = pd.DatetimeIndex(["2020-01-01 00:00:00.9", "2020-01-01 00:00:00.1"])
    frame = pd.DataFrame({"u": [1, 1], "i": [1, 1], "r": [4, 2]})
    frame["t"] = when.as_unit(unit)
    if tz is not None:
        frame["t"] = frame["t"].dt.tz_localize("UTC").dt.tz_convert(tz)
    dataset = load_interactions(frame, **COLUMNS, values="rating")
    assert dataset.matrix.toarray() == [[4]]
    assert dataset.timestamps.toarray() == [[1577836800 + (unit == "s")]]


@pytest.mark.parametrize(
    "times",
    [
        np.array([2**60 + 1, 2**60], dtype=np.uint64),
        np.array([2**60 + 1, 2**60], dtype=object),
        pd.array([2**60 + 1, 2**60], dtype="Int64"),
        pd.Series([str(2**60 + 1), str(2**60)], index=["x", "y"]),
    ],
)
def test_large_timestamps_are_stored_exactly(times):
    source = {"u": [1, 1], "i": [1, 1], "r": [4, 2], "t": times}
    dataset = load_interactions(source, **COLUMNS, values="rating")
    assert dataset.matrix.toarray() == [[4]]
    assert dataset.timestamps.data.tolist() == [2**60 + 1]


def test_numeric_timestamps_are_rounded_down_after_sorting():
    rows = [(1, 1, 4, 1.9), (1, 1, 2, 1.1), (1, 2, 3, -0.5)]
    dataset = load_interactions(table(rows), **COLUMNS, values="rating")
    assert_array_equal(dataset.matrix.toarray(), [[4, 3]])
    assert_array_equal(dataset.timestamps.toarray(), [[1, -1]])


@pytest.mark.parametrize(
    ("users", "kind"),
    [
        (["b", "a", "b"], "U"),
        (pd.array(["b", "a", "b"], dtype="string"), "U"),
        (pd.Series(["b", "a", "b"], dtype="category"), "U"),
        (np.array(["b", "a", "b"]), "U"),
        ([30, 4, 30], "i"),
        (pd.array([30, 4, 30], dtype="Int64"), "i"),
        (np.array([30, 4, 30], dtype=object), "i"),
        (np.array([30, 4, 30], dtype=np.uint8), "u"),
    ],
)
def test_ids_are_sorted_and_keep_their_kind(users, kind):
    dataset = load_interactions((users, [1, 1, 2]), user=0, item=1)
    assert dataset.user_ids.dtype.kind == kind
    assert_array_equal(dataset.user_ids, np.unique(np.asarray(users)))
    assert_array_equal(dataset.matrix.toarray(), [[1, 0], [1, 1]])


def test_item_ids_set_the_columns_and_all_users_are_kept():
    rows = [
        ("eva", "tea", 5, 0),
        ("eva", "bread", 5, 0),
        ("kim", "bread", 5, 0),
        ("kim", "milk", 5, 0),
        ("ann", "tea", 1, 0),
    ]
    dataset = load_interactions(
        table(rows), **COLUMNS, item_ids=["tea", "jam", "ham"], min_rating=3
    )
    assert_array_equal(dataset.item_ids, ["tea", "jam", "ham"])
    assert_array_equal(dataset.user_ids, ["ann", "eva", "kim"])
    assert_array_equal(dataset.matrix.toarray(), [[0, 0, 0], [1, 0, 0], [0, 0, 0]])
    assert_array_equal(dataset.timestamps.indptr, dataset.matrix.indptr)
    assert dataset.n_unknown_items == 2
    assert dataset.n_unknown_interactions == 3
    assert dataset.n_below_min_rating == 1
    for text in ("dropped: 2.", "dropped: 3 rows", "below 3 dropped: 1 rows"):
        assert text in dataset.DESCR


def test_min_user_items_drops_users_without_enough_known_items():
    rows = [(1, 1, 5, 0), (1, 2, 5, 0), (2, 1, 5, 0), (2, 9, 5, 0), (3, 9, 5, 0)]
    dataset = load_interactions(
        table(rows), **COLUMNS, item_ids=[2, 3, 1], min_user_items=2
    )
    assert_array_equal(dataset.user_ids, [1])
    assert_array_equal(dataset.matrix.toarray(), [[1, 0, 1]])


def test_item_ids_of_the_same_data_give_the_same_matrix():
    rng = np.random.default_rng(0)
    rows = rng.integers(1, 30, size=(300, 4)).tolist()
    dataset = load_interactions(table(rows), **COLUMNS, values="count")
    again = load_interactions(
        table(rows), **COLUMNS, values="count", item_ids=dataset.item_ids[::-1]
    )
    assert_array_equal(again.matrix.toarray()[:, ::-1], dataset.matrix.toarray())
    assert_canonical(again.matrix)


def test_source_is_not_modified():
    frame = pd.DataFrame(table([(2, 1, 5, 3), (1, 1, 4, 2)]))
    before = frame.copy()
    load_interactions(frame, **COLUMNS, values="rating")
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, dict])
def test_frames_and_mappings_give_the_same_data(make):
    rows = [("b", 3, 5.0, 3), ("a", 1, 4.5, 2), ("b", 1, 1.0, 9)]
    dataset = load_interactions(make(table(rows)), **COLUMNS, values="rating")
    assert as_dict(dataset) == reference(rows, "rating", None)


GOOD = [(1, 1, 5, 0), (2, 2, 4, 1), (3, 1, 3, 2)]


@pytest.mark.parametrize(
    ("change", "options", "match"),
    [
        ({}, {"values": "stars"}, "'values' parameter"),
        ({}, {"user": "who"}, r"user='who' is not a column.*\['u', 'i', 'r', 't'\]"),
        ({}, {"rating": None, "values": "rating"}, "values='rating' needs the ratings"),
        (
            {},
            {"rating": None, "min_rating": 4, "values": "binary"},
            "min_rating=4 needs the ratings",
        ),
        ({}, {"min_rating": 6}, "No interactions are left of 3 rows.*dropped 3"),
        ({}, {"min_user_items": 0}, "'min_user_items' parameter"),
        ({}, {"min_user_items": 2}, "No interactions are left.*min_user_items=2"),
        ({}, {"item_ids": [1, 2, 1]}, "item_ids holds .*1.* more than once"),
        ({}, {"item_ids": []}, r"item_ids has shape \(0,\)"),
        ({}, {"item_ids": [[1], [2]]}, r"item_ids has shape \(2, 1\)"),
        ({}, {"item_ids": [1, np.nan]}, "1 of 2 values of item_ids are missing"),
        ({}, {"item_ids": ["1", "2"]}, "holds numbers.*item_ids holds text"),
        ({}, {"item_ids": [1], "min_item_users": 2}, "leave min_item_users=1"),
        ({"u": [1, None, None]}, {}, "2 of 3 values of user are missing.*row 1"),
        ({"i": ["a", None, "b"]}, {}, "1 of 3 values of item are missing.*row 1"),
        ({"i": ["a", 2, "b"]}, {}, "ids of item are of kind 'mixed-integer'"),
        ({"i": [1, 2]}, {}, "differ in length.*'item': 2"),
        ({"i": [[1], [2], [3]]}, {}, r"item column 'i' has shape \(3, 1\)"),
        ({"r": [5, "good", 3]}, {}, "rating of row 1 is 'good', not a number"),
        ({"r": [5, 4, np.nan]}, {}, "rating of row 2 is nan .*must be finite"),
        ({"r": [5, np.inf, 3]}, {}, "rating of row 1 is inf"),
        ({"r": [5, 1e300, 3]}, {}, "rating of row 1 is 1e.300 .*must be finite"),
        ({"r": [-1, 4, 3]}, {}, "rating of row 0 is -1.0 .*must be positive"),
        ({"r": [5, 4, 0]}, {}, r"rating of row 2 is 0.0 \(1 such row.*min_rating"),
        ({"r": [5, 1e-60, 3]}, {}, "rating of row 1 is 1e-60 .*must be positive"),
        ({"t": [1, np.nan, 2]}, {}, "1 of 3 timestamps are missing.*row 1"),
        ({"t": ["7", "monday", "8"]}, {}, "timestamp of row 1 is 'monday'; timestam"),
        ({"t": [1, np.inf, 2]}, {}, "timestamps must be finite"),
        ({"t": [1, 2**63, 2]}, {}, "timestamps must be finite"),
        (dict.fromkeys("uirt", ()), {}, "has no rows"),
    ],
)
@pytest.mark.parametrize("values", ["rating", "count"])
def test_invalid_input_is_refused_with_a_clear_error(change, options, match, values):
    source = table(GOOD) | change
    with pytest.raises(ValueError, match=match):
        load_interactions(source, **(COLUMNS | {"values": values} | options))


def test_unused_ratings_are_not_validated():
    source = table(GOOD) | {"r": [0, -1, np.nan]}
    assert load_interactions(source, **COLUMNS).matrix.nnz == 3
    source = table(GOOD) | {"r": [0, -1, 2]}
    dataset = load_interactions(source, **COLUMNS, min_rating=0)
    assert dataset.matrix.nnz == 2
    dataset = load_interactions(source, **COLUMNS, min_rating=1, values="rating")
    assert dataset.matrix.toarray() == [[2]]


@pytest.mark.parametrize(
    ("source", "match"),
    [
        (np.ones((3, 2)), "source is a ndarray; pass the path"),
        (42, "source is a int; pass the path"),
        (pl.LazyFrame({"u": [1], "i": [1]}), "lazy LazyFrame; collect it"),
    ],
)
def test_source_of_another_type_is_refused(source, match):
    with pytest.raises(TypeError, match=match):
        load_interactions(source, user="u", item="i")


@pytest.mark.parametrize("user", ["u", 2])
def test_tuple_takes_positions_of_its_arrays(user):
    with pytest.raises(ValueError, match="tuple of 2 arrays.*0 to 1"):
        load_interactions(([1], [1]), user=user, item=1)


@pytest.mark.parametrize("role", ["rating", "timestamp"])
def test_complex_numbers_are_refused(role):
    table = {"user": [1, 2], "item": [1, 2], role: np.array([1 + 1j, 2])}
    with pytest.raises(ValueError, match=f"{role}s are complex"):
        load_interactions(
            table, user="user", item="item", **{role: role}, values="count"
        )


def test_ratings_whose_sum_exceeds_float32_are_refused():
    table = {"user": [1, 1], "item": [1, 1], "rating": [3e38, 3e38]}
    with pytest.raises(ValueError, match=r"add up to 6e\+38"):
        load_interactions(
            table, user="user", item="item", rating="rating", values="count"
        )


def test_boolean_timestamps_are_sorted_false_before_true():
    """The rating with the later timestamp, True, is kept."""
    rows = {"u": [1, 1], "i": [2, 2], "r": [5.0, 3.0], "t": [True, False]}
    dataset = load_interactions(rows, **COLUMNS, values="rating")
    assert dataset.matrix.toarray().tolist() == [[5.0]]
    assert dataset.timestamps.toarray().tolist() == [[1]]


KNOWN = {"user_ids": ["visitor"], "item_ids": ["tea", "jam"]}


@pytest.mark.parametrize(
    ("history", "expected", "n_unknown"),
    [
        (["jam", "never heard of"], [[0, 1]], 1),
        (["never heard of"], [[0, 0]], 1),
        ([], [[0, 0]], 0),
    ],
)
def test_known_users_keep_a_row_whatever_they_interacted_with(
    history, expected, n_unknown
):
    source = {"u": ["visitor"] * len(history), "i": history}
    dataset = load_interactions(source, user="u", item="i", **KNOWN)
    assert_array_equal(dataset.matrix.toarray(), expected)
    assert_canonical(dataset.matrix)
    assert dataset.user_ids.tolist() == ["visitor"]
    assert dataset.n_unknown_items == n_unknown
    assert dataset.n_unknown_interactions == n_unknown
    assert dataset.n_unknown_users == 0
    assert "1 users with 2 items" in dataset.DESCR


def test_user_ids_set_the_rows_and_other_users_are_counted():
    rows = [("eva", "tea", 5, 9), ("kim", "tea", 4, 8), ("ann", "rye", 5, 7)]
    dataset = load_interactions(
        table(rows), **COLUMNS, user_ids=["noa", "kim", "ann"], values="rating"
    )
    assert dataset.user_ids.tolist() == ["noa", "kim", "ann"]
    assert dataset.item_ids.tolist() == ["rye", "tea"]
    assert_array_equal(dataset.matrix.toarray(), [[0, 0], [0, 4], [5, 0]])
    assert_array_equal(dataset.timestamps.toarray(), [[0, 0], [0, 8], [7, 0]])
    assert (dataset.n_unknown_users, dataset.n_unknown_interactions) == (1, 1)
    assert "Users not in user_ids dropped: 1." in dataset.DESCR


def test_no_rows_are_no_error_if_the_items_are_known():
    for source in ([[], []], {0: (), 1: ()}, pd.DataFrame({"u": [], "i": []})):
        names = {"user": "u", "item": "i"} if hasattr(source, "columns") else {}
        if not names:
            source, names = tuple(source[i] for i in (0, 1)), {"user": 0, "item": 1}
        dataset = load_interactions(source, **names, item_ids=[3, 4])
        assert dataset.matrix.shape == (0, 2)
        assert len(dataset.user_ids) == 0
        assert "0 users" in dataset.DESCR


def test_users_are_read_as_text_if_user_ids_are_text(tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("u,i\n007,1\n8,2\n")
    dataset = load_interactions(path, user="u", item="i", user_ids=["8", "007"])
    assert_array_equal(dataset.matrix.toarray(), [[0, 1], [1, 0]])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"user_ids": [1, 1]}, "user_ids holds 1 more than once.*each user once"),
        ({"user_ids": []}, r"user_ids has shape \(0,\).*one user id"),
        ({"user_ids": ["1"]}, "user column holds numbers.*user_ids holds text"),
        ({"user_ids": [1], "min_user_items": 2}, "leave min_user_items=1"),
        ({"user_ids": [7]}, "No interactions are left.*3 are of users or items not in"),
    ],
)
def test_unusable_user_ids_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        load_interactions(table(GOOD), **COLUMNS, **options)


PAST = 2**63 + 1


@pytest.mark.parametrize(
    "users",
    [
        [1, PAST, PAST + 1],
        np.array([1, PAST, PAST + 1], dtype=np.uint64),
        np.array([1, PAST, PAST + 1], dtype=object),
        pl.Series([1, PAST, PAST + 1], dtype=pl.UInt64),
        [2**53, 2**53 + 1, 2**53 + 2],
        [-(2**63), 0, 2**63 - 1],
    ],
)
@pytest.mark.parametrize("role", ["user", "item"])
def test_large_integer_ids_stay_distinct(users, role):
    other = {"user": "item", "item": "user"}[role]
    dataset = load_interactions({"a": users, "b": [1, 1, 1]}, **{role: "a", other: "b"})
    assert dataset[f"{role}_ids"].tolist() == list(map(int, users))
    assert dataset.matrix.nnz == 3
    again = load_interactions(
        {"a": users, "b": [1, 1, 1]},
        **{role: "a", other: "b", f"{role}_ids": list(map(int, users))[::-1]},
    )
    assert again[f"{role}_ids"].tolist() == list(map(int, users))[::-1]
    assert again.matrix.nnz == 3


@pytest.mark.parametrize(
    ("known", "found"),
    [
        ([5, 2**53 + 1, 2**53], [1, 0, 0]),
        (np.array([PAST, 5], dtype=np.uint64), [0, 1]),
        (np.array([5, 2], dtype=np.int8), [1, 0]),
        (np.array([5.0, 5.5]), [1, 0]),
    ],
)
@pytest.mark.parametrize(
    "items",
    [
        np.array([5, 7], dtype=np.int64),
        np.array([5, 7], dtype=np.float64),
        np.array([5, PAST - 1], dtype=np.uint64),
    ],
)
def test_known_ids_of_another_type_match_by_their_exact_value(known, found, items):
    dataset = load_interactions(([1, 1], items), user=0, item=1, item_ids=known)
    assert_array_equal(dataset.matrix.toarray(), [found])
    assert dataset.n_unknown_items == 1


@pytest.mark.parametrize(
    ("ids", "match"),
    [
        (
            [1, PAST, -1],
            f"ids of item are integers from -1 to {PAST}.*convert them to text",
        ),
        ([1.0, 2.0**53], r"ids of item include 9007199254740992\.0 as a floating"),
        ([1.5, PAST], "include 9.22.*floating-point.*integers or as text"),
        (
            np.array([1, 2**24], dtype=np.float32),
            r"include 16777216.0 as .*\(float32\)",
        ),
        ([1.0, np.inf], "ids of item include inf as a floating-point"),
        ([1.0, np.nan], "1 of 2 values of item are missing"),
        (np.array([1, 2], dtype=np.longdouble), "ids of item are of type"),
        (["a", "a\0"], r"ids of item include 'a\\x00', which contains.*NUL"),
        (np.array(["a\0b", "a\0c"]), r"ids of item include 'a\\x00b'"),
        ([True, 1], "ids of item are of kind 'mixed-integer'"),
        ([1, True], "ids of item are of kind 'mixed-integer'"),
        ([b"a", b"a\0"], "ids of item are of kind 'bytes'"),
        ([[1], [1, 2]], "ids of item are of kind 'mixed'"),
    ],
)
def test_ids_that_could_be_merged_are_refused_by_name(ids, match):
    with pytest.raises(ValueError, match=match):
        load_interactions(([1] * len(ids), ids), user=0, item=1)
    with pytest.raises(ValueError, match=match.replace("item ", "item_ids ")):
        load_interactions(([1], [1]), user=0, item=1, item_ids=ids)


def test_booleans_do_not_match_numbers():
    with pytest.raises(
        ValueError, match="holds numbers such as 1 but item_ids holds b"
    ):
        load_interactions(([1], [1]), user=0, item=1, item_ids=[True])


def test_one_long_id_does_not_widen_all_others():
    ids = [f"item {number}" for number in range(2000)] + ["x" * 1_000_000]
    dataset = load_interactions(([1] * 2001, ids), user=0, item=1)
    assert dataset.item_ids.dtype == object
    assert dataset.item_ids.tolist() == sorted(ids)
    again = load_interactions(([1], ids[-1:]), user=0, item=1, item_ids=ids)
    assert again.matrix.indices.tolist() == [2000]


def test_lists_of_datetimes_are_timestamps():
    times = [np.datetime64("2020-01-02"), np.datetime64("2020-01-01")]
    for column in (times, list(pd.DatetimeIndex(times)), pd.DatetimeIndex(times)):
        source = {"u": [1, 1], "i": [1, 1], "r": [4, 2], "t": column}
        dataset = load_interactions(source, **COLUMNS, values="rating")
        assert dataset.matrix.toarray() == [[4]]
        assert dataset.timestamps.data.tolist() == [1577923200]


@pytest.mark.parametrize(
    ("dates", "form"),
    [
        (["2020-01-01T00:00:02", "2020-01-01 00:00:01"], None),
        (["2020-01-01T01:00:02+01:00", "2020-01-01T00:00:01Z"], None),
        (["01/01/2020 00:00:02", "01/01/2020 00:00:01"], "%d/%m/%Y %H:%M:%S"),
        (["20200101000002", "20200101000001"], "%Y%m%d%H%M%S"),
        ([20200101000002, 20200101000001], "%Y%m%d%H%M%S"),
    ],
)
@pytest.mark.parametrize("source", [dict, pd.DataFrame, "csv"])
def test_text_of_dates_is_parsed(tmp_path, dates, form, source):
    columns = {"u": [1, 1], "i": [1, 1], "r": [4, 2], "t": dates}
    if source == "csv":
        source = tmp_path / "table.csv"
        pd.DataFrame(columns).to_csv(source, index=False)
    else:
        source = source(columns)
    dataset = load_interactions(
        source, **COLUMNS, values="rating", timestamp_format=form
    )
    assert dataset.matrix.toarray() == [[4]]
    assert dataset.timestamps.toarray() == [[1577836802]]


@pytest.mark.parametrize(
    ("times", "options", "match"),
    [
        (
            ["31/12/2020", "1/1/2021"],
            {},
            r"timestamp of row 0 is '31/12/2020'.*timestamp_format='%d/%m/%Y",
        ),
        (["2020-01-01", "soon"], {}, "timestamp of row 1 is 'soon'"),
        (["2020-01-01", "7"], {}, "timestamp of row 1 is '7'.*all of one kind"),
        (
            ["31/12/2020", "x"],
            {"timestamp_format": "%d/%m/%Y"},
            r"row 1 is 'x'.*timestamp_format='%d/%m/%Y'",
        ),
        (["1", "2"], {"timestamp_format": "%!"}, "timestamp_format='%!' is invalid"),
        (
            ["1", "2"],
            {"timestamp_format": "%Y", "timestamp": None},
            "timestamp_format='%Y' needs the timestamps",
        ),
    ],
)
def test_text_of_unknown_dates_is_refused_with_advice(times, options, match):
    source = {"u": [1, 1], "i": [1, 1], "r": [4, 2], "t": times}
    with pytest.raises(ValueError, match=match):
        load_interactions(source, **(COLUMNS | options))


def test_users_without_remaining_interactions_are_dropped_on_request():
    rows = [(1, 1, 5, 0), (2, 1, 1, 0), (3, 9, 5, 0), (4, 2, 5, 0)]
    options = {"min_rating": 3, "item_ids": [1, 2]}
    kept = load_interactions(table(rows), **COLUMNS, **options)
    assert kept.user_ids.tolist() == [1, 2, 3, 4]
    assert kept.n_empty_users == 2
    assert "remaining interactions: 2, which have empty rows" in kept.DESCR
    dropped = load_interactions(
        table(rows), **COLUMNS, **options, drop_empty_users=True
    )
    assert dropped.user_ids.tolist() == [1, 4]
    assert dropped.n_empty_users == 2
    assert "remaining interactions: 2, dropped" in dropped.DESCR
    assert_array_equal(dropped.matrix.toarray(), kept.matrix.toarray()[[0, 3]])
    assert_canonical(dropped.matrix)
    found = load_interactions(table(rows), **COLUMNS, min_rating=3)
    assert found.user_ids.tolist() == [1, 3, 4]
    assert found.n_empty_users == 1
    with pytest.raises(ValueError, match="leave drop_empty_users=False"):
        load_interactions(table(rows), **COLUMNS, user_ids=[1], drop_empty_users=True)
