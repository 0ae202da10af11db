import gzip
import json

import pytest
from numpy.testing import assert_array_equal

from skvae.datasets import fetch_amazon_reviews

REVIEWS = [
    {"reviewerID": "U2", "asin": "B1", "overall": 5.0, "unixReviewTime": 100},
    {"reviewerID": "U1", "asin": "0005", "overall": 2.0, "unixReviewTime": 200},
    {"reviewerID": "U1", "asin": "B1", "overall": 3.0, "unixReviewTime": 400},
    {"reviewerID": "U1", "asin": "B1", "overall": 4.0, "unixReviewTime": 300},
]
PRODUCTS = [
    {"asin": "B1", "title": 'It\'s "Heat", café', "related": {"also_bought": ["B2"]}},
    {"asin": "B2", "title": "Reviewed too rarely"},
    {"asin": "0005", "price": 9.99},
]


def write_reviews(data_home, reviews=REVIEWS, products=PRODUCTS, category="Baby"):
    folder = data_home / "amazon_reviews"
    folder.mkdir(exist_ok=True)
    lines = [json.dumps(review | {"reviewText": 'fine\n"x"'}) for review in reviews]
    text = "\n".join(lines) + "\n\n"
    (folder / f"reviews_{category}_5.json.gz").write_bytes(gzip.compress(text.encode()))
    text = "".join(f"{product!r}\n" for product in products)  # Python, not JSON
    (folder / f"meta_{category}.json.gz").write_bytes(gzip.compress(text.encode()))
    return folder


def test_reviews_and_titles_are_read_from_their_different_formats(tmp_path):
    write_reviews(tmp_path)
    reviews = fetch_amazon_reviews(
        "Baby",
        data_home=tmp_path,
        download_if_missing=False,
        titles=True,
        values="rating",
    )
    assert reviews.user_ids.tolist() == ["U1", "U2"]
    assert reviews.item_ids.tolist() == ["0005", "B1"]
    assert_array_equal(reviews.matrix.toarray(), [[2, 3], [0, 5]])
    assert_array_equal(reviews.timestamps.toarray(), [[200, 400], [0, 100]])
    assert reviews.item_names.tolist() == ["", PRODUCTS[0]["title"]]
    assert reviews.DESCR.startswith("Amazon reviews, Baby\n")


def test_titles_are_loaded_only_on_request(tmp_path):
    folder = write_reviews(tmp_path)
    (folder / "meta_Baby.json.gz").unlink()
    reviews = fetch_amazon_reviews(
        "Baby", data_home=tmp_path, download_if_missing=False, min_rating=4
    )
    assert reviews.item_names is None
    assert_array_equal(reviews.matrix.toarray(), [[1], [1]])
    assert reviews.n_below_min_rating == 2


def test_products_without_reviews_are_not_parsed(tmp_path):
    folder = write_reviews(tmp_path)
    text = "{'asin': 'B9', 'title': broken\n" + "".join(f"{p!r}\n" for p in PRODUCTS)
    (folder / "meta_Baby.json.gz").write_bytes(gzip.compress(text.encode()))
    reviews = fetch_amazon_reviews("Baby", data_home=tmp_path, titles=True)
    assert reviews.item_names.tolist() == ["", PRODUCTS[0]["title"]]


def test_literals_of_the_titles_are_not_executed(tmp_path):
    folder = write_reviews(tmp_path)
    target = tmp_path / "executed"
    text = "{'asin': 'B1', 'title': open(%r, 'w')}\n" % str(target)  # noqa: UP031
    (folder / "meta_Baby.json.gz").write_bytes(gzip.compress(text.encode()))
    with pytest.raises(ValueError, match=r"Line 1 of .*meta_Baby.* is not a product"):
        fetch_amazon_reviews("Baby", data_home=tmp_path, titles=True)
    assert not target.exists()


@pytest.mark.parametrize(
    "bad",
    [
        {"reviewerID": "U2", "asin": "B1", "overall": 5.0},
        {"reviewerID": "U2", "asin": "B1", "overall": "5", "unixReviewTime": 1},
        {"reviewerID": "U2", "asin": "B1", "overall": 5.0, "unixReviewTime": None},
        ["U2", "B1"],
        "U2",
    ],
)
def test_error_names_the_line_that_is_not_a_review(tmp_path, bad):
    folder = write_reviews(tmp_path)
    text = "".join(json.dumps(line) + "\n" for line in [REVIEWS[0], bad])
    (folder / "reviews_Baby_5.json.gz").write_bytes(gzip.compress(text.encode()))
    with pytest.raises(ValueError, match=r"Line 2 of .*reviews_Baby_5.* is not a revi"):
        fetch_amazon_reviews("Baby", data_home=tmp_path)


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: b"<html>"])
def test_error_names_the_damaged_file(tmp_path, damage):
    path = write_reviews(tmp_path) / "reviews_Baby_5.json.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(
        ValueError, match=r"reviews_Baby_5.*not a complete gzip.*delete"
    ):
        fetch_amazon_reviews("Baby", data_home=tmp_path)


def test_missing_file_raises_oserror_if_download_is_disabled(tmp_path):
    with pytest.raises(OSError, match=r"reviews_Movies_and_TV_5\.json\.gz does not ex"):
        fetch_amazon_reviews(data_home=tmp_path, download_if_missing=False)


@pytest.mark.parametrize("titles", [True, False])
def test_only_the_required_files_are_downloaded(tmp_path, monkeypatch, titles):
    requests = []

    def fetch_file(url, folder, local_filename, max_bytes, sha256):
        requests.append(url.rpartition("/")[2])
        (tmp_path / "remote").mkdir(exist_ok=True)
        remote = write_reviews(tmp_path / "remote") / local_filename
        return remote.rename(folder / local_filename)

    monkeypatch.setattr("skvae.datasets._fetch.fetch_file", fetch_file)
    reviews = fetch_amazon_reviews("Baby", data_home=tmp_path, titles=titles)
    assert reviews.matrix.nnz == 3
    expected = ["reviews_Baby_5.json.gz", "meta_Baby.json.gz"]
    assert requests == expected[: 1 + titles]


def test_error_for_an_unknown_category_lists_the_known_ones():
    with pytest.raises(ValueError, match="'category' parameter.*'Books'"):
        fetch_amazon_reviews("Films")
