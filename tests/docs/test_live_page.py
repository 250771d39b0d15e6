"""The example of docs/do/live.md runs against the emulator."""

import asyncio
import os
import re
import sys

from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "do" / "live.md").read_text("utf-8")


async def test_the_example_gets_sound_and_words(gateway: str) -> None:
    code = re.search(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    assert code is not None
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code[1].replace("http://127.0.0.1:8080", gateway),
        env={**os.environ, "GATEWAY_API_KEY": "AQ.key"}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, errors = await process.communicate()
    assert out.decode() == "0.24 s of sound: You said: Say hello.\n", errors.decode()
