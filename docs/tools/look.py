"""Open every page of the built site in Chromium, and report its faults.

    make docs
    python -m docs.tools.look --pictures some/folder

Each page is opened in a wide and in a narrow window. Faults are elements wider than the
window, pictures that do not load, errors on the console or in scripts, missing files,
and requests to other hosts. Needs the Python package playwright. Chromium is searched
on the path; if there is none, that of playwright is used.
`tests/repository/test_browser.py` runs the same checks.
"""

import argparse
import shutil
import sys
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SITE = Path(__file__).resolve().parents[1] / "_build" / "html"
WIDTHS = {"desktop": 1400, "phone": 390}
HEIGHT = 900
# Folders of files that are not pages.
IGNORED = ("_static", "_modules", "_downloads")
# Measures by how much the page is wider than the window, and finds broken pictures and
# elements that are cut off at its edge (except those in containers that scroll).
MEASURE = """() => {
  const root = document.documentElement;
  // In a container that scrolls, or shortened by dots by the theme.
  const scrolls = element => element.closest("pre, div.math, .ellipsis, "
    + ".pst-scrollable-table-container") !== null;
  const range = document.createRange();
  const textEnd = node => {
    range.selectNode(node);
    return range.getBoundingClientRect().right;
  };
  const ends = element => [element.getBoundingClientRect().right,
    ...[...element.childNodes].filter(n => n.nodeType === 3 && n.data.trim())
      .map(textEnd)];
  const edge = element => {  // of the theme's column of text, which cuts off elements
    const column = element.closest(".bd-article-container");
    return column ? column.getBoundingClientRect().right : root.clientWidth;
  };
  const wide = [...document.querySelectorAll("main *, footer *")]
    .filter(e => e.offsetParent && !scrolls(e))
    .filter(e => Math.max(...ends(e)) > edge(e) + 1)
    .map(e => e.tagName + "." + e.className);
  const broken = [...document.images]
    .filter(i => i.complete && i.naturalWidth === 0).map(i => i.src);
  return {surplus: root.scrollWidth - root.clientWidth, wide, broken};
}"""


def chromium():
    """Return the path of a Chromium on this machine, or None."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


def page_names(site=SITE):
    """Return the pages of the site, as paths from its root."""
    found = (page.relative_to(site) for page in site.rglob("*.html"))
    return sorted(page.as_posix() for page in found if page.parts[0] not in IGNORED)


def faults(site=SITE, pictures=None, names=None):
    """Find the faults of pages in windows of all widths.

    Parameters
    ----------
    site : Path
        Folder of the built site.
    pictures : Path, default=None
        Folder for a picture of each page and width; None takes no pictures.
    names : list of str, default=None
        Pages; None for all.

    Yields
    ------
    fault : str
        Page, window, and fault.
    """
    from playwright.sync_api import sync_playwright

    with served(site) as address, sync_playwright() as playwright:
        options = {"executable_path": chromium(), "args": ["--no-sandbox"]}
        browser = playwright.chromium.launch(**options)
        for device, width in WIDTHS.items():
            context = browser.new_context(viewport={"width": width, "height": HEIGHT})
            page, reported = context.new_page(), []
            listen(page, address, reported)
            for name in names or page_names(site):
                reported.clear()
                page.goto(f"{address}/{name}", wait_until="load")
                wrong = reported + measured(page)
                yield from (f"{name}, {device}: {fault}" for fault in wrong)
                if pictures:
                    take_picture(page, Path(pictures), f"{device}-{name}")
            context.close()
        browser.close()


def listen(page, address, reported):
    """Append the faults that a page reports to the list `reported`."""

    def on_response(response):
        if response.status >= 400:
            reported.append(f"{response.status} for {response.url}")

    def on_request(request):
        if not request.url.startswith((address, "data:")):
            reported.append(f"request to {request.url}")

    def on_console(message):
        if message.type in ("error", "warning"):
            reported.append(f"console: {message.text}")

    page.on("response", on_response)
    page.on("request", on_request)
    page.on("console", on_console)
    page.on("pageerror", lambda error: reported.append(f"script: {error}"))


def measured(page):
    """Return the faults in the layout of a page."""
    # By default pictures below the window are loaded only when they are scrolled to.
    page.evaluate("[...document.images].forEach(i => i.loading = 'eager')")
    page.wait_for_load_state("networkidle")
    layout, wrong = page.evaluate(MEASURE), []
    if layout["surplus"] > 0 or layout["wide"]:
        places = ", ".join(layout["wide"][:5])
        wrong.append(f"page {layout['surplus']} px too wide; beyond the edge: {places}")
    return wrong + [f"broken picture {source}" for source in layout["broken"]]


def take_picture(page, folder, name):
    """Write a picture of the page, at most 6,000 pixels high."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / (name.replace("/", "-").removesuffix(".html") + ".png")
    size = page.viewport_size
    height = min(page.evaluate("document.documentElement.scrollHeight"), 6000)
    page.set_viewport_size({"width": size["width"], "height": height})
    page.screenshot(path=target)
    page.set_viewport_size(size)


@contextmanager
def served(site):
    """Serve a folder on this machine: a context manager that yields the address."""
    handler = partial(QuietHandler, directory=str(site))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class QuietHandler(SimpleHTTPRequestHandler):
    """Handler that logs nothing."""

    def log_message(self, *_):
        """Log nothing."""


def main(arguments=None):
    """Run the command line; return 1 if there are faults."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "pages", nargs="*", help="such as guide/tune.html; default: all"
    )
    parser.add_argument("--site", type=Path, default=SITE)
    parser.add_argument("--pictures", type=Path, help="folder to write pictures to")
    options = parser.parse_args(arguments)
    found = 0
    for fault in faults(options.site, options.pictures, options.pages):
        print(fault, flush=True)
        found += 1
    print(f"{found} faults")
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
