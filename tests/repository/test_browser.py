"""In a browser no page is too wide or broken, or loads files of other hosts."""

import pytest

from docs.tools import look


def browser_or_skip():
    pytest.importorskip("playwright", reason="playwright is not installed")
    if look.chromium() is None:
        pytest.skip("no Chromium on the path")


@pytest.mark.slow
def test_pages_have_no_faults_on_a_desktop_or_a_phone(site):
    browser_or_skip()
    assert len(look.page_names(site)) > 40
    faults = list(look.faults(site))
    assert not faults, "\n".join(faults)


@pytest.mark.slow
def test_faults_are_found(tmp_path):
    browser_or_skip()
    (tmp_path / "wide.html").write_text(
        "<main><p style='width: 2000px'>wide</p></main>"
    )
    (tmp_path / "cut.html").write_text(
        "<body style='overflow-x: hidden'><main style='overflow-x: clip'>"
        f"<h1>{'long' * 100}</h1></main>"
    )
    (tmp_path / "picture.html").write_text("<main><img src='gone.png'></main>")
    (tmp_path / "script.html").write_text("<main></main><script>gone()</script>")
    (tmp_path / "host.html").write_text(
        "<main><img src='http://127.0.0.2:9/picture.png'></main>"
    )
    (tmp_path / "fine.html").write_text(
        "<link rel='icon' href='data:,'>"
        "<main><pre style='overflow-x: auto'><p style='width: 2000px'>scrolls</p></pre>"
        "</main>"
    )
    faults = list(look.faults(tmp_path))
    for device in look.WIDTHS:
        for name, fault in [
            ("wide", "px too wide"),
            ("cut", "beyond the edge: H1"),
            ("picture", "404"),
            ("picture", "broken picture"),
            ("script", "gone is not defined"),
            ("host", "request to http://127.0.0.2:9"),
        ]:
            start = f"{name}.html, {device}"
            assert any(f.startswith(start) and fault in f for f in faults), (
                start,
                fault,
            )
    assert not [fault for fault in faults if fault.startswith("fine")]
