"""The name of the distribution: documents name no package of somebody else, and `uvx` finds a script of that name."""

import configparser
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.main import main
from tests.support.paths import ROOT

NAME = "gemini-openai-gateway"
COMMAND = re.compile(
    r"\b(pip3? install|pipx install|pipx run|pipx inject|uvx|uv tool install|uv tool run)\s+([^`\n]*)"
)
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "gateway").rglob("*.py"))
    if "clients" not in path.parts  # other programs, under names of their own
)


def packages(text: str) -> Iterator[str]:
    """Yield the packages that the commands of a text fetch from an index. Files and folders are none."""
    for command, rest in COMMAND.findall(text):
        words = [word.strip("'\".,;)") or "." for word in re.split(r"\s[#&|]", rest)[0].split()]
        plain = [word for word in words if not word.startswith("-")]
        if "--from" in words:
            plain = words[words.index("--from") + 1 :][:1]
        for word in plain if "install" in command else plain[:1]:
            if re.fullmatch(r"[A-Za-z0-9][\w.-]*(\[[\w,]+\])?([=<>~!]=?.*)?", word) and "/" not in word:
                name = re.split(r"[\[=<>~!]", word)[0]
                if not name.isupper() and not name.endswith((".lock", ".txt", ".whl", ".pyz")):
                    yield name


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("pip install 'gemini-gateway[otel]'", ["gemini-gateway"]),
        ("`pip install -r requirements.lock`", []),
        ("pip install '.[team]' ./acme-gateway dist/gateway.whl", []),
        ("pipx install gemini-openai-gateway==1.0", ["gemini-openai-gateway"]),
        ("uvx gemini-openai-gateway demo --once", ["gemini-openai-gateway"]),
        ("uvx --from dist/gateway.whl gateway demo", []),
        ("uvx --from other gateway demo", ["other"]),
        ("the `pip install` of a name", []),
    ],
)
def test_the_packages_of_a_command_are_seen(text: str, names: list[str]) -> None:
    assert list(packages(text)) == names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_o03_no_document_fetches_a_package_of_somebody_else(page: Path) -> None:
    assert set(packages(page.read_text("utf-8"))) <= {NAME}


def test_o03_the_distribution_and_its_script_have_the_documented_name() -> None:
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    scripts = dict(
        line.split(" = ")
        for line in settings["options.entry_points"]["console_scripts"].strip().splitlines()
        if " = " in line
    )

    assert settings["metadata"]["name"] == NAME
    assert scripts == dict.fromkeys(("gateway", NAME), f"{main.__module__}:{main.__name__}")
