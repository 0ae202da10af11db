"""Every link, picture and script of the built site exists."""

from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest


class Page(HTMLParser):
    """References and anchors of a page."""

    def __init__(self, path):
        super().__init__()
        self.references, self.anchors = [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors.update(
            attributes[key] for key in ("id", "name") if key in attributes
        )
        self.references += [
            attributes[key] for key in ("href", "src") if key in attributes
        ]


def broken_references(site):
    """Return the number of references within the site, and the broken ones."""
    paths = [path.resolve() for path in site.rglob("*.html")]
    read = {path: Page(path) for path in paths if "_static" not in path.parts}
    n_checked, broken = 0, []
    for path, page in read.items():
        for reference in page.references:
            parts = urlsplit(reference)
            if parts.scheme or parts.netloc:
                continue
            n_checked += 1
            target = path
            if parts.path:
                target = (path.parent / unquote(parts.path)).resolve()
            anchor = unquote(parts.fragment)
            if not target.is_file():
                broken.append(f"{path.name}: no file {reference}")
            elif anchor and target in read and anchor not in read[target].anchors:
                broken.append(f"{path.name}: no anchor {reference}")
    return n_checked, broken


@pytest.mark.slow
def test_all_references_within_the_site_resolve(site):
    n_checked, broken = broken_references(site)
    assert n_checked > 1000
    assert not broken, "\n".join(sorted(set(broken)))


def test_broken_links_are_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<a href="b.html#here">1</a><a href="b.html#gone">2</a><img src="c.png">'
        '<a href="#top">3</a><a href="https://example.org/gone">4</a>'
    )
    (tmp_path / "b.html").write_text('<p id="here">')
    n_checked, broken = broken_references(tmp_path)
    assert n_checked == 4
    assert broken == [
        "a.html: no anchor b.html#gone",
        "a.html: no file c.png",
        "a.html: no anchor #top",
    ]
