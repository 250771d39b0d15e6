"""docs/index.md links every page, and the Chinese pages have the code of the English ones."""

import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT

DOCS = ROOT / "docs"
GROUPS = ("clients", "mapping")
"""Folders with a list of their own."""


def test_each_page_is_linked_from_the_index() -> None:
    links = set(re.findall(r"\]\(([\w./-]+\.md)\)", (DOCS / "index.md").read_text("utf-8")))
    pages = {
        str(page.relative_to(DOCS))
        for page in DOCS.rglob("*.md")
        if page.parent.name not in GROUPS and "zh" not in page.parts
    }

    assert pages - {"index.md"} - links == set()


def code(page: Path) -> list[str]:
    return re.findall(r"^((?:<!-- block: \w+ -->\n)?```\w*\n.*?^```)", page.read_text("utf-8"), re.M | re.S)


@pytest.mark.parametrize("page", sorted((DOCS / "start").glob("*.md")), ids=lambda page: str(page.name))
def test_a_chinese_page_has_the_code_of_the_english_one(page: Path) -> None:
    chinese = DOCS / "zh" / "start" / page.name

    assert code(chinese) == code(page)
    assert re.search("[\u4e00-\u9fff]", chinese.read_text("utf-8"))


def test_the_chinese_readme_has_the_code_of_the_english_one() -> None:
    assert code(ROOT / "README.zh-CN.md") == code(ROOT / "README.md") != []
