"""docs/llms.txt: the pages of docs/index.md as a list for language models (https://llmstxt.org)."""

import re
from collections.abc import Iterator
from pathlib import Path

INDEX = Path(__file__).parents[3] / "docs" / "index.md"
_SECTION = re.compile(r"^## (\w+)\n(.*?)(?=^## |\Z)", re.M | re.S)
_ROW = re.compile(r"^\| (\[.*?) \| (.*?) \|$", re.M)
_LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")


def page() -> str:
    """Return docs/llms.txt, from docs/index.md in a checkout."""
    text = INDEX.read_text("utf-8")
    title, _, rest = text.partition("\n\n")
    summary = " ".join(rest.partition("\n\n")[0].split())
    return "\n".join([title, "", f"> {summary}", *_lists(text)]) + "\n"


def _lists(text: str) -> Iterator[str]:
    """Yield a heading and a list for each section of the index that has a table of pages."""
    for heading, body in _SECTION.findall(text):
        rows = _ROW.findall(body)
        if rows:
            yield from ("", f"## {heading}", "")
        for links, description in rows:
            plain = _LINK.sub(r"\1", description)
            yield from (f"- [{title}]({path}): {plain}" for title, path in _LINK.findall(links))
