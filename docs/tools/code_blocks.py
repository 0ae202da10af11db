"""Run the Python that the pages show, and compare or write what it prints.

    python -m docs.tools.code_blocks             # run all pages
    python -m docs.tools.code_blocks --write     # and put what they print into them

Blocks of a page run one after the other, as a reader would run them. A fenced block
`output` after one of `python` is what that prints. A block whose first line is one of
`MARKS` is not run, and says so to the reader.
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
# How the first line of a block begins that is not run with its page -> why it is not.
MARKS = {
    "# Needs the network": "network",
    "# Needs a GPU": "GPU",
    "# Needs a file of yours": "file",
    "# In an environment of its own": "environment",
}
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:e[-+]?\d+)?")
# Training differs in the last bits between machines, which a whole fit makes more of.
RELATIVE, ABSOLUTE = 0.05, 0.02


class Block(NamedTuple):
    """A block of Python in a page.

    Attributes
    ----------
    code : str
        What it shows.
    line : int
        Its first line in the page, counted from 1.
    output : str or None
        What the page says that it prints.
    place : tuple of int or None
        Where the text of the page holds that.
    mark : str or None
        Why it is not run, a value of `MARKS`.
    """

    code: str
    line: int
    output: str | None
    place: tuple | None
    mark: str | None


def pages():
    """Pages of the site that are written by hand, and so may show Python."""
    folders = (DOCS, DOCS / "guide")
    return sorted(page for folder in folders for page in folder.glob("*.md"))


def blocks(text):
    """Find the blocks of Python in the text of a page: list of Block."""
    found = []
    fences = list(FENCE.finditer(text))
    for number, fence in enumerate(fences):
        if fence[1] != "python":
            continue
        follower = fences[number + 1] if number + 1 < len(fences) else None
        output = place = None
        if follower and follower[1] == "output":
            if text[fence.end() : follower.start()].strip():
                raise ValueError(f"Words stand before the output {follower[2]!r}.")
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
        The page; the working folder is left as it is, so choose an empty one.

    Yields
    ------
    block : Block
        One that was run.
    printed : str
        What it printed.
    """
    names = {"__name__": "__main__"}
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.mark:
            continue
        # So that errors show the line of the page.
        source = "\n" * (block.line - 1) + block.code
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(source, str(page), "exec"), names)
        yield block, printed.getvalue()


def same_output(shown, printed):
    """Whether two texts agree: words and whole numbers exactly, others nearly."""
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
    """Put what the blocks printed in place of what the page says that they print."""
    text = page.read_text(encoding="utf-8")
    for block, output in reversed(printed):
        if block.place:
            start, end = block.place
            text = text[:start] + output + text[end:]
    page.write_text(text, encoding="utf-8")


def main(arguments=None):
    """Run the command line; return 1 where a page does not print what it shows."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pages", nargs="*", type=Path, help="default: all")
    parser.add_argument("--write", action="store_true", help="put the outputs in")
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
