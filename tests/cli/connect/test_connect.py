"""`gateway connect`."""

from pathlib import Path

import pytest

from gateway.cli.main import main


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/bin/bash")
    for name in ("GATEWAY_API_KEY", "CODEX_HOME", "CLAUDE_CONFIG_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_without_a_name_it_lists_the_programs(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["connect"]) == 0
    assert "claude         Claude Code (Messages)" in capsys.readouterr().out


def test_it_prints_and_changes_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["connect", "codex", "--url", "https://gw.example.com/v1/", "--model", "gemini-x"]) == 0
    text = capsys.readouterr().out

    assert 'base_url = "https://gw.example.com/v1"' in text
    assert "export GATEWAY_API_KEY=YOUR_KEY" in text
    assert list(home.iterdir()) == []


def test_it_writes_and_takes_out(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_API_KEY", "AQ.secret-key")
    assert main(["connect", "codex", "--write"]) == 0
    text = capsys.readouterr().out

    assert f"written: {home}/.codex/config.toml" in text
    assert ". ~/.bashrc" in text
    assert "AQ.secret-key" not in text
    assert "AQ.secret-key" in (home / ".bashrc").read_text()
    assert main(["connect", "codex", "--undo"]) == 0
    assert not (home / ".bashrc").exists()
    assert main(["connect", "codex", "--undo"]) == 0
    assert "There is nothing to take out." in capsys.readouterr().out


def test_it_writes_nothing_without_a_key(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["connect", "aider", "--write"]) == 2
    assert "GATEWAY_API_KEY" in capsys.readouterr().err
    assert list(home.iterdir()) == []


def test_a_file_that_it_cannot_change_is_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / ".aider.conf.yml").write_text("model: [\n")

    assert main(["connect", "aider", "--write", "--key", "k"]) == 1
    assert f"{home}/.aider.conf.yml: it is not valid" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["nobody"], ["codex", "--url", "ftp://x"], ["codex", "--key", "a'b", "--write"]]
)
def test_wrong_arguments_are_refused(home: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["connect", *arguments])
    assert end.value.code == 2


@pytest.mark.parametrize("arguments", [["codex"], ["claude", "--write"]])
def test_a_key_of_the_variable_is_checked_as_that_of_the_option(
    home: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEWAY_API_KEY", 'my key"')

    assert main(["connect", *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("gateway connect: GATEWAY_API_KEY: expected letters")
    assert "my key" not in output.err
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("option", ["--write", "--undo"])
def test_a_change_needs_a_program(option: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["connect", option]) == 2
    assert "name the program, one of aider" in capsys.readouterr().err


def test_a_similar_program_is_suggested(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["connect", "claud"])
    assert "did you mean 'claude'?" in capsys.readouterr().err


def test_the_lines_for_a_file_with_comments_are_offered(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home / ".config" / "opencode" / "opencode.json"
    path.parent.mkdir(parents=True)
    path.write_text('{\n  // mine\n  "theme": "dark"\n}\n')

    assert main(["connect", "opencode", "--write", "--key", "AQ.secret-key"]) == 1
    text = capsys.readouterr().err
    assert "comments" in text
    assert '"baseURL": "http://127.0.0.1:8080/v1"' in text
    assert '"apiKey": "YOUR_KEY"' in text
    assert "// mine" in path.read_text()


def test_the_lines_for_a_shell_that_is_not_known_are_offered(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/nu")

    assert main(["connect", "codex", "--write", "--key", "AQ.secret-key"]) == 1
    text = capsys.readouterr().err
    assert "'nu'" in text
    assert "GATEWAY_API_KEY=YOUR_KEY" in text
    assert list(home.iterdir()) == []
