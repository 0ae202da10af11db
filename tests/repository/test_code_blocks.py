"""The Python blocks of the pages run and print the output shown there."""

import re
from collections import Counter

import pytest
import torch

from docs.tools import code_blocks
from docs.tools.code_blocks import DOCS, blocks, pages, run_page, same_output

# Number of blocks that are not run with their pages, by mark. Those that need a cluster
# or processes run in tests/distributed.
NOT_RUN = {
    "coming_from.md": {"environment": 4},
    "guide/distributed.md": {"cluster": 7, "processes": 5, "environment": 1},
    "guide/scale.md": {"GPU": 1},
}


def page_name(page):
    return page.relative_to(DOCS).as_posix()


def shows_python(page):
    return "```python" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "page", [page for page in pages() if shows_python(page)], ids=page_name
)
def test_blocks_run_and_print_the_output_of_the_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    n_run, n_threads = 0, torch.get_num_threads()
    try:
        for block, printed in run_page(page):
            shown = block.output or ""
            assert same_output(shown, printed), f"line {block.line}: {printed}"
            n_run += 1
    finally:
        torch.set_num_threads(n_threads)  # a page sets another number
    assert n_run


@pytest.mark.parametrize("page", pages(), ids=page_name)
def test_blocks_that_are_not_run_are_counted(page):
    found = blocks(page.read_text(encoding="utf-8"))
    marks = Counter(block.mark for block in found if block.mark)
    assert marks == NOT_RUN.get(page_name(page), {})


@pytest.mark.parametrize("page", pages(), ids=page_name)
def test_all_python_blocks_are_tested(page):
    text = page.read_text(encoding="utf-8")
    shown = re.findall(r"python$|^\s*>>> ", text, flags=re.MULTILINE)
    fences = [
        line for line in text.splitlines() if re.match(r"\s*[`:~]{3,}.*pyth", line)
    ]
    assert len(blocks(text)) == len(fences) == len(shown)


def test_outputs_are_compared_number_by_number():
    assert same_output("NDCG 0.50, 7 users", "NDCG 0.51,  7 users\n")
    assert not same_output("NDCG 0.50, 7 users", "NDCG 0.50, 8 users")
    assert not same_output("NDCG 0.50", "NDCG 0.60")
    assert not same_output("NDCG 0.50", "Recall 0.50")
    assert not same_output("", "0.50")


def test_outputs_are_written_below_their_blocks(tmp_path):
    page = tmp_path / "page.md"
    before = "# A\n\n```python\nprint(1 + 1)\n```\n\n```output\n?\n```\n\nEnd.\n"
    page.write_text(before, encoding="utf-8")
    code_blocks.write_outputs(page, list(run_page(page)))
    assert page.read_text(encoding="utf-8") == before.replace("?", "2")
