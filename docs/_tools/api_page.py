"""The page of the API, made from what the modules say is public.

A Sphinx extension: it writes `api.rst` beside `conf.py` before the pages are read.
"""

import importlib
import inspect
from pathlib import Path

# Title of a section -> the modules in it, in the order of the page.
SECTIONS = {
    "Estimators, saving and loading": "skvae",
    "Ranking metrics and scorers": "skvae.metrics",
    "Holding out and ranking": "skvae.model_selection",
    "Data": "skvae.datasets",
    "Displays": "skvae.inspection",
    "Checks for recommenders of your own": "skvae.utils.estimator_checks",
}

HEAD = """\
.. This page is written by docs/_tools/api_page.py.

API reference
=============

All that is public: what the modules below have in their ``__all__``. Names that begin
with an underscore, and the torch modules of ``skvae.nn``, may change without notice.
"""

SECTION = """
{title}
{underline}

.. automodule:: {module}

.. currentmodule:: {module}

.. autosummary::
   :toctree: generated/
   :nosignatures:

"""


def setup(app):
    """Have the page written when Sphinx starts."""
    app.connect("config-inited", lambda app, _: write_page(Path(app.srcdir)))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_page(folder):
    """Write `api.rst` into a folder, unless it is there as it would be written."""
    page, text = folder / "api.rst", api_page()
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


def api_page():
    """Give the reST of the page."""
    sections = [
        SECTION.format(title=title, underline="-" * len(title), module=module)
        + "".join(f"   {name}\n" for name in names)
        for title, module in SECTIONS.items()
        if (names := public_names(module))
    ]
    return HEAD + "".join(sections)


def public_names(module):
    """Names of the classes and functions in a module's `__all__`, classes first."""
    module = importlib.import_module(module)
    members = {name: getattr(module, name) for name in getattr(module, "__all__", ())}
    names = [name for name, member in members.items() if callable(member)]
    return sorted(names, key=lambda name: (not inspect.isclass(members[name]), name))
