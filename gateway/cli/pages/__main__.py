"""Write the generated pages into docs/ of the working directory."""

from pathlib import Path

from gateway.cli.pages import PAGES

for name, page in PAGES.items():
    path = Path("docs", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(), "utf-8")
