"""google-genai (Python): the native Gemini surface."""

import asyncio
import io
import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from google import genai
from google.genai import errors, types
from pydantic import BaseModel

from tests.clients.common import (
    API_KEY,
    BAD_KEY,
    CHAT_PROMPT,
    EMBED_MODEL,
    IMAGE_PROMPT,
    ISSUED_KEY,
    MODEL,
    PNG,
    ROOT_URL,
    SCHEMA_PROMPT,
    TOOL_PROMPT,
    TOOL_RESULT,
    Check,
    excerpt,
    expect_error,
    is_paris,
    run,
    tool_note,
)
from tests.support.tls_front import encrypted

LIVE_MODEL = "gemini-3.8-live"


class Person(BaseModel):
    """What SCHEMA_PROMPT asks for."""

    name: str
    age: int


def connect(key: str) -> genai.Client:
    """Return a client of the gateway."""
    return genai.Client(
        api_key=key, vertexai=False, http_options=types.HttpOptions(base_url=ROOT_URL, timeout=60_000)
    )


CLIENT = connect(API_KEY)


def models() -> str:
    count = len(list(CLIENT.models.list()))
    assert count, "no models"
    return f"{count} models"


def chat() -> str:
    config = types.GenerateContentConfig(system_instruction="Be terse.", temperature=0)
    return excerpt(CLIENT.models.generate_content(model=MODEL, contents=CHAT_PROMPT, config=config).text)


def stream() -> str:
    texts = [
        chunk.text or "" for chunk in CLIENT.models.generate_content_stream(model=MODEL, contents=CHAT_PROMPT)
    ]
    assert "".join(texts), "no text"
    return f"{len(texts)} chunks"


def tools() -> str:
    cities = []

    def get_weather(city: str) -> str:
        """Weather for a city."""
        cities.append(city)
        return TOOL_RESULT

    config = types.GenerateContentConfig(tools=[get_weather])
    answer = CLIENT.models.generate_content(model=MODEL, contents=TOOL_PROMPT, config=config)
    assert cities, "the tool was not called"
    assert is_paris(cities[0]), cities
    return tool_note(answer.text)


def structured() -> str:
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Person)
    answer = CLIENT.models.generate_content(model=MODEL, contents=SCHEMA_PROMPT, config=config)
    assert isinstance(answer.parsed, Person), answer.text
    return repr(answer.parsed)


def image() -> str:
    part = types.Part.from_bytes(data=PNG, mime_type="image/png")
    contents: list[Any] = [IMAGE_PROMPT, part]
    return excerpt(CLIENT.models.generate_content(model=MODEL, contents=contents).text)


def count_tokens() -> str:
    count = CLIENT.models.count_tokens(model=MODEL, contents="hi").total_tokens
    assert count, count
    return str(count)


def embeddings() -> str:
    vectors = CLIENT.models.embed_content(model=EMBED_MODEL, contents="a").embeddings
    assert vectors, "no embeddings"
    assert vectors[0].values, vectors
    return f"{len(vectors[0].values)} dimensions"


def interactions(key: str = API_KEY) -> str:
    """An interaction, and its events: under `/v1`, which the SDK takes by itself."""
    client: Any = connect(key)
    answer = client.interactions.create(model=MODEL, input=CHAT_PROMPT)
    assert answer.usage.total_tokens, answer
    events = [event.event_type for event in client.interactions.create(model=MODEL, input="hi", stream=True)]
    assert events[-1] == "interaction.completed", events
    return excerpt(answer.steps[-1].content[0].text)


def files(key: str = API_KEY) -> str:
    """An upload, which the SDK continues without its key at the address that the gateway gives it."""
    client = connect(key)
    file = client.files.upload(file=io.BytesIO(b"hello"), config={"mime_type": "text/plain"})
    assert file.size_bytes == 5, file
    name = str(file.name)
    assert client.files.get(name=name).name == name
    if key == API_KEY:  # a project's list has the files of other issued keys as well
        assert name in [entry.name for entry in client.files.list()]
    contents: list[Any] = ["What is in the file?", file]
    answer = client.models.generate_content(model=MODEL, contents=contents)
    client.files.delete(name=name)
    return excerpt(answer.text)


def issued(check: Callable[[str], str]) -> Check | None:
    """Return a check with an issued key; None where the gateway has issued none."""
    return partial(check, ISSUED_KEY) if ISSUED_KEY else None


def caches() -> str:
    contents: list[Any] = ["word " * 4000]
    config = types.CreateCachedContentConfig(contents=contents, ttl="300s")
    cache = CLIENT.caches.create(model=MODEL, config=config)
    name = str(cache.name)
    CLIENT.caches.update(name=name, config=types.UpdateCachedContentConfig(ttl="600s"))
    use = types.GenerateContentConfig(cached_content=name)
    usage = CLIENT.models.generate_content(model=MODEL, contents="hi", config=use).usage_metadata
    assert usage, "no usage"
    assert usage.cached_content_token_count, usage
    CLIENT.caches.delete(name=name)
    return f"{usage.cached_content_token_count} cached tokens"


