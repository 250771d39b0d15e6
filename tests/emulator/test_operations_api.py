"""Videos as long-running operations, by REST as Google's JavaScript SDK does, and by `operations.get` of the Python one."""

import asyncio
from typing import Any

import pytest
from google import genai
from google.genai import types

from tests.support.emulator import call
from tests.support.servers import Fake

VEO = "veo-3.1-generate-preview"
PROMPT = {"instances": [{"prompt": "a cat"}], "parameters": {"sampleCount": 2}}


@pytest.mark.parametrize("through", ["fake", "gateway"])
@pytest.mark.parametrize("version", ["v1", "v1beta"])
async def test_a_video_is_done_at_the_second_read_and_downloaded(
    fake: Fake, gateway: str, through: str, version: str
) -> None:
    base = gateway if through == "gateway" else fake.url
    _, begun = await call("POST", f"{base}/{version}/models/{VEO}:predictLongRunning", PROMPT)
    assert list(begun) == ["name"]

    def use() -> Any:
        client = genai.Client(api_key="k", http_options={"base_url": base, "api_version": version})
        operation = types.GenerateVideosOperation.model_validate(begun)
        first, second = client.operations.get(operation), client.operations.get(operation)
        # the emulator's redirect names Google's host, which the gateway replaces by its own
        downloads = genai.Client(api_key="k", http_options={"base_url": gateway, "api_version": version})
        videos = (second.response and second.response.generated_videos) or []
        return first.done, [downloads.files.download(file=str(v.video and v.video.uri)) for v in videos]

    done, videos = await asyncio.to_thread(use)
    assert done is None
    assert [data[4:8] for data in videos] == [b"ftyp"] * 2
    _, listed = await call("GET", f"{base}/{version}/models/{VEO}/operations")
    assert [entry["name"] for entry in listed["operations"]] == [begun["name"]]


@pytest.mark.parametrize(
    ("model", "body", "status"),
    [("gemini-2.5-flash", PROMPT, 404), (VEO, {}, 400), (VEO, {"instances": []}, 400)],
)
async def test_it_refuses_what_google_refuses(fake: Fake, model: str, body: Any, status: int) -> None:
    assert (await call("POST", f"{fake.url}/v1/models/{model}:predictLongRunning", body))[0] == status
    assert (await call("GET", f"{fake.url}/v1/models/{model}/operations/none"))[0] == 404
