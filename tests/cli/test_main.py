"""The command line as a whole: bad arguments, help, and what a command imports."""

import subprocess
import sys

import pytest

from gateway import full_version
from gateway.cli.main import COMMANDS, main
from tests.support.paths import ROOT


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "--listen", "nonsense"],
        ["serve", "--listen", "h:99999"],
        ["serve", "--upstream", "nope"],
        [],
    ],
)
def test_bad_arguments_end_with_status_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


@pytest.mark.parametrize(
    "command",
    [
        [],
        *([name] for name in COMMANDS),
        *(["keys", action] for action in ("add", "list", "revoke", "rotate", "rules")),
        ["ledger", "move"],
    ],
    ids=" ".join,
)
def test_every_command_has_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*command, "--help"])

    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith(" ".join(["usage: gateway", *command]))


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])

    lines = capsys.readouterr().out.splitlines()
    assert [name for name in COMMANDS if not any(line.split()[:1] == [name] for line in lines)] == []


def test_a_command_imports_only_what_it_needs() -> None:
    code = (
        "import sys; from gateway.cli.main import main; main(['schema'])\n"
        "print(*(name for name in ('aiohttp', 'sqlalchemy', 'gateway.server') if name in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stderr.strip() == ""


def test_o19_the_version_names_the_commit(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])

    assert caught.value.code == 0
    assert capsys.readouterr().out == f"{full_version()}\n"
