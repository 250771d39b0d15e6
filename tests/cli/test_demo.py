"""`gateway demo`."""

import socket

import pytest

from gateway.cli.main import main


def test_the_demo_shows_two_answers_and_the_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--once", "--listen", "127.0.0.1:0"]) == 0

    shown = capsys.readouterr().out
    for text in (
        '"object": "chat.completion"',
        '"systemInstruction"',
        "data: [DONE]",
        "curl http://127.0.0.1:",
        "from openai import OpenAI",
    ):
        assert text in shown


@pytest.mark.parametrize(
    ("listen", "shown"), [("0.0.0.0:0", "http://127.0.0.1:"), ("[::]:0", "http://[::1]:")]
)
def test_a_demo_on_all_addresses_names_one_that_this_machine_reaches(
    listen: str, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEWAY_LISTEN", listen)  # as in the image

    assert main(["demo", "--once"]) == 0
    assert f"curl {shown}" in capsys.readouterr().out


def test_a_busy_port_has_advice_for_both_ways_to_start_it(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        assert main(["demo", "--once", "--listen", f"127.0.0.1:{port}"]) == 1

    error = capsys.readouterr().err
    assert "--listen 127.0.0.1:PORT" in error
    assert "make demo PORT=" in error
