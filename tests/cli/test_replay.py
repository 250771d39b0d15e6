"""`gateway replay`: a captured request is shown, or sent again."""

import asyncio
import json
from pathlib import Path

import pytest

from gateway.cli.main import main
from gateway.plugins.capture import files
from gateway.plugins.capture.record import Captured
from tests.support.servers import Fake, Serve

BODY = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    folder = tmp_path / "plugins" / "capture"
    folder.mkdir(parents=True)
    record = Captured(
        "req_1", 1e9, "POST", "/v1/chat/completions", "chat", "carl", request=BODY, answer=[{"text": "é"}]
    )
    return files.write(folder, record)


def test_o20_a_request_is_shown_by_file_and_by_id(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = []
    for name in (str(file), "req_1"):
        assert main(["replay", name]) == 0
        shown.append(json.loads(capsys.readouterr().out))

    assert shown[0] == shown[1]
    assert (shown[0]["request"], shown[0]["client"]) == (BODY, "carl")
    assert main(["replay", "req_1", "--part", "answer"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"text": "é"}]


def test_o20_an_unknown_one_says_where_it_looked(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "req_2"]) == 1
    error = capsys.readouterr().err
    assert "no file and no request in" in error
    assert "STATE_DIRECTORY=/var/lib/gateway" in error


async def test_o20_it_is_sent_again(
    file: Path, serve: Serve, fake: Fake, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    base = await serve("", fake.url)
    monkeypatch.setenv("GATEWAY_API_KEY", "some-key-of-mine")
    assert await asyncio.to_thread(main, ["replay", "req_1", "--send", "--url", base]) == 0
    captured = capfd.readouterr()

    assert json.loads(captured.out)["choices"][0]["message"]["content"]
    assert "HTTP 200" in captured.err
    assert fake.calls == 1
    monkeypatch.setenv("GATEWAY_API_KEY", "sk-gw-unknown-key")
    assert await asyncio.to_thread(main, ["replay", "req_1", "--send", "--url", base]) == 1
    assert "HTTP 401" in capfd.readouterr().err


def test_o20_without_a_key_or_a_body_nothing_is_sent(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.delenv("GATEWAY_API_KEY", raising=False)
    assert main(["replay", str(file), "--send", "--url", "http://127.0.0.1:9"]) == 1
    assert "set GATEWAY_API_KEY" in capsys.readouterr().err
    bare = files.write(tmp_path, Captured("req_3", 1e9, "POST", "/", "chat", "c"))
    assert main(["replay", str(bare), "--send"]) == 1
    assert "was not kept" in capsys.readouterr().err


def test_o20_a_gateway_that_does_not_answer_is_told(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEWAY_API_KEY", "k")

    assert main(["replay", str(file), "--send", "--url", "http://127.0.0.1:9"]) == 1
    assert "http://127.0.0.1:9/v1/chat/completions does not answer" in capsys.readouterr().err
