"""The loader: third-party plugins, and the messages for their mistakes."""

import importlib.metadata
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from msgspec import Struct

from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.errors import ConfigError
from gateway.exchange.replies.delivery import ErrorRenderer
from gateway.plugin import Plugin
from gateway.policy.api_paths import Family
from gateway.server import plugin_loader
from gateway.server.application import build_app
from tests.support.paths import TESTS
from tests.support.servers import Serve

ACME = TESTS / "acme_gateway"
installed_points = plugin_loader.entry_points


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    here = __name__
    points = [
        EntryPoint(n.lower(), f"{here}:{n}", "gateway.plugins")
        for n in ("Rival", "Picky", "Wrong", "ACME", "Missing")
    ]
    monkeypatch.setattr("gateway.server.plugin_loader.entry_points", lambda: points)
    monkeypatch.setitem(sys.modules, here, sys.modules[__name__])


class Rival(Plugin):
    """Claims what belongs to health."""

    def routes(self) -> Iterable[web.RouteDef]:
        return [web.get("/healthz", self.answer)]

    async def answer(self, request: web.Request) -> web.Response:
        return web.Response(text="rival")


class Picky(Plugin):
    """Never satisfied."""

    def check(self) -> None:
        raise ValueError("nothing here makes sense")


class Wrong(Plugin):
    """Wrong in as many ways as its option says."""

    class Config(Struct, frozen=True):
        how: str = ""

    def check(self) -> None:
        if self.config.how == "raises":
            raise KeyError("never here")

    def routes(self) -> Iterable[web.RouteDef]:
        if self.config.how == "nothing":
            return None  # type: ignore[return-value]  # that is the mistake
        if self.config.how == "forgets":
            return [web.get("/forgets", self.forgets), web.get("/breaks", self.breaks)]
        return [web.get("/formats" if self.config.how == "formats" else self.config.how, self.forgets)]

    def error_formats(self) -> Mapping[Family, ErrorRenderer]:
        if self.config.how == "formats":
            raise AttributeError("no such format")
        return {}

    async def forgets(self, request: web.Request) -> web.StreamResponse:
        return None  # type: ignore[return-value]  # that is the mistake

    async def breaks(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(await request.json())


def faults(text: str) -> list[str]:
    source = Source(text, "g.yaml", {})
    with pytest.raises(ConfigError) as caught:
        build_app(source.decode(GatewayConfig), source)
    return str(caught.value).splitlines()


@pytest.mark.row("P33", "P34")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plugins: {helo: {}}", "g.yaml:1:17: plugin 'helo': not installed; did you mean 'hello'?"),
        ("plugins: {zzz: {}}", "g.yaml:1:16: plugin 'zzz': not installed. Known: acme, "),
        ("plugins: {hello: {x: 1}}", "g.yaml:1:19: unknown key 'x' in plugins.hello."),
        ("plugins: {acme: {}}", "g.yaml:1:17: plugin 'acme': not a subclass of gateway.plugin.Plugin"),
        ("plugins: {picky: {}}", "g.yaml:1:18: plugin 'picky': nothing here makes sense"),
        ("plugins: {health: {}, rival: {}}", "g.yaml:1:23: plugin 'rival' claims GET /healthz, which belongs to 'health'"),
        ("plugins: {wrong: {how: no}}", "g.yaml:1:18: plugin 'wrong': path should be started with /"),
        ('plugins: {wrong: {how: "/{x"}}', "g.yaml:1:18: plugin 'wrong': Invalid path '/{x'"),
        ("plugins: {wrong: {how: nothing}}", "g.yaml:1:18: plugin 'wrong' failed: TypeError: "),
        ("plugins: {wrong: {how: raises}}", "g.yaml:1:18: plugin 'wrong' failed: KeyError: 'never here'"),
        ("plugins: {wrong: {how: formats}}", "g.yaml:1:18: plugin 'wrong' failed: AttributeError: no such format"),
        ("plugins: {missing: {}}", "g.yaml:1:20: plugin 'missing' failed: AttributeError: "),
        ("models: {aliases: {a: b, b: a}}", "g.yaml:1:23: models.aliases.a: 'b' is an alias itself"),
        ("models: {aliases: {a: gpt-9}}", "g.yaml:1:23: models.aliases.a: 'gpt-9' begins with none of"),
        ("upstream: {base_url: 'http://x/v1beta'}", "g.yaml:1:22: upstream.base_url: without the API version"),
    ],
)  # fmt: skip
def test_a_mistake_has_its_place(text: str, message: str) -> None:
    assert faults(text)[0].startswith(message)


@pytest.mark.row("P33")
async def test_a_handlers_mistake_is_a_500_with_a_trace_in_the_log(
    http: aiohttp.ClientSession, serve: Serve, event_lines: list[dict[str, Any]]
) -> None:
    base = await serve("plugins: {wrong: {how: forgets}}")
    for path in ("forgets", "breaks"):
        async with http.get(f"{base}/{path}", data=b"{secret") as response:
            assert (response.status, (await response.json())["error"]["type"]) == (500, "server_error")

    assert event_lines[0]["trace"] == "the handler of GET /forgets returned NoneType"
    assert event_lines[0]["handler"] == "Wrong.forgets"
    assert [line["plugin"] for line in event_lines] == ["wrong", "wrong"]
    assert f"{__file__}:" in str(event_lines[1]["trace"])
    assert "secret" not in str(event_lines)


async def test_a_catch_all_answers_last_wherever_it_stands(http: aiohttp.ClientSession, serve: Serve) -> None:
    base = await serve("plugins: {hello: {}, rival: {}}")
    async with http.get(base + "/healthz") as response:
        assert await response.text() == "rival"


async def test_without_hello_unknown_paths_are_errors(http: aiohttp.ClientSession, serve: Serve) -> None:
    base = await serve("plugins: {health: {}}")
    async with http.get(base + "/") as missing, http.post(base + "/healthz") as wrong:
        assert (missing.status, (await missing.json())["error"]["code"]) == (404, "unknown_url")
        assert (wrong.status, (await wrong.json())["error"]["code"]) == (405, "method_not_allowed")


def test_a_third_partys_plugin_is_installed_and_serves(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(ACME, source)
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--no-build-isolation", "--target", str(tmp_path / "site"), str(source)], check=True,
    )  # fmt: skip
    config = tmp_path / "g.yaml"
    config.write_text("plugins:\n  acme_echo: {prefix: /x}\n")
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "routes", "--config", str(config)],
        env={"PYTHONPATH": str(tmp_path / "site")}, cwd=ACME.parent.parent, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stdout.split() == ["POST", "/x/echo", "acme_echo"]


@pytest.mark.parametrize("group", ["gateway.plugins", "console_scripts"])
def test_packages_are_asked_only_if_one_names_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: str
) -> None:
    folder = tmp_path / "some-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: some\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(f"[{group}]\nsome = some:Plugin\n")
    asked: list[str] = []
    found = importlib.metadata.entry_points

    def asking(group: str) -> Any:
        asked.append(group)
        return found(group=group)

    monkeypatch.setattr("importlib.metadata.entry_points", asking)
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "missing"), ""])
    monkeypatch.setattr(sys, "meta_path", [PathFinder])

    is_plugin = group == "gateway.plugins"
    assert [point.name for point in installed_points()] == ["some"] * is_plugin
    assert asked == [group] * is_plugin
