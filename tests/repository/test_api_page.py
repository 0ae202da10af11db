"""The API reference lists all public objects and links to their pages."""

import importlib
import inspect
import pkgutil
import re

import pytest

import skvae
from docs.tools import api_page


def public_modules():
    """Modules whose names have no underscore and that have an `__all__`."""
    found = [skvae.__name__]
    for module in pkgutil.walk_packages(skvae.__path__, "skvae."):
        if not any(part.startswith("_") for part in module.name.split(".")):
            found.append(module.name)
    return {
        name for name in found if getattr(importlib.import_module(name), "__all__", ())
    }


def public_objects():
    """Full names of public classes and functions."""
    return sorted(
        f"{module}.{name}"
        for module in public_modules()
        for name in importlib.import_module(module).__all__
        if callable(getattr(importlib.import_module(module), name))
    )


def test_every_public_module_has_a_section():
    sections = {m for m in api_page.SECTIONS.values() if api_page.public_names(m)}
    assert public_modules() == sections


def test_every_public_object_is_listed_under_its_module():
    page = api_page.api_page()
    listed = []
    for section in page.split(".. currentmodule:: ")[1:]:
        module, *lines = section.splitlines()
        names = (line.strip() for line in lines if line.startswith("   "))
        listed += [f"{module}.{name}" for name in names if name.isidentifier()]
    assert sorted(listed) == public_objects()


def test_all_names_in_all_exist():
    for module in map(importlib.import_module, public_modules()):
        for name in module.__all__:
            assert hasattr(module, name)


def test_the_page_is_written_once(tmp_path):
    api_page.write_page(tmp_path)
    written = (tmp_path / "api.rst").stat().st_mtime_ns
    api_page.write_page(tmp_path)
    assert (tmp_path / "api.rst").stat().st_mtime_ns == written


@pytest.mark.slow
@pytest.mark.parametrize("name", public_objects())
def test_page_of_the_api_links_to_a_page_with_the_object(name, site):
    page = f"generated/{name}.html"
    assert f'href="{page}#{name}"' in (site / "api.html").read_text(encoding="utf-8")
    text = (site / page).read_text(encoding="utf-8")
    assert f'id="{name}"' in text
    module, _, name = name.rpartition(".")
    member = getattr(importlib.import_module(module), name)
    for parameter in inspect.signature(member).parameters:
        assert re.search(rf"<strong>[^<]*\b{parameter}\b", text), parameter
