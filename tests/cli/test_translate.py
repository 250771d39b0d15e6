"""`gateway translate`: requests, answers, and mistakes with their place."""

import io
import json
from pathlib import Path

import pytest

from gateway.cli.main import main
from tests.support.paths import ROOT

CONFIG = str(ROOT / "config" / "gateway.yaml")


def run(tmp_path: Path, text: str) -> int:
    file = tmp_path / "x.json"
    file.write_text(text)
    return main(["translate", "--config", CONFIG, str(file)])


def test_a_request_is_shown_as_gemini_gets_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run(
            tmp_path,
            '{"model": "gemini-2.5-flash", "user": "u", "messages": [{"role": "user", "content": "hi"}]}',
        )
        == 0
    )

    shown = json.loads(capsys.readouterr().out)
    assert shown["url"].endswith("/v1beta/models/gemini-2.5-flash:generateContent")
    assert shown["notes"] == ["user"]
    assert shown["body"]["contents"][0]["parts"] == [{"text": "hi"}]


def test_an_answer_is_shown_as_a_client_gets_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, '{"candidates": [{"content": {"parts": [{"text": "hi"}]}}]}') == 0

    assert json.loads(capsys.readouterr().out)["choices"][0]["message"]["content"] == "hi"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"messages": [{"role": "king"}]}', "messages[0].role: Invalid value: 'king'."),
        ("{", "not valid JSON"),
        ("{}", "messages: Expected"),
    ],
)
def test_a_mistake_is_reported_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    assert run(tmp_path, text) == 1
    assert message in capsys.readouterr().err


def test_a_missing_file_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["translate", "--config", CONFIG, "/nowhere/x.json"]) == 1
    assert "/nowhere/x.json" in capsys.readouterr().err


def test_standard_input_is_read(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    data = io.TextIOWrapper(io.BytesIO(b'{"messages": [{"role": "user", "content": "hi"}]}'))
    monkeypatch.setattr("sys.stdin", data)

    assert main(["translate", "--config", CONFIG, "-"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "gemini-flash-latest"
