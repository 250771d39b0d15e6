"""The copy of docs/ for the website: every page in its navigation, no link that leaves it."""

import re
from pathlib import Path

import pytest
import yaml

from gateway.cli.pages.site import copy, site_page
from tests.support.paths import ROOT

DOCS = ROOT / "docs"
SITE = yaml.safe_load((ROOT / "config" / "site" / "mkdocs.yml").read_text("utf-8"))
TEXT = "[a](../b.md) [c](../../README.md#x) [`d`](../../gateway/plugin.py)\n```\n[e](../../f)\n```\n[g](https://h/../i)"


def test_links_out_of_docs_become_text_and_code_stays() -> None:
    text = site_page(TEXT, DOCS / "start" / "try.md", DOCS)

    assert text == "[a](../b.md) c `d`\n```\n[e](../../f)\n```\n[g](https://h/../i)"


def test_links_out_of_docs_lead_into_the_repository_if_it_is_named() -> None:
    text = site_page(TEXT, DOCS / "start" / "try.md", DOCS, "https://example.com/r")

    assert "[c](https://example.com/r/blob/main/README.md#x)" in text
    assert "[`d`](https://example.com/r/blob/main/gateway/plugin.py)" in text


def test_no_link_of_the_copy_leaves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    copy(tmp_path / "site")
    pages = tmp_path / "site" / "pages"
    links = [
        (page, link)
        for page in pages.rglob("*.md")
        for link in re.findall(r"\]\(<?((?:\.\./)[^()\s>#]+)", re.sub(r"(?ms)^```.*?^```", "", page.read_text("utf-8")))
    ]  # fmt: skip

    assert len(links) > 50
    assert [link for page, link in links if not (page.parent / link).resolve().is_relative_to(pages)] == []
    assert [link for page, link in links if not (page.parent / link).exists()] == []
    assert (tmp_path / "site" / "mkdocs.yml").is_file()


def entries(value: object) -> list[str]:
    if isinstance(value, dict):
        return entries(list(value.values()))
    return [entry for item in value for entry in entries(item)] if isinstance(value, list) else [str(value)]


def test_the_navigation_has_every_page_but_those_of_lists() -> None:
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    listed = {page for page in pages if re.match(r"(clients|refer/mapping)/(?!README)", page)}

    assert sorted(entries(SITE["nav"])) == sorted(pages - listed)


def test_no_font_of_another_host_is_used() -> None:
    assert SITE["theme"]["font"] is False
