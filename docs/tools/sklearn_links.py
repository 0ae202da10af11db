"""Sphinx extension that links to the pages of scikit-learn's classes and functions.

The addresses are made from the names, so that no inventory has to be downloaded.
"""

import importlib
import inspect

from docutils import nodes

PAGE = "https://scikit-learn.org/stable/modules/generated/{}.html"


def setup(app):
    """Resolve references that Sphinx does not find."""
    app.connect("missing-reference", link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def link(app, env, node, content):
    """Link to a public class or function of scikit-learn; None for other targets."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not is_public(target):
        return None
    reference = nodes.reference("", "", internal=False, refuri=PAGE.format(target))
    reference += content
    return reference


def is_public(name):
    """Whether `name` is the full name of a class or function of scikit-learn."""
    module, _, member = name.rpartition(".")
    if not module.startswith("sklearn") or "_" in (module[0], member[:1]):
        return False
    try:
        value = getattr(importlib.import_module(module), member)
    except (ImportError, AttributeError):
        return False
    return inspect.isclass(value) or inspect.isfunction(value)
