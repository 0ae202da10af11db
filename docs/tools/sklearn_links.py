"""Links to the pages of scikit-learn's classes and functions, made without a network.

A Sphinx extension. Their addresses follow from their names, so no inventory is fetched.
"""

import importlib
import inspect

from docutils import nodes

PAGE = "https://scikit-learn.org/stable/modules/generated/{}.html"


def setup(app):
    """Offer the links for references that Sphinx does not find."""
    app.connect("missing-reference", link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def link(app, env, node, content):
    """Make a reference to a public class or function of scikit-learn, or nothing."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not is_public(target):
        return None
    reference = nodes.reference("", "", internal=False, refuri=PAGE.format(target))
    reference += content
    return reference


def is_public(name):
    """Whether this is the full name of a class or function of scikit-learn."""
    module, _, member = name.rpartition(".")
    if not module.startswith("sklearn") or "_" in (module[0], member[:1]):
        return False
    try:
        value = getattr(importlib.import_module(module), member)
    except (ImportError, AttributeError):
        return False
    return inspect.isclass(value) or inspect.isfunction(value)
