"""`gateway demo`."""

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
