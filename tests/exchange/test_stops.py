"""More stop sequences than Gemini takes, on every surface that has them."""

import json
from typing import Any

import aiohttp
import pytest

from tests.support.servers import Fake

STOPS = [f"never{i}" for i in range(5)] + ["b ##", "## end"]
PROMPT = "[[chunks 40]] b ## end, and more"
SURFACES: dict[str, tuple[dict[str, Any], str]] = {
    "/v1/chat/completions": ({"messages": [{"role": "user", "content": PROMPT}]}, "stop"),
    "/v1/completions": ({"prompt": PROMPT}, "stop"),
    "/v1/messages": ({"messages": [{"role": "user", "content": PROMPT}], "max_tokens": 99}, "stop_sequences"),
}


async def ask(
    http: aiohttp.ClientSession, base: str, path: str, stops: list[str], *, stream: bool
) -> tuple[int, str]:
    fields, name = SURFACES[path]
    body: dict[str, Any] = {"model": "gemini-2.5-flash", **fields, name: stops, "stream": stream}
    async with http.post(base + path, json=body) as response:
        return response.status, await response.text()


def read(path: str, text: str, *, stream: bool) -> tuple[str, str | None, str | None]:
    """Return the text of an answer, its reason and its stop sequence."""
    answers = (
        [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
        if stream
        else [json.loads(text)]
    )
    said, reason, stop = "", None, None
    for answer in answers:
        for choice in answer.get("choices") or ():
            part = choice.get("delta") or choice.get("message") or choice
            said += part.get("content") or part.get("text") or ""
            reason = choice.get("finish_reason") or reason
        if path == "/v1/messages":
            said += "".join(block.get("text", "") for block in answer.get("content") or ()) or (
                answer.get("delta") or {}
            ).get("text", "")
            end = answer.get("delta") or answer
            reason, stop = end.get("stop_reason") or reason, end.get("stop_sequence") or stop
    return said, reason, stop


@pytest.mark.row("G17")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", SURFACES)
async def test_g17_the_gateway_cuts_at_what_gemini_does_not_take(
    http: aiohttp.ClientSession, gateway: str, fake: Fake, path: str, stream: bool
) -> None:
    status, text = await ask(http, gateway, path, STOPS, stream=stream)

    assert status == 200, text
    said, reason, stop = read(path, text, stream=stream)
    assert said == "You said: [[chunks 40]] "
    assert (reason, stop) == (("stop_sequence", "b ##") if path == "/v1/messages" else ("stop", None))
    assert fake.last.body["generationConfig"]["stopSequences"] == STOPS[:5]


@pytest.mark.row("G17")
@pytest.mark.parametrize("path", SURFACES)
async def test_g17_gemini_cuts_at_the_first_five(
    http: aiohttp.ClientSession, gateway: str, path: str
) -> None:
    _, text = await ask(http, gateway, path, ["b #", "", "b #", *STOPS[:4], "said"], stream=False)
    said, reason, stop = read(path, text, stream=False)

    assert said == "You "
    assert (reason, stop) == (("stop_sequence", "said") if path == "/v1/messages" else ("stop", None))
    _, text = await ask(http, gateway, path, ["b #", *STOPS[:4], "and more"], stream=False)
    assert read(path, text, stream=False)[0] == "You said: [[chunks 40]] "


@pytest.mark.row("G17")
@pytest.mark.parametrize("path", SURFACES)
async def test_g17_too_many_are_refused_by_the_clients_own_name(
    http: aiohttp.ClientSession, gateway: str, fake: Fake, path: str
) -> None:
    status, text = await ask(http, gateway, path, [f"s{i}" for i in range(70)], stream=False)

    assert (status, fake.calls) == (400, 0)
    assert SURFACES[path][1] in text
    assert (await ask(http, gateway, path, [f"s{i}" for i in range(69)], stream=False))[0] == 200
