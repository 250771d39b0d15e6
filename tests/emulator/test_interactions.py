"""Interactions of the emulator, also by the real SDK: answers, events, what is stored, and refusals."""

import asyncio
from typing import Any

import aiohttp
import pytest
from google import genai

from tests.support.emulator import call
from tests.support.servers import Fake

M = "gemini-2.5-flash"


@pytest.mark.row("N3")
@pytest.mark.parametrize("through", ["fake", "gateway"])
async def test_n3_googles_sdk_talks_to_it(fake: Fake, gateway: str, through: str) -> None:
    def ask() -> tuple[Any, Any, Any]:
        client: Any = genai.Client(
            api_key="k", http_options={"base_url": gateway if through == "gateway" else fake.url}
        )
        whole = client.interactions.create(model=M, input="hi")
        again = client.interactions.get(id=whole.id)
        events = list(
            client.interactions.create(model=M, input="hi", previous_interaction_id=whole.id, stream=True)
        )
        client.interactions.delete(id=whole.id)
        return whole, again, events

    whole, again, events = await asyncio.to_thread(ask)
    assert whole.steps[0].content[0].text == again.steps[0].content[0].text == "You said: hi"
    assert whole.usage.total_tokens > whole.usage.total_input_tokens > 0
    assert [event.event_type for event in events][-1] == "interaction.completed"
    assert events[-1].interaction.usage.total_output_tokens > 0


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"model": M}, 400, "input"), ({"input": "x"}, 400, "model"), ({"model": "none-1", "input": "x"}, 404, "none-1"),
        ({"agent": "none", "input": "x"}, 404, "none"), ({"model": M, "input": "x", "nope": 1}, 400, "nope"),
        ({"model": M, "input": "x", "previous_interaction_id": "v1_none"}, 404, "not found"),
        ({"agent": "deep-research-pro", "input": "x", "store": False}, 200, ""),
        ({"model": M, "input": [{"type": "user_input", "content": [{"type": "text", "text": "x"}]}]}, 200, ""),
    ],
)  # fmt: skip
async def test_it_refuses_what_google_refuses(fake: Fake, body: Any, status: int, words: str) -> None:
    code, answer = await call("POST", f"{fake.url}/v1/interactions", body)
    assert (code, words in str(answer)) == (status, True), answer


async def test_what_is_not_stored_is_not_found(fake: Fake) -> None:
    _, answer = await call(
        "POST", f"{fake.url}/v1beta/interactions", {"model": M, "input": "x", "store": False}
    )
    for method in ("GET", "DELETE"):
        assert (await call(method, f"{fake.url}/v1beta/interactions/{answer['id']}"))[0] == 404


async def test_the_file_of_another_key_is_refused(fake: Fake) -> None:
    key = {"x-goog-api-key": "AQ.other"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{fake.url}/upload/v1beta/files", data=b"RIFF", headers=key) as response,
    ):
        uri = (await response.json())["file"]["uri"]
    audio = {"type": "audio", "uri": uri, "mime_type": "audio/wav"}
    body = {"model": "gemini-3.5-transcribe", "input": [audio]}
    status, answer = await call("POST", f"{fake.url}/v1beta/interactions", body)

    assert (status, answer["error"]["status"]) == (403, "PERMISSION_DENIED")
