"""Write the generated pages into docs/ of the working directory."""

from pathlib import Path

from gateway.cli.pages import PAGES

for name, page in PAGES.items():
    Path("docs", name).write_text(page(), "utf-8")
