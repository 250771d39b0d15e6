"""The plugin contract: what a third party relies on, and what a mistake is told."""

import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from importlib.metadata import EntryPoint
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from conftest import Serve

from gateway.config.model import GatewayConfig
from gateway.config.source import Source
from gateway.errors import ConfigError
from gateway.plugin import Plugin
from gateway.server.app import build_app

ACME = Path(__file__).parent.parent / "acme_gateway"
events: list[str] = []


class Rival(Plugin):
    """Claims what belongs to health."""

    def routes(self) -> Iterable[web.RouteDef]:
        return [web.get("/healthz", self.answer)]

    async def answer(self, request: web.Request) -> web.Response:
        return web.Response(text="rival")


class Lively(Plugin):
    """Sets up and tears down."""

    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        events.append("in")
        yield
        events.append("out")


class Picky(Plugin):
    """Never satisfied."""

    def check(self) -> None:
        raise ValueError("nothing here makes sense")


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    here = __name__
    points = [
        EntryPoint(n.lower(), f"{here}:{n}", "gateway.plugins") for n in ("Rival", "Lively", "Picky", "ACME")
    ]
    monkeypatch.setattr("gateway.plugin.entry_points", lambda group: points)
    monkeypatch.setitem(sys.modules, here, sys.modules[__name__])


def faults(text: str) -> list[str]:
    source = Source(text, "g.yaml", {})
    with pytest.raises(ConfigError) as caught:
        build_app(source.decode(GatewayConfig), source)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plugins: {helo: {}}", "g.yaml:1:17: no plugin 'helo' is installed; did you mean 'hello'?"),
        ("plugins: {zzz: {}}", "g.yaml:1:16: no plugin 'zzz' is installed. Known: acme, chat, completions,"),
        ("plugins: {hello: {x: 1}}", "g.yaml:1:19: unknown key 'x' in plugins.hello."),
        ("plugins: {acme: {}}", "g.yaml:1:17: plugin 'acme' is not a subclass of gateway.plugin.Plugin"),
        ("plugins: {picky: {}}", "g.yaml:1:18: nothing here makes sense"),
        ("plugins: {health: {}, rival: {}}", "g.yaml:1:23: plugin 'rival' claims GET /healthz, which belongs to 'health'"),
    ],
)  # fmt: skip
def test_a_mistake_has_its_place(text: str, message: str) -> None:
    assert faults(text)[0].startswith(message)


async def test_a_catch_all_answers_last_wherever_it_stands(http: aiohttp.ClientSession, serve: Serve) -> None:
    base = await serve("plugins: {hello: {}, rival: {}}")
    async with http.get(base + "/healthz") as response:
        assert await response.text() == "rival"


async def test_without_hello_unknown_paths_are_errors(http: aiohttp.ClientSession, serve: Serve) -> None:
    base = await serve("plugins: {health: {}}")
    async with http.get(base + "/") as missing, http.post(base + "/healthz") as wrong:
        assert (missing.status, (await missing.json())["error"]["code"]) in (
            (404, "unknown_url"),
            (405, "method_not_allowed"),
        )
        assert (wrong.status, (await wrong.json())["error"]["code"]) == (405, "method_not_allowed")


async def test_a_plugin_lives_as_long_as_the_application(serve: Serve) -> None:
    events.clear()
    source = Source("plugins: {lively: {}}", "g", {})
    app = build_app(source.decode(GatewayConfig), source)
    runner = web.AppRunner(app)
    await runner.setup()
    await runner.cleanup()

    assert events == ["in", "out"]


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


def test_the_readmes_plugin_is_the_tested_one() -> None:
    readme = (ACME.parent.parent / "README.md").read_text()
    tested = (ACME / "acme_gateway" / "echo.py").read_text()

    for line in ("class Echo(Plugin):", "class Config(Struct, frozen=True, forbid_unknown_fields=True):",
                 'return [web.post(f"{self.config.prefix}/echo", self.echo)]',
                 'return web.json_response({"you_said": await request.json()})'):  # fmt: skip
        assert line in readme
        assert line in tested
