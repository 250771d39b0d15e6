"""Every code block of README.md and docs/ is run against the emulator, is checked, or says which suite runs it.

A comment `<!-- block: KIND -->` before a block names that suite. Pages of docs/clients are generated from the settings that
tests/cli/connect and tests/clients use, and Chinese pages have the blocks of the English ones (test_index.py).
"""

import argparse
import asyncio
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
import yaml

from gateway.cli.main import COMMANDS, parser
from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.emulator.script import Rule
from gateway.server.application import build_app
from tests.support.paths import ROOT, TESTS
from tests.support.servers import Fake
from tests.support.vertex import account

SUITES = {
    "server": TESTS / "vps" / "run.sh",
    "package": TESTS / "deploy",
    "cluster": TESTS / "cluster" / "run.sh",
    "drawing": TESTS / "docs" / "test_architecture.py",
}
"""Kinds of blocks that are not run here, and what runs them."""
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if page.parent.name != "clients" and "zh" not in page.parts
]
BASES = ("http://127.0.0.1:8080", "https://gateway.example.com")
_FENCE = re.compile(r"^(?:<!-- block: (\w+) -->\n)?```(\w*)\n(.*?)^```", re.M | re.S)
_ACME = TESTS / "acme_gateway"
_FILES = {
    path.read_text("utf-8").strip() for path in _ACME.rglob("*") if path.suffix in (".py", ".toml", ".cfg")
} - {""}


class Block(NamedTuple):
    """A code block, with the line of its page on which it begins."""

    page: str
    line: int
    kind: str
    language: str
    code: str


def blocks() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text("utf-8")
        for match in _FENCE.finditer(text):
            line = text[: match.start()].count("\n") + 1
            yield Block(str(page.relative_to(ROOT)), line, match[1] or "", match[2], match[3])


ALL = list(blocks())


def of(*languages: str, kind: str = "") -> list[Block]:
    return [block for block in ALL if block.language in languages and block.kind == kind]


def name(value: object) -> str:
    return f"{value.page}:{value.line}" if isinstance(value, Block) else ""


def is_curl(block: Block) -> bool:
    return block.code.startswith("curl ")


AUDIO_PAGES = ("docs/do/speech.md", "docs/do/transcription.md")
CURLS = [block for block in of("sh") if is_curl(block)]
SESSIONS = [block for block in of("sh") if not is_curl(block)]


def test_each_block_is_run_checked_or_marked() -> None:
    in_readme = [b for b in of("python", "js") if b.page.startswith("README")]  # tests/docs/test_readme.py
    in_readme += [b for b in of("python") if b.page == "docs/do/live.md"]  # tests/docs/test_live_page.py
    in_readme += [b for b in of("python") if b.page in AUDIO_PAGES]  # tests/docs/test_audio_pages.py
    in_files = [b for b in of("python", "toml", "ini") if any(text in b.code for text in _FILES)]
    checked = [*CURLS, *SESSIONS, *of("yaml"), *of("json"), *in_readme, *in_files]
    marked = [block for block in ALL if block.kind]

    assert [f"{name(b)} {b.language}" for b in ALL if b not in checked and b not in marked] == []
    assert {block.kind for block in marked} == set(SUITES)
    assert [kind for kind, suite in SUITES.items() if not suite.exists()] == []


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
@pytest.mark.parametrize("block", CURLS, ids=name)
async def test_a_request_is_answered(block: Block, gateway: str) -> None:
    code = block.code.replace("curl ", "curl -sS --fail-with-body ")
    for base in BASES:
        code = code.replace(base, gateway)
    assert gateway in code
    out = await shell("set -e\n" + code, Path(), KEY="AQ.key")

    assert re.search(r'"object": ?"(chat.completion|key|interaction)"|"b64_json": ?"[\w/]', out)


