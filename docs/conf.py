"""Settings of Sphinx. `make docs` builds the site without a network connection."""

from docutils import nodes

import skvae

project = "skvae"
author = "The skvae developers"
copyright = author
release = version = skvae.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "docs.tools.api_page",
    "docs.tools.mathml",
    "docs.tools.sklearn_links",
]
exclude_patterns = ["_build", "tools", "_templates", "examples", "images"]
templates_path = ["_templates"]
suppress_warnings = [
    "config.cache",  # the settings of the gallery contain an object
]

# Members inherited from scikit-learn are left out; its own site describes them.
autosummary_generate = True
autodoc_typehints = "none"
numpydoc_class_members_toctree = False

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"plot_",
    "abort_on_example_error": True,
    "capture_repr": ("_repr_html_",),  # other representations show addresses in memory
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("skvae",),
    "reference_url": {"skvae": None},  # links to this site only
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,  # its page loads scripts from other hosts
}

python_maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"
smartquotes = False  # quotes are used in code and in types
default_role = "literal"  # as the docstrings use single backquotes

html_theme = "pydata_sphinx_theme"
html_title = "skvae"
html_logo = "_static/logo.svg"
html_favicon = "_static/favicon.svg"
html_static_path = ["_static"]
html_css_files = ["skvae.css"]
html_copy_source = False
html_show_sourcelink = False
html_use_index = False  # the API reference lists the same names
html_domain_indices = False
html_theme_options = {
    "logo": {"text": "skvae"},
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_context = {"default_mode": "auto"}
html_sidebars = {
    page: []
    for page in (
        "index",
        "models",
        "performance",
        "contributing",
        "releasing",
        "changelog",
    )
}


def skip_inherited_from_sklearn(app, what, name, member, skip, options):
    """Leave out members that a class inherits from scikit-learn."""
    if what != "class" or skip:
        return None
    member = getattr(member, "fget", member)  # of a property
    return not str(getattr(member, "__module__", "skvae")).startswith("skvae")


def link_to_results(app, page, source):
    """Replace links to files of results by links to their pages."""
    source[0] = source[0].replace("](../benchmarks/results/", "](results/")


def link_to_releasing(app, path, page, source):
    """Replace the link to RELEASING.md in CONTRIBUTING.md by a link to its page."""
    source[0] = source[0].replace("](RELEASING.md)", "](releasing.md)")


def unlink_metrics(app, doctree):
    """Remove the mail links that docutils makes of names such as ndcg@100."""
    for reference in list(doctree.findall(nodes.reference)):
        if reference.get("refuri", "").startswith("mailto:"):
            reference.parent.replace(reference, reference.children)


def setup(app):
    """Connect the functions above to events of Sphinx."""
    app.connect("autodoc-skip-member", skip_inherited_from_sklearn)
    app.connect("source-read", link_to_results)
    app.connect("include-read", link_to_releasing)
    app.connect("doctree-read", unlink_metrics)
