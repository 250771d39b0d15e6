"""README.md: its clients are answered by a gateway on the emulator, and docs/refer/http.md lists what is served."""

import asyncio
import re
import shutil
import sys
from collections.abc import Sequence

import pytest

from gateway.cli.main import main
from gateway.server.plugin_loader import BUILT_IN
from tests.support.paths import ROOT, TESTS

README = (ROOT / "README.md").read_text("utf-8")
HTTP = (ROOT / "docs" / "refer" / "http.md").read_text("utf-8")
BASE = "http://127.0.0.1:8080"
CURL = next(
    text for text in re.findall(r"^```sh\n(.*?)^```", README, re.M | re.S) if text.startswith("curl ")
)
MODULES = TESTS / "javascript"


async def output(*command: str) -> str:
    """Return the standard output of a command that must succeed."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=MODULES
    )
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return out.decode()


def blocks(language: str) -> Sequence[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.M | re.S)


@pytest.mark.parametrize("code", blocks("python"))
async def test_the_python_clients_are_answered(code: str, gateway: str) -> None:
    assert "You said: Hello!" in await output(sys.executable, "-c", code.replace(BASE, gateway))


@pytest.mark.skipif(
    not (MODULES / "node_modules" / "openai").exists(), reason="make javascript has not been run"
)
async def test_the_javascript_client_is_answered(gateway: str) -> None:
    (code,) = blocks("js")
    command = ("node", "--input-type=module", "-e", code.replace(BASE, gateway))

    assert (await output(*command)).count("You said: Hello!") == 2


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
async def test_curl_is_answered(gateway: str) -> None:
    assert "You said: Hello!" in await output("sh", "-c", CURL.replace(BASE, gateway))


def test_the_readme_is_about_one_screen() -> None:
    assert len(README.splitlines()) <= 100


def test_each_plugin_has_its_row_among_what_is_served() -> None:
    assert [name for name in BUILT_IN if f"`{name}`" not in HTTP] == []


def test_gateway_routes_lists_what_the_page_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["routes", "--config", str(ROOT / "config" / "gateway.yaml")]) == 0

    plugins = [line.split()[-1] for line in capsys.readouterr().out.splitlines()]
    assert set(plugins) == set(re.findall(r"^\| .* \| `(\w+)` \|", HTTP, re.M))
