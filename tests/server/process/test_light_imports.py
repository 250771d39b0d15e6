"""A process that serves has not imported what it does not need."""

import mimetypes
import os
import subprocess
import sys

import pytest

from gateway.server.process.light_imports import Late, light_imports
from tests.support.paths import ROOT

NAME = "FROZENLIST_NO_EXTENSIONS"
SCRIPT = """
import sys, gateway.cli.serve, gateway.plugins.files.routes, gateway.plugins.speech.routes, mimetypes
names = "frozenlist._frozenlist zipfile importlib.resources difflib wave zoneinfo sqlalchemy sqlite3 fractions gateway.gemini.remedies redis gateway.console.app html http.client urllib.request email.policy backports.zstd idna httptools.parser.url_parser"
print([name for name in names.split() if name in sys.modules], mimetypes.inited, mimetypes.guess_type("a.js")[0])
"""


def test_serving_imports_nothing_that_takes_memory_for_nothing() -> None:
    environ = {name: value for name, value in os.environ.items() if name != NAME}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, cwd=ROOT, env=environ, check=True
    )

    kind = mimetypes.guess_type("a.js")[0]
    assert done.stdout.strip() == f"[] False {kind}"


@pytest.mark.parametrize("value", [None, "", "1"])
def test_everything_is_as_before_afterwards(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAME, raising=False)
    if value is not None:
        monkeypatch.setenv(NAME, value)
    monkeypatch.setattr(mimetypes, "inited", False)

    with light_imports():
        assert (os.environ[NAME], mimetypes.inited) == ("1", True)

    assert (os.environ.get(NAME), mimetypes.inited) == (value, False)


RARE = """
import gateway.cli.serve, httptools, sys
from yarl import URL
from aiohttp import compression_utils, helpers
assert "email.policy" not in sys.modules
print(helpers.parse_content_type('text/html; charset=utf-8'))
print(helpers.proxies_from_env()["http"].proxy)
print(URL("http://b\u00fccher.example/").raw_host, URL("http://xn--bcher-kva.example/").host)
print(httptools.parse_url(b"/a?b").query)
if compression_utils.HAS_ZSTD:
    from backports.zstd import compress
    print(compression_utils.ZSTDDecompressor().decompress_sync(compress(b"text")))
else:
    print(b"text")
import html, urllib.request, email.policy
print(html.unescape("&uuml;"), html.escape("<"), callable(urllib.request.urlopen), email.policy.HTTP.max_line_length)
"""


def test_what_is_imported_late_does_its_work() -> None:
    environ = {**os.environ, "http_proxy": "http://a:1", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-c", RARE], capture_output=True, text=True, cwd=ROOT, env=environ, check=True
    )

    assert done.stdout.splitlines() == [
        "('text/html', mappingproxy({'charset': 'utf-8'}))",
        "http://a:1",
        "xn--bcher-kva.example bücher.example",
        "b'b'",
        "b'text'",
        "ü &lt; True None",
    ]


def test_a_late_name_is_its_value() -> None:
    join, path = Late("os.path", "join"), Late("os", "path")

    assert join("a", "b") == os.path.join("a", "b")
    assert path.sep == os.sep
