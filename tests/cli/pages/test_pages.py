"""Generated pages of docs/ equal what the code says."""

import pytest

from gateway.cli.pages import PAGES
from tests.support.paths import ROOT


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_what_make_docs_writes(name: str) -> None:
    assert (ROOT / "docs" / name).read_text("utf-8") == PAGES[name](), "run `make docs`"
