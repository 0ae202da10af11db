"""Open every page of the built site in Chromium, and say what is wrong with it.

    make docs
    python -m docs.tools.look --pictures some/folder

In a wide window and a narrow one. Wrong are: what is wider than the window, pictures
that do not load, errors on the console or in scripts, files that are not there, and
anything asked of another host. Needs the Python package playwright; a Chromium is
looked for on the path, and else the one of playwright is taken.
`tests/docs/test_browser.py` does the same.
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
# Files that are no pages of their own.
IGNORED = ("_static", "_modules", "_downloads")
# How far the page is wider than the window, what reaches out of the window or is cut
# off at its edge (but for what can be scrolled to), and broken pictures.
MEASURE = """() => {
  const root = document.documentElement;
  // What can be scrolled to, and what the theme shortens by dots.
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
  const edge = element => {  // of the theme's column of text, which cuts off too
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
    """Path of a Chromium on this machine, or None."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


def page_names(site=SITE):
    """Pages of the site, as paths from its root."""
    found = (page.relative_to(site) for page in site.rglob("*.html"))
    return sorted(page.as_posix() for page in found if page.parts[0] not in IGNORED)


def faults(site=SITE, pictures=None, names=None):
    """Look at pages in every width.

    Parameters
    ----------
    site : Path
        Folder of the built site.
    pictures : Path, default=None
        Folder for a picture of each page and width; None takes none.
    names : list of str, default=None
        Pages; None for all.

    Yields
    ------
    fault : str
        Page, width, and what is wrong.
    """
    from playwright.sync_api import sync_playwright

    with served(site) as address, sync_playwright() as playwright:
        options = {"executable_path": chromium(), "args": ["--no-sandbox"]}
        browser = playwright.chromium.launch(**options)
        for device, width in WIDTHS.items():
            context = browser.new_context(viewport={"width": width, "height": HEIGHT})
            page, heard = context.new_page(), []
            listen(page, address, heard)
            for name in names or page_names(site):
                heard.clear()
                page.goto(f"{address}/{name}", wait_until="load")
                wrong = heard + measured(page)
                yield from (f"{name}, {device}: {fault}" for fault in wrong)
                if pictures:
                    take_picture(page, Path(pictures), f"{device}-{name}")
            context.close()
        browser.close()


def listen(page, address, heard):
    """Have faults that a page reports put into the list `heard`."""

    def on_response(response):
        if response.status >= 400:
            heard.append(f"{response.status} for {response.url}")

    def on_request(request):
        if not request.url.startswith((address, "data:")):
            heard.append(f"asks for {request.url}")

    def on_console(message):
        if message.type in ("error", "warning"):
            heard.append(f"console: {message.text}")

    page.on("response", on_response)
    page.on("request", on_request)
    page.on("console", on_console)
    page.on("pageerror", lambda error: heard.append(f"script: {error}"))


def measured(page):
    """Faults that show in the layout of a page."""
    # Pictures further down load only when they come into sight.
    page.evaluate("[...document.images].forEach(i => i.loading = 'eager')")
    page.wait_for_load_state("networkidle")
    layout, wrong = page.evaluate(MEASURE), []
    if layout["surplus"] > 0 or layout["wide"]:
        places = ", ".join(layout["wide"][:5])
        wrong.append(f"page {layout['surplus']} px too wide; beyond the edge: {places}")
    return wrong + [f"broken picture {source}" for source in layout["broken"]]


def take_picture(page, folder, name):
    """Write a picture of the whole page, cut where it gets very long."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / (name.replace("/", "-").removesuffix(".html") + ".png")
    size = page.viewport_size
    height = min(page.evaluate("document.documentElement.scrollHeight"), 6000)
    page.set_viewport_size({"width": size["width"], "height": height})
    page.screenshot(path=target)
    page.set_viewport_size(size)


@contextmanager
def served(site):
    """Serve a folder on this machine; gives the address."""
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
    """Serves without a word."""

    def log_message(self, *_):
        """Say nothing."""


def main(arguments=None):
    """Run the command line; return 1 if anything is wrong."""
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
