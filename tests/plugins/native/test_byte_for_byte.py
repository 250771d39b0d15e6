"""What Google's SDK sends reaches Google byte for byte, and what Google answers reaches the SDK byte for byte."""

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import httpx2 as httpx
import pytest
from aiohttp.test_utils import TestServer
from google import genai
from google.genai import errors, types
from msgspec import Struct, json

from tests.support.native_traffic import HOP_BY_HOP, RECORDS, M, Received, Recorded, Replaying, google
from tests.support.servers import Serve, upstream_of
from tests.support.team import Team

OWN = "AIza-own-key-of-a-client"
MARKS = {"x-gemini-gateway-hop", "x-goog-api-client"}
"""Headers that the gateway adds: a mark by which loops are found, and its name where a client gives none."""
READ = ("content-type", "x-goog-upload-status", "x-gemini-service-tier", "retry-after", "content-disposition")
"""Headers of answers that SDKs, and those who use them, read. An upload's URL is the gateway's."""
CONTENT = {"contents": [{"parts": [{"text": "<hi> & 'é' 😀"}]}]}


class Seen(Struct):
    """An answer as the SDK has got it."""

    status: int
    headers: dict[str, str]
    body: bytearray


class Noting(httpx.SyncByteStream):
    """The body of an answer, of which a copy is kept."""

    def __init__(self, stream: Any, copy: bytearray) -> None:
        self._stream, self._copy = stream, copy

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._stream:
            self._copy += piece
            yield piece

    def close(self) -> None:
        self._stream.close()


class Tap(httpx.BaseTransport):
    """The SDK's way to the network, which keeps all answers."""

    def __init__(self) -> None:
        self._network = httpx.HTTPTransport()
        self.answers: list[Seen] = []

    def close(self) -> None:
        self._network.close()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._network.handle_request(request)
        seen = Seen(response.status_code, dict(response.headers), bytearray())
        self.answers.append(seen)
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=Noting(response.stream, seen.body),
            extensions=response.extensions,
        )


def chat(client: Any) -> Any:
    """Two turns of a chat, the second streamed."""
    conversation = client.chats.create(model=M, config=types.GenerateContentConfig(temperature=0.5))
    first = conversation.send_message("<hi> & 'é' 😀").text
    return first, [chunk.text for chunk in conversation.send_message_stream("again")]


def upload(client: Any) -> Any:
    """Files in one piece and in several: the SDK sends 8 MiB at once."""
    small = client.files.upload(
        file=io.BytesIO(bytes(range(256))), config={"mime_type": "text/plain", "display_name": "é"}
    )
    large = client.files.upload(file=io.BytesIO(bytes(9 * 2**20)), config={"mime_type": "video/mp4"})
    return small.name, large.name


def batches(client: Any) -> Any:
    inline = client.batches.create(
        model=M, src=[{**CONTENT, "metadata": {"k": "v"}}], config={"display_name": "<é>"}
    )
    of_file = client.batches.create(model=M, src="files/abc")
    state = client.batches.get(name=inline.name).state
    client.batches.cancel(name=of_file.name)
    names = [job.name for job in client.batches.list(config={"page_size": 5})]
    client.batches.delete(name=of_file.name)
    return state, names


def caches(client: Any) -> Any:
    contents: list[Any] = ["<long>"]
    config = types.CreateCachedContentConfig(contents=contents, ttl="60s", display_name="x & y")
    cache = client.caches.create(model=M, config=config)
    client.caches.update(name=cache.name, config={"ttl": "90s"})
    result = client.caches.get(name=cache.name).model, [entry.name for entry in client.caches.list()]
    client.caches.delete(name=cache.name)
    return result


def interactions(client: Any) -> Any:
    whole = client.interactions.create(model=M, input="<hi> & 'é'")
    events = [event.event_type for event in client.interactions.create(model=M, input="x", stream=True)]
    again = client.interactions.get(id=whole.id).status
    client.interactions.delete(id=whole.id)
    return again, events


def functions(client: Any) -> Any:
    declaration: Any = {
        "name": "f",
        "description": "<f>",
        "parameters_json_schema": {"type": "object", "title": "é"},
    }
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[types.FunctionDeclaration(**declaration)])]
    )
    return client.models.generate_content(model=M, contents="x", config=config).text


USES: dict[str, Callable[[Any], Any]] = {
    "chats": chat,
    "functions": functions,
    "count_tokens": lambda client: client.models.count_tokens(model=M, contents="x").total_tokens,
    "embed_content": lambda client: client.models.embed_content(model="gemini-embedding-001", contents="x").embeddings,
    "models": lambda client: [client.models.get(model=M).name, *(model.name for model in client.models.list())],
    "files.upload": upload,
    "files.download": lambda client: client.files.download(file="files/abc"),
    "files": lambda client: [client.files.get(name="files/abc").name, *(file.name for file in client.files.list(config={"page_size": 3}))],
    "files.delete": lambda client: client.files.delete(name="files/abc") is not None,
    "caches": caches,
    "batches": batches,
    "embedding batches": lambda client: client.batches.create_embeddings(
        model="gemini-embedding-001", src={"inlined_requests": {"contents": ["a", "é"]}}
    ).name,
    "operations": lambda client: client.operations.get(
        types.GenerateVideosOperation.model_validate({"name": "models/veo-3.1-generate-preview/operations/o1"})
    ).response,
    "interactions": interactions,
    "auth_tokens": lambda client: client.auth_tokens.create(config={"uses": 1, "expire_time": "2026-12-01T00:00:00Z"}).name,
    "file_search_stores": lambda client: client.file_search_stores.create(config={"display_name": "<x>"}).name,
}  # fmt: skip