def batches() -> str:
    """A batch of two requests with a key of the client's own, and with an issued one."""
    notes = [batch(key) for key in (API_KEY, ISSUED_KEY) if key]
    return ", ".join(notes)


def batch(key: str) -> str:
    """Create a batch, read it until it is done, and delete it; cancel another."""
    client = genai.Client(api_key=key, vertexai=False, http_options=types.HttpOptions(base_url=ROOT_URL))
    request = types.InlinedRequest(contents=CHAT_PROMPT, metadata={"key": "1"})
    job = client.batches.create(model=MODEL, src=[request, request], config={"display_name": "two"})
    name = str(job.name)
    for _ in range(3):
        job = client.batches.get(name=name)
    assert (job.done, job.display_name) == (True, "two"), job
    responses = (job.dest and job.dest.inlined_responses) or []
    assert len(responses) == 2, job
    assert responses[1].response, responses
    assert responses[1].metadata == {"key": "1"}, responses
    client.batches.delete(name=name)
    other = str(client.batches.create(model=MODEL, src=[request]).name)
    client.batches.cancel(name=other)
    state = client.batches.get(name=other).state
    assert state == types.JobState.JOB_STATE_CANCELLED, state
    return excerpt(responses[1].response.text)


def batch_file() -> str:
    """A batch of a file's lines, whose answers are downloaded."""
    line = {"key": "a", "request": {"contents": [{"role": "user", "parts": [{"text": CHAT_PROMPT}]}]}}
    file = CLIENT.files.upload(
        file=io.BytesIO(json.dumps(line).encode() + b"\n"),
        config=types.UploadFileConfig(mime_type="application/jsonl"),
    )
    job = CLIENT.batches.create(model=MODEL, src=str(file.name))
    for _ in range(3):
        job = CLIENT.batches.get(name=str(job.name))
    assert job.dest, job
    (answer,) = CLIENT.files.download(file=str(job.dest.file_name)).splitlines()
    assert json.loads(answer)["key"] == "a", answer
    return excerpt(json.loads(answer)["response"]["candidates"][0]["content"]["parts"][0]["text"])


def auth_tokens() -> str:
    name = str(CLIENT.auth_tokens.create(config=types.CreateAuthTokenConfig(uses=1)).name)
    assert name.startswith("auth_tokens/"), name
    return name[:14]


def live(key: str = API_KEY) -> str:
    """A Live session with a key, and one with a token. The SDK opens it over TLS only."""

    async def talk() -> str:
        with tempfile.TemporaryDirectory() as folder:
            async with encrypted(ROOT_URL, Path(folder)) as options:
                words = await said(key, "v1beta", options)
                client = connect(key)  # without a reference the client is collected, and closes itself
                token = str(client.auth_tokens.create(config=types.CreateAuthTokenConfig(uses=1)).name)
                assert await said(token, "v1alpha", options) == words
                return words

    return excerpt(asyncio.run(talk()))


async def said(key: str, version: str, options: dict[str, Any]) -> str:
    """Return the words of one answer in a Live session."""
    client = genai.Client(
        api_key=key, vertexai=False, http_options=types.HttpOptions(api_version=version, **options)
    )
    config = types.LiveConnectConfig(output_audio_transcription=types.AudioTranscriptionConfig())
    async with client.aio.live.connect(model=LIVE_MODEL, config=config) as session:
        turn = types.Content(role="user", parts=[types.Part(text=CHAT_PROMPT)])
        await session.send_client_content(turns=turn, turn_complete=True)
        messages = [message async for message in session.receive()]
    assert any(message.data for message in messages), "no sound"
    assert messages[-1].usage_metadata, "no usage"
    spoken = [m.server_content.output_transcription for m in messages if m.server_content]
    return "".join(part.text or "" for part in spoken if part)


def download() -> str:
    """A generated file: the emulator redirects as Google does, and the gateway leads the redirect to itself."""
    data = CLIENT.files.download(file="files/generated")
    assert data, "no bytes"
    return f"{len(data)} bytes"


def badkey() -> str:
    """Google's own answer to a key that does not exist is a 400, and this surface answers as Google does."""
    client = connect(BAD_KEY)  # without a reference the client is collected, and closes itself
    return expect_error(
        lambda: client.models.generate_content(model=MODEL, contents="x"),
        errors.ClientError,
        status=400,
        message="API key not valid. Please pass a valid API key.",
    )


if __name__ == "__main__":
    run(
        "google-genai",
        {
            "models": models,
            "chat": chat,
            "stream": stream,
            "tools": tools,
            "structured": structured,
            "image": image,
            "count_tokens": count_tokens,
            "embeddings": embeddings,
            "interactions": interactions,
            "files": files,
            "download": download,
            "caches": caches,
            "batches": batches,
            "batch_file": batch_file,
            "auth_tokens": auth_tokens,
            "live": live,
            "interactions_issued": issued(interactions),
            "files_issued": issued(files),
            "live_issued": issued(live),
            "badkey": badkey,
        },
    )
