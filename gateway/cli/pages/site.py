"""Copy docs/ for the website: `python gateway/cli/pages/site.py FOLDER [REPOSITORY]`; `make site` prints it.

Pages read well in the repository, where they link to its files. On the website a link out of docs/ leads into the
repository, if its address is given, and else is its text alone.
"""

import re
import shutil
import sys
from pathlib import Path

_FENCE = re.compile(r"^```.*?^```", re.M | re.S)
_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])+)\]\(<?(\.\.?/[^()\s>#]+)(#[^()\s>]*)?>?\)")


def site_page(text: str, page: Path, docs: Path, repository: str = "") -> str:
    """Return a page of docs/ without links to files outside docs/."""
    root = docs.parent.resolve()

    def link(match: re.Match[str]) -> str:
        target = (page.parent / match[2]).resolve()
        if target.is_relative_to(docs.resolve()):
            return match[0]
        url = f"{repository}/blob/main/{target.relative_to(root)}{match[3] or ''}"
        return f"[{match[1]}]({url})" if repository else match[1]

    parts, end = [], 0
    for fence in _FENCE.finditer(text):
        parts += [_LINK.sub(link, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, _LINK.sub(link, text[end:])])


def copy(folder: Path, repository: str = "") -> None:
    """Replace the folder by the pages of docs/ in the working directory, and the configuration of the website."""
    docs = Path("docs")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(docs, folder / "pages")
    shutil.copy("config/site/mkdocs.yml", folder)
    for page in docs.rglob("*.md"):
        text = site_page(page.read_text("utf-8"), page, docs, repository.rstrip("/"))
        (folder / "pages" / page.relative_to(docs)).write_text(text, "utf-8")


if __name__ == "__main__":
    copy(Path(sys.argv[1]), *sys.argv[2:3])
