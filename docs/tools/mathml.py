"""Sphinx extension that writes formulas as MathML, which browsers show without scripts.

`html_math_renderer = "mathml"` selects it.
"""

import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)

# Fractions without braces, which docutils reads in another way than TeX.
BARE_FRACTION = re.compile(r"\\[td]?frac(?!\s*\{)|\\[td]?frac\s*\{[^{}]*\}\s*[^{\s]")
# Places of TeX's thin spaces around names of functions, which docutils leaves out.
BEFORE_FUNCTION = re.compile(r"(?<=[\w)\]}])\s*(?=\\(?:log|exp|min|max)\b)")
AFTER_FUNCTION = re.compile(r"(\\(?:log|exp))(?=\s*[A-Za-z\\])(?!\s*\\(?:bigl|left|,))")


def setup(app):
    """Register the renderer with Sphinx."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def visit_inline(translator, node):
    """Write an inline formula."""
    translator.body.append(to_mathml(node, as_block=False))
    raise nodes.SkipNode


def visit_block(translator, node):
    """Write a block formula, with its number if it has one."""
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    if node["number"]:
        number = get_node_equation_number(translator, node)
        translator.body.append(f'<span class="eqno">({number})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append(to_mathml(node, as_block=True))
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def to_mathml(node, *, as_block):
    """Convert the TeX of a node to MathML; warn if this is not possible."""
    tex = node.astext()
    if BARE_FRACTION.search(tex):
        logger.warning("write fractions with braces: %s", tex, location=node)
    tex = BEFORE_FUNCTION.sub(r" \\, ", tex)
    tex = AFTER_FUNCTION.sub(r"\1\\,", tex)
    try:
        return tex2mathml(tex, as_block=as_block)
    except MathError as error:
        logger.warning("formula: %s: %s", error, node.astext(), location=node)
        return f"<code>{nodes.unescape(node.astext())}</code>"
