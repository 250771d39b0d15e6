"""`gateway fake`."""

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from gateway.cli.main import main
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
