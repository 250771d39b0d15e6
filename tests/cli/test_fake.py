"""`gateway fake`."""

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from gateway.cli.fake import answering
from gateway.cli.main import main
from gateway.config.model_table import model_table
from tests.support.paths import ROOT


async def test_the_emulator_serves_a_script(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    script = tmp_path / "rules.yaml"
    script.write_text("- reply: {text: scripted}\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "fake", "--listen", f"127.0.0.1:{port}", "--script", str(script)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        await asyncio.to_thread(process.stdout.readline)
        url = f"http://127.0.0.1:{port}/v1beta/models/gemini-2.5-flash:generateContent"
        body = {"contents": [{"parts": [{"text": "x"}]}]}
        async with http.post(url, json=body, headers={"x-goog-api-key": "k"}) as response:
            assert "scripted" in await response.text()
    finally:
        process.terminate()
        process.communicate()


def test_a_broken_script_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "rules.yaml"
    script.write_text("- repply: {}\n")

    assert main(["fake", "--script", str(script)]) == 1
    assert "rules.yaml: Object" in capsys.readouterr().err


async def test_a_model_takes_as_many_tokens_as_it_is_told(http: aiohttp.ClientSession) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    limits = ["--input-limit", "gemini-2.5-flash=100", "--input-limit", "gemini-2.5-pro=200"]
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "fake", "--listen", f"127.0.0.1:{port}", *limits],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        await asyncio.to_thread(process.stdout.readline)
        models = f"http://127.0.0.1:{port}/v1beta/models"
        http.headers["x-goog-api-key"] = "k"
        assert await _asked(http, f"{models}/gemini-2.5-flash", 400) == (200, "")
        assert await _asked(http, f"{models}/gemini-2.5-flash", 401) == (
            400,
            "The input token count (101) exceeds the maximum number of tokens allowed (100).",
        )
        assert (await _asked(http, f"{models}/gemini-2.5-pro", 801))[0] == 400
        assert (await _asked(http, f"{models}/gemini-2.5-flash-lite", 801))[0] == 200
        async with http.get(f"{models}/gemini-2.5-pro") as response:
            assert (await response.json())["inputTokenLimit"] == 200
    finally:
        process.terminate()
        process.communicate()


async def _asked(http: aiohttp.ClientSession, model: str, characters: int) -> tuple[int, str]:
    body = {"contents": [{"parts": [{"text": "x" * characters}]}]}
    async with http.post(f"{model}:generateContent", json=body) as response:
        answer = await response.json()
        return response.status, answer.get("error", {}).get("message", "")


@pytest.mark.parametrize(
    "limit", ["gemini-2.5-flash", "gemini-2.5-flash=0", "gemini-2.5-flash=x", "nobody=5"]
)
def test_a_limit_that_is_none_is_named(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fake", "--input-limit", limit])
    assert limit.partition("=")[0] in capsys.readouterr().err


def test_aliases_are_answered_by_the_models_of_the_table() -> None:
    successors = model_table().successors

    assert answering("gemini-pro-latest") == successors["gemini-pro-latest"].model
    assert answering("gemini-4-argon") == "gemini-4-argon"


def test_a_batch_takes_no_negative_time(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fake", "--batch-seconds", "-1"])
    assert "argument --batch-seconds: expected a number that is not negative" in capsys.readouterr().err