@pytest.fixture
async def upstream() -> Replaying:
    return Replaying(google)


@pytest.fixture
async def url(upstream: Replaying, aiohttp_server: Callable[..., Awaitable[TestServer]]) -> str:
    """The upstream's address."""
    return await upstream_of(aiohttp_server, upstream.answer)


@pytest.fixture
async def base(serve: Serve, url: str) -> str:
    return await serve("plugins: {native: {}}", url)


async def run(base: str, use: Callable[[Any], Any], version: str = "v1beta") -> tuple[Any, list[Seen]]:
    """Return what the SDK makes of its answers, and the answers."""
    tap = Tap()
    options = types.HttpOptions(
        base_url=base,
        api_version=version,
        client_args={"transport": tap},
        retry_options=types.HttpRetryOptions(attempts=1),
    )

    def call() -> Any:
        with genai.Client(api_key=OWN, http_options=options) as client:
            return use(client)

    return await asyncio.to_thread(call), tap.answers


def without_hop_by_hop(received: Received) -> dict[str, str]:
    return {name: value for name, value in received.headers.items() if name not in HOP_BY_HOP}


@pytest.mark.row("N2")
@pytest.mark.filterwarnings("ignore:.*experimental")
@pytest.mark.parametrize("version", ["v1", "v1beta"])
@pytest.mark.parametrize("name", USES)
async def test_n2_googles_sdk_and_google_see_what_they_would_without_a_gateway(
    upstream: Replaying, url: str, base: str, name: str, version: str
) -> None:
    result, answers = await run(url, USES[name], version)
    direct = list(upstream.received)
    upstream.received.clear()
    through_result, through_answers = await run(base, USES[name], version)

    assert direct
    for request, original in zip(upstream.received, direct, strict=True):
        assert (request.method, request.path, request.body) == (original.method, original.path, original.body)
        headers, sent = without_hop_by_hop(request), without_hop_by_hop(original)
        assert {name: headers.get(name) for name in sent} == sent
        assert headers.keys() - sent.keys() <= MARKS
    for answer, of_google in zip(through_answers, answers, strict=True):
        assert (answer.status, answer.body) == (of_google.status, of_google.body)
        for header in READ:
            assert answer.headers.get(header) == of_google.headers.get(header), header
    assert str(through_result) == str(result)


@pytest.mark.row("N2")
@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("issued", [False, True])
async def test_n2_an_answer_arrives_as_google_sent_it_however_it_is_cut(
    serve: Serve, tmp_path: Any, upstream: Replaying, url: str, name: str, issued: bool
) -> None:
    record = RECORDS[name]
    upstream.choose = lambda _: record
    team = Team(serve, tmp_path, url)
    key = team.issue() if issued else OWN
    await team.start("a")
    path, body = f"/v1beta/models/{M}:generateContent", json.encode(CONTENT)
    if "interaction" in name:
        path, body = "/v1/interactions", b'{"model":"%s","input":"x","store":false}' % M.encode()
    async with aiohttp.ClientSession() as http:
        for upstream.cut in (0, 1, 7, 64):
            async with http.post(team.base + path, data=body, headers={"x-goog-api-key": key}) as response:
                answer = await response.read()

            if (
                issued and record.status != 200
            ):  # the error is the gateway's own, and the key cools down after it
                assert response.status == record.status
                return
            assert (response.status, answer) == (record.status, record.body), upstream.cut
            assert response.headers["Content-Type"] == record.content_type
            sent = upstream.received.pop()
            assert json.decode(sent.body) == json.decode(body)
            assert issued or sent.body == body
            for header, value in record.headers:
                assert header == "server-timing" or response.headers[header] == value


@pytest.mark.row("N2")
async def test_n2_a_stream_arrives_whole_at_every_cut(base: str, upstream: Replaying) -> None:
    record = RECORDS["stream"]
    body = b"data: " + record.body.rpartition(b"data: ")[2]
    upstream.choose = lambda _: Recorded(body, record.content_type)
    path = f"{base}/v1beta/models/{M}:streamGenerateContent?alt=sse"
    async with aiohttp.ClientSession(headers={"x-goog-api-key": OWN}) as http:
        for cut in range(1, len(body)):
            upstream.cut = cut
            async with http.post(path, json=CONTENT) as response:
                assert await response.read() == body, cut


@pytest.mark.row("N2")
@pytest.mark.parametrize("cut", [1, 5, 33, 400])
async def test_n2_the_sdk_reads_the_same_chunks_at_every_cut(
    base: str, url: str, upstream: Replaying, cut: int
) -> None:
    def chunks(client: Any) -> Any:
        return [chunk.model_dump(exclude={"sdk_http_response"}) for chunk in client.models.generate_content_stream(model=M, contents="x")]  # fmt: skip

    expected, _ = await run(url, chunks)
    upstream.cut = cut
    result, _ = await run(base, chunks)

    assert len(expected) == 6
    assert result == expected


@pytest.mark.row("N2")
@pytest.mark.parametrize("stream", [False, True])
async def test_n2_the_sdk_raises_googles_own_error(
    base: str, url: str, upstream: Replaying, stream: bool
) -> None:
    upstream.choose = lambda _: RECORDS["quota of a stream" if stream else "quota"]

    def refused(client: Any) -> Any:
        models = client.models
        with pytest.raises(errors.ClientError) as refusal:
            list(
                (models.generate_content_stream if stream else models.generate_content)(model=M, contents="x")
            )
        error = refusal.value
        return error.code, error.status, error.message, error.details

    expected, _ = await run(url, refused)
    assert expected[0] == 429
    assert (await run(base, refused))[0] == expected
