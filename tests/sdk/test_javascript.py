"""The official JavaScript SDKs on the emulator, where Node 20 or newer is on the PATH (`make javascript`)."""

import asyncio
import json
import os
import shutil
import subprocess
from functools import cache
from typing import Any

import pytest

from tests.support.paths import TESTS

FOLDER = TESTS / "javascript"
LOOP = ["The tool said: SUNNY-42", ["Oslo", "Oslo", "Oslo"]]
PERSON = {"name": "Ada", "age": 36}
EXPECTED: dict[str, Any] = {
    "openai create": "You said: hi",
    "openai stream": ["You said: hi", True],
    "openai tools": LOOP,
    "openai streamed tools": LOOP,
    "openai parse": PERSON,
    "openai error": [True, "invalid_api_key"],
    "openai responses": ["You said: hi", "completed"],
    "openai embeddings": 2,
    "openai models": True,
    "anthropic create": "You said: hi",
    "anthropic stream": "You said: hi",
    "google generate": "You said: hi",
    "google stream": "You said: hi",
    "ai-sdk generate": "You said: hi",
    "ai-sdk stream": "You said: hi",
    "ai-sdk tools": LOOP,
    "ai-sdk streamed tools": LOOP,
    "ai-sdk object": PERSON,
}


@cache
def without_node() -> str:
    """Why the SDKs cannot run here, or nothing."""
    node = shutil.which("node")
    if node is None:
        return "no node on the PATH"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    if int(version.lstrip("v").partition(".")[0] or 0) < 20:
        return f"node {version.strip()} is older than 20"
    return "" if (FOLDER / "node_modules").is_dir() else "run `make javascript` first"


@pytest.mark.skipif(bool(without_node()), reason=without_node() or "-")
@pytest.mark.parametrize("model", ["gemini-3-flash-preview", "gemini-2.5-flash"])
async def test_the_javascript_sdks(gateway: str, model: str) -> None:
    process = await asyncio.create_subprocess_exec(
        "node", str(FOLDER / "drive.mjs"), stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "BASE_URL": f"{gateway}/v1", "MODEL": model},
    )  # fmt: skip
    out, _ = await process.communicate()

    assert json.loads(out) == EXPECTED
