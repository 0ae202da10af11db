"""Run the Python blocks of the pages, and compare or update their outputs.

    python -m docs.tools.code_blocks             # run all pages
    python -m docs.tools.code_blocks --write     # and update the outputs in the pages

The blocks of a page run in order, as a reader would run them. A fenced block `output`
after a block `python` shows what the latter prints. A block whose first line begins
with one of `MARKS` is not run.
"""

import argparse
import contextlib
import io
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).resolve().parents[1]
# Start of the first line of a block that is not run with its page -> the reason.
MARKS = {
    "# Needs the network": "network",
    "# Needs a GPU": "GPU",
    "# Needs your own file": "file",
    "# In an environment of its own": "environment",
    "# Needs several processes": "processes",
}
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:e[-+]?\d+)?")
# Fits on different machines differ in the last bits, which training amplifies.
RELATIVE, ABSOLUTE = 0.05, 0.02


class Block(NamedTuple):
    """A Python block of a page.

    Attributes
    ----------
    code : str
        The code.
    line : int
        Number of its first line in the page, counted from 1.
    output : str or None
        Output that the page shows.
    place : tuple of int or None
        Start and end of this output in the text of the page.
    mark : str or None
        Reason why it is not run, a value of `MARKS`.
    """

    code: str
    line: int
    output: str | None
    place: tuple | None
    mark: str | None


def pages():
    """Return the pages that are written by hand, which may have Python blocks."""
    folders = (DOCS, DOCS / "guide")
    return sorted(page for folder in folders for page in folder.glob("*.md"))


def blocks(text):
    """Find the Python blocks in the text of a page: list of Block."""
    found = []
    fences = list(FENCE.finditer(text))
    for number, fence in enumerate(fences):
        if fence[1] != "python":
            continue
        follower = fences[number + 1] if number + 1 < len(fences) else None
        output = place = None
        if follower and follower[1] == "output":
            if text[fence.end() : follower.start()].strip():
                raise ValueError(
                    f"There is text between a block and its output {follower[2]!r}."
                )
            output, place = follower[2], follower.span(2)
        line = text.count("\n", 0, fence.start(2)) + 1
        first = fence[2].split("\n", 1)[0]
        mark = next(
            (why for sign, why in MARKS.items() if first.startswith(sign)), None
        )
        found.append(Block(fence[2], line, output, place, mark))
    return found


def run_page(page):
    """Run the blocks of a page in one namespace and folder.

    Parameters
    ----------
    page : Path
        The page. Its blocks may write files to the working folder.

    Yields
    ------
    block : Block
        A block that was run.
    printed : str
        Its output.
    """
    names = {"__name__": "__main__"}
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.mark:
            continue
        # With these empty lines, errors show line numbers of the page.
        source = "\n" * (block.line - 1) + block.code
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(source, str(page), "exec"), names)
        yield block, printed.getvalue()


def same_output(shown, printed):
    """Whether two outputs agree: words and integers exactly, floats approximately."""
    if NUMBER.sub("#", shown).split() != NUMBER.sub("#", printed).split():
        return False
    pairs = zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=True)
    return all(_same_number(*pair) for pair in pairs)


def _same_number(shown, printed):
    if "." not in shown + printed:
        return int(float(shown)) == int(float(printed))
    shown, printed = float(shown), float(printed)
    return abs(shown - printed) <= max(ABSOLUTE, RELATIVE * abs(printed))


def write_outputs(page, printed):
    """Replace the outputs in a page by what its blocks printed."""
    text = page.read_text(encoding="utf-8")
    for block, output in reversed(printed):
        if block.place:
            start, end = block.place
            text = text[:start] + output + text[end:]
    page.write_text(text, encoding="utf-8")


def main(arguments=None):
    """Run the command line; return 1 if a page prints something else than it shows."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pages", nargs="*", type=Path, help="default: all")
    parser.add_argument("--write", action="store_true", help="update the outputs")
    options = parser.parse_args(arguments)
    start, wrong = Path.cwd(), 0
    for page in [page.resolve() for page in options.pages] or pages():
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                printed = list(run_page(page))
            finally:
                os.chdir(start)
        for block, output in printed:
            if not same_output(block.output or "", output):
                print(f"{page}:{block.line} prints\n{output}")
                wrong += not (options.write and block.place)
        if options.write:
            write_outputs(page, printed)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
