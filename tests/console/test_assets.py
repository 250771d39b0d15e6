"""The pages' files: their addresses, types and size, and rules that hold in all of them."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.console import assets
from gateway.console.assets import Assets
from tests.support.paths import ROOT

STATIC = ROOT / "gateway" / "console" / "static"
SCRIPTS = sorted(STATIC.rglob("*.js"))
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://(?!127\.0\.0\.1|www\.w3\.org/2000/svg)"
    r"|localStorage[^;]*[tT]oken|\.setAttribute\(\"style\"|javascript:"
)


@pytest.fixture
async def browser(aiohttp_client: Any) -> Any:
    files = Assets()
    app = web.Application()
    app.router.add_get("/", files.page)
    app.router.add_get("/console/{build}/{name:.+}", files.file)
    return await aiohttp_client(app, auto_decompress=False)


async def test_the_page_names_the_build_and_is_never_kept(browser: Any) -> None:
    response = await browser.get("/")
    text = gzip.decompress(await response.read()).decode()

    assert response.headers["Cache-Control"] == "no-store"
    assert f"/console/{Assets().build}/main.js" in text
    assert "{build}" not in text


async def test_a_file_is_kept_for_a_year(browser: Any) -> None:
    path = f"/console/{Assets().build}/pages/about.js"
    small = await browser.get(path)
    plain = await browser.get(path, headers={"Accept-Encoding": "identity"})

    assert small.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert small.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert gzip.decompress(await small.read()) == await plain.read()


@pytest.mark.parametrize(
    "name", ["pages/nothing.js", "../app.py", "..%2fapp.py", "index.html", "%2e%2e/app.py", "x"]
)
async def test_nothing_else_is_served(browser: Any, name: str) -> None:
    assert (await browser.get(f"/console/{Assets().build}/{name}")).status == 404
    assert (await browser.get("/console/000000000000/main.js")).status == 404


def test_a_changed_file_is_another_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "static").mkdir()
    builds = []
    monkeypatch.setattr(assets, "files", lambda _: tmp_path)
    for text in ("1", "2"):
        (tmp_path / "static" / "index.html").write_text("{build}")
        (tmp_path / "static" / "a.js").write_text(text)
        builds.append(Assets().build)

    assert len(set(builds)) == 2


def test_the_files_are_small() -> None:
    files = [path.read_bytes() for path in STATIC.rglob("*") if path.is_file()]
    sent, page = Assets().sizes, len(gzip.compress((STATIC / "index.html").read_bytes(), 9))

    assert sum(map(len, files)) <= 150 * 1024
    for other in ("en.json", "zh.json"):  # a browser loads the texts of one language
        assert sum(sent.values()) - sent[other] + page <= 50 * 1024


async def test_scripts_are_sent_without_their_comments(browser: Any) -> None:
    text = (STATIC / "dom.js").read_text()
    response = await browser.get(f"/console/{Assets().build}/dom.js", headers={"Accept-Encoding": "identity"})
    lines = (await response.text()).split("\n")

    assert len(lines) == text.count("\n") + 1  # an error's line is that of the file
    for written, sent in zip(text.split("\n"), lines, strict=True):
        is_comment = written.lstrip().startswith(("//", "/**", "* ", "*/"))
        assert sent == ("" if is_comment else written)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.name))
def test_no_text_of_a_script_has_several_lines(path: Path) -> None:
    lines = [line for line in path.read_text().split("\n") if '.split("`")' not in line]

    assert [line for line in lines if line.count("`") % 2] == []  # one of them could look like a comment


@pytest.mark.parametrize("path", [*SCRIPTS, STATIC / "index.html"], ids=lambda path: str(path.name))
def test_no_file_makes_markup_of_text_or_asks_another_host(path: Path) -> None:
    assert FORBIDDEN.findall(path.read_text()) == []


def texts(language: str) -> dict[str, str]:
    """Return the texts by name, as i18n.js reads them: `group.name`, or the name alone in the group without a name."""
    groups = json.loads((STATIC / f"{language}.json").read_text())
    return {
        f"{group}.{name}".lstrip("."): text for group, all_ in groups.items() for name, text in all_.items()
    }


def test_every_text_is_in_both_languages() -> None:
    english, chinese = texts("en"), texts("zh")
    places = re.compile(r"\{(\w+)\}")

    assert list(english) == list(chinese)
    assert {k: sorted(places.findall(v)) for k, v in english.items()} == {
        k: sorted(places.findall(v)) for k, v in chinese.items()
    }
    assert all(text.strip() for text in (*english.values(), *chinese.values()))


def test_every_text_that_a_script_names_exists() -> None:
    english = texts("en")
    named = {
        (path.name, name)
        for path in SCRIPTS
        for name in re.findall(r"(?<![\w.])t\(\"([\w.]+)\"", path.read_text())
    }

    assert sorted(name for name in named if name[1] not in english) == []
