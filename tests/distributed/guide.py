"""The Python blocks of the page "Beyond one machine", to run them on real engines."""

from docs.tools.code_blocks import DOCS, blocks

BLOCKS = blocks((DOCS / "guide" / "distributed.md").read_text(encoding="utf-8"))


def run_blocks(names, *contents):
    """Run the blocks that contain these texts, after those that any page runs."""
    chosen = [block for block in BLOCKS if block.mark is None]
    for content in contents:
        (block,) = [each for each in BLOCKS if content in each.code]
        chosen.append(block)
    for block in chosen:
        exec(compile(block.code, f"distributed.md:{block.line}", "exec"), names)
    return names


def script(content):
    """The code of the block that contains this text."""
    (block,) = [each for each in BLOCKS if content in each.code]
    return block.code
