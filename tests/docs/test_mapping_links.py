"""Every link between the pages leads somewhere, and no page names a page that is not in the repository."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]

_FENCE = re.compile(r"^```.*?^```", re.M | re.S)
_LINK = re.compile(r"\]\(<?([^()\s>]+)>?(?:\s+\"[^\"]*\")?\)")
_REFERENCE = re.compile(r"^\[[^\]]+\]:\s*<?([^\s>]+)", re.M)
_OUTSIDE = re.compile(r"[a-z][a-z0-9+.-]*:", re.I)
_URL = re.compile(r"https?://[^\s)>]+")
_PAGE_NAME = re.compile(r"[\w./-]*\w\.md\b")
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.M)


def broken_links(page: Path, root: Path) -> list[str]:
    """Return the relative links of a page whose file or heading does not exist below `root`."""
    return [link for link in _links(page) if not _leads_somewhere(link, page, root)]


def missing_pages(page: Path, root: Path) -> list[str]:
    """Return the Markdown files that a page names and that are neither beside it nor below `root`; a bare name may be of any folder of docs/."""
    text = _URL.sub("", page.read_text())
    bases = (page.parent, root, root / "docs")
    bare = {path.name for path in (root / "docs").rglob("*.md")}
    return [
        name
        for name in _PAGE_NAME.findall(text)
        if name not in bare and not any((base / name).is_file() for base in bases)
    ]


def _links(page: Path) -> Iterator[str]:
    text = _FENCE.sub("", page.read_text())
    for pattern in (_LINK, _REFERENCE):
        yield from (link for link in pattern.findall(text) if not _OUTSIDE.match(link))


def _leads_somewhere(link: str, page: Path, root: Path) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists() or not target.is_relative_to(root.resolve()):
        return False
    return not anchor or target.suffix != ".md" or anchor in _anchors(target)


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, made by GitHub's rule: lower case, no punctuation, `-` for blanks."""
    anchors: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", page.read_text())):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        number = 0
        while (f"{anchor}-{number}" if number else anchor) in anchors:
            number += 1
        anchors.add(f"{anchor}-{number}" if number else anchor)
    return anchors


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    assert broken_links(page, ROOT) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_a_page_that_is_not_there(page: Path) -> None:
    assert missing_pages(page, ROOT) == []


def test_each_page_of_the_mapping_is_in_its_index() -> None:
    index = ROOT / "docs" / "refer" / "mapping" / "README.md"
    pages = {page.name for page in index.parent.glob("*.md")} - {index.name}

    assert pages - set(_links(index)) == set()


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# One thing: `a`\n\n## Same\n\n## Same\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](there.md) [b](there.md#one-thing-a) [c](#own) [d](there.md#same-1) [e](https://example.com/x.md)\n"
        "[f](gone.md) [g](there.md#gone) [h](#gone) [i](../outside.md) [j][k]\n\n# Own\n\n[k]: gone.txt\n"
        "```\n[l](in-code.md)\n```\n"
    )
    (tmp_path.parent / "outside.md").write_text("")

    assert broken_links(page, tmp_path) == ["gone.md", "there.md#gone", "#gone", "../outside.md", "gone.txt"]


def test_a_name_of_a_missing_page_is_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("")
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text("See there.md, page.md, docs/page.md, `gone.md` and https://example.com/other.md.\n")

    assert missing_pages(page, tmp_path) == ["gone.md"]


def test_each_page_that_code_and_configuration_name_exists() -> None:
    """Messages, comments and docstrings name pages by their path from the root."""
    named = [
        (path, name)
        for folder in ("gateway", "config", "systemd", "tests", "bench")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".yaml", ".yml", ".sh", ".service", "")
        and path.is_file()
        and "node_modules" not in path.parts
        and path.name != Path(__file__).name
        for name in re.findall(
            r"(?<![\w/.*])docs/[\w/-]+\.(?:md|yml|json|txt)\b", path.read_text("utf-8", "replace")
        )
    ]

    assert len(named) > 30
    assert [f"{path.relative_to(ROOT)}: {name}" for path, name in named if not (ROOT / name).exists()] == []
