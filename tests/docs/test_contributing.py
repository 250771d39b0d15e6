"""CONTRIBUTING.md: its recipes name few files, all of which exist, and its commands are the Makefile's."""

import re
from typing import Any

import aiohttp
import pytest

from gateway.server.plugin_loader import BUILT_IN
from tests.support.paths import ROOT
from tests.support.servers import Fake, Serve

PAGE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
RECIPES = dict(re.findall(r"^## Recipe: (.+?)\n(.*?)(?=^## )", PAGE, re.M | re.S))
MOST_FILES = 8


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_touches_few_files_and_those_that_are_not_new_exist(name: str) -> None:
    files = re.findall(r"^\| `(.+?)`( \(new\))? \|", RECIPES[name], re.M)

    assert 1 < len(files) <= MOST_FILES
    assert [file for file, new in files if not new and not (ROOT / file).exists()] == []


@pytest.fixture
def ping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the example of docs/plugin-guide.md among the built-in plugins."""
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "acme_gateway"))
    monkeypatch.setitem(BUILT_IN, "ping", "acme_gateway.ping:Ping")


@pytest.mark.usefixtures("ping")
async def test_the_test_of_the_surface_s_recipe_passes(
    http: aiohttp.ClientSession, serve: Serve, fake: Fake
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", RECIPES["add a surface"], re.S)
    names: dict[str, Any] = {}
    exec(code, names)
    await names["test_ping_answers_and_notes_an_unknown_field"](http, serve, fake)


def test_there_are_four_recipes() -> None:
    assert len(RECIPES) == 4


def test_each_target_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*?## ", (ROOT / "Makefile").read_text("utf-8"), re.M))

    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", PAGE, re.M)) - targets == set()


def test_each_path_of_the_page_exists() -> None:
    paths = re.findall(r"`((?:gateway|tests|docs|config)/[\w./-]+)`(?! \(new\))", PAGE)

    assert [path for path in paths if not (ROOT / path).exists()] == []