async def shell(code: str, folder: Path, **environ: str) -> str:
    """Return what a shell prints; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", code, cwd=folder, env={**os.environ, **environ},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode() + out.decode()
    return out.decode()


@pytest.mark.parametrize("block", SESSIONS, ids=name)
async def test_a_session_in_a_shell_succeeds(
    block: Block, tmp_path: Path, fake: Fake, unused_tcp_port_factory: "Ports"
) -> None:
    """The files of the page are written first; what serves runs in the background until the end."""
    for other in of("yaml"):
        if other.page == block.page and (file := re.match(r"# ([\w/]+\.yaml)\n", other.code)):
            text = other.code.replace("http://127.0.0.1:8090", fake.url)
            path = tmp_path / file[1]
            path.parent.mkdir(exist_ok=True)
            path.write_text(text.replace("8081", str(unused_tcp_port_factory())))
    command = f"{shlex.quote(sys.executable)} -m gateway"
    lines = []
    for line in block.code.replace(".venv-run/bin/gateway", "gateway").splitlines():
        runs = re.sub(r"^((?:\w+=\S+ )*)gateway\b", rf"\1{command}", line.partition("#")[0].rstrip())
        if runs == f"{command} fake":  # the fixture is the emulator
            continue
        variables, serves, _ = runs.partition(f"{command} serve")
        lines.append(f"{runs} >serve.log 2>&1 & trap 'kill $!' EXIT" if serves else runs)
        if serves:
            config = runs.partition("--config")[2]
            lines.append(
                f"for i in $(seq 100); do {variables}{command} health --config {config} >&2 && break; sleep 0.1; done"
            )
    listen = f"127.0.0.1:{unused_tcp_port_factory()}"
    code = "\n".join(lines).replace(BASES[0], f"http://{listen}")
    out = await shell("set -e\n" + code, tmp_path, GATEWAY_LISTEN=listen, PYTHONPATH=str(ROOT))

    assert out.strip()


class Ports:
    """The type of the fixture `unused_tcp_port_factory`."""

    def __call__(self) -> int:
        raise NotImplementedError


@pytest.mark.parametrize("block", of("yaml"), ids=name)
def test_a_configuration_is_valid(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if block.code.startswith("- match:"):
        assert msgspec.convert(yaml.safe_load(block.code), list[Rule])
        return
    points = [
        EntryPoint(point, place, "gateway.plugins")
        for point, place in re.findall(r"^    (acme_\w+) = (\S+)$", (_ACME / "setup.cfg").read_text(), re.M)
    ]
    monkeypatch.setattr("gateway.server.plugin_loader.entry_points", lambda: points)
    monkeypatch.syspath_prepend(str(_ACME))
    for credential in re.findall(r"credential: ([\w-]+)", block.code):
        is_account = f"credentials: {{credential: {credential}}}" in block.code
        (tmp_path / credential).write_text(account("https://t") if is_account else f"AQ.{credential}")
    environ = {key: f"https://example.com/{key}" for key in re.findall(r"env: (\w+)", block.code)}
    source = Source(block.code, "page.yaml", {"CREDENTIALS_DIRECTORY": str(tmp_path), **environ})
    config = source.decode(GatewayConfig)

    assert config != GatewayConfig()
    assert build_app(config, source)


@pytest.mark.parametrize("block", of("json"), ids=name)
def test_json_is_json(block: Block) -> None:
    assert [json.loads(line) for line in _values(block.code)]


def _values(code: str) -> list[str]:
    """Return the JSON texts of a block: one, or one for each line that is not indented."""
    return re.findall(r"^\S.*(?:\n\s+.*)*", code, re.M)


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Yield place and arguments of each line of a shell block that runs the gateway."""
    for block in ALL:
        if block.language == "sh":
            for line in block.code.replace("\\\n", " ").splitlines():
                for part in re.split(r"&&|\|", line.split(" #")[0]):
                    part = part.replace("MODEL=TOKENS", "gemini-2.5-pro=1000")
                    match = re.search(r"(?:^|[ /])gateway((?: +\S.*)?)$", part.rstrip(" &"))
                    first = match[1].split()[:1] if match else []
                    if match and first and first[0] in COMMANDS and not part.startswith(("make", "git")):
                        yield name(block), [word.strip("[]") for word in shlex.split(match[1])]


@pytest.mark.parametrize(("place", "words"), list(command_lines()))
def test_a_command_line_is_understood(place: str, words: list[str]) -> None:
    assert isinstance(parser(words).parse_args(words), argparse.Namespace), place
