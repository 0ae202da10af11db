import numpy as np
import pandas as pd
import pytest

from skvae.baselines import Popularity
from skvae.model_selection import look_up_ids

IDS = ["tea", "jam", "rye", "oats"]


def test_ids_of_recommended_items():
    X = np.array([[1, 1, 0, 0], [0, 1, 0, 1], [1, 1, 1, 1]])
    items = Popularity().fit(X).recommend(X, n_items=3)
    ids = look_up_ids(items, IDS)
    assert ids.tolist() == [
        ["oats", "rye", None],
        ["tea", "rye", None],
        [None, None, None],
    ]
    assert ids.shape == ids.mask.shape == items.shape


@pytest.mark.parametrize(
    ("item_ids", "missing"),
    [
        (IDS, ""),
        (np.array(IDS), ""),
        (np.array(IDS, dtype=object), ""),
        (np.array(IDS, dtype=bytes), b""),
        (pd.Series(IDS, index=[3, 2, 1, 0]), ""),
        (pd.Index(IDS), ""),
        ([7, 5, 6, 8], -1),
        (np.array([7, 5, 6, 8], dtype=np.int8), -1),
        ([0.5, 1.5, 2.5, 3.5], np.nan),
        (np.array([7, 5, 6, 8], dtype=np.uint8), ""),
        (np.array(["2020", "2021", "2022", "2023"], dtype="datetime64[Y]"), ""),
    ],
)
def test_no_item_has_no_id_of_an_item(item_ids, missing):
    ids = look_up_ids([[2, -1], [-1, 0]], item_ids)
    expected = np.asarray(item_ids).astype(object)
    assert ids[0].compressed().tolist() == [np.asarray(item_ids)[2]]
    assert ids[1, 1] == expected[0]
    assert ids.mask.tolist() == [[False, True], [True, False]]
    # Neither what is below the mask nor the filled array has the last id.
    for plain in (np.asarray(ids), ids.filled()):
        np.testing.assert_array_equal(plain[ids.mask], [missing, missing])


def test_any_shape_and_integer_dtype():
    assert look_up_ids(np.array([1, 0], dtype=np.uint64), IDS).tolist() == [
        "jam",
        "tea",
    ]
    assert look_up_ids(np.int8(-1), IDS).tolist() is None
    assert look_up_ids(np.empty((0, 3), dtype=int), IDS).shape == (0, 3)
    assert look_up_ids([[-1]], []).tolist() == [[None]]


@pytest.mark.parametrize(
    ("items", "item_ids", "message"),
    [
        ([0, 4], IDS, "items range from 0 to 4 but item_ids has 4 entries"),
        ([-2, 1], IDS, "items range from -2 to 1"),
        (np.array([2**63], dtype=np.uint64), IDS, "to 9223372036854775808 but"),
        ([0.0], IDS, "items has dtype float64"),
        ([True], IDS, "items has dtype bool"),
        ([[0], [1, 2]], IDS, "^items is a list"),
        ([0], [IDS], r"item_ids has shape \(1, 4\)"),
        ([0], "tea", r"item_ids has shape \(\)"),
    ],
)
def test_what_cannot_be_looked_up_is_refused(items, item_ids, message):
    with pytest.raises(ValueError, match=message):
        look_up_ids(items, item_ids)
