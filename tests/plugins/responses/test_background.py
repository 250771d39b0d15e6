"""Background responses over HTTP: polled, followed from an event, cancelled, and left over by a dead process."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from gateway.plugin import SERVICES
from tests.support.frames import frames
from tests.support.servers import Fake, RawUpstream, Serve, chunked

F3 = "gemini-3-flash-preview"
BEGIN = b'data: {"candidates":[{"content":{"parts":[{"text":"Once"}]}}]}\r\n\r\n'
HANGING = [*chunked(BEGIN), None]


async def begin(http: aiohttp.ClientSession, base: str, **body: Any) -> Any:
    request = {"model": F3, "input": "hello there", "background": True, **body}
    async with http.post(f"{base}/v1/responses", json=request) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def get(http: aiohttp.ClientSession, base: str, name: str, **query: Any) -> tuple[int, Any]:
    async with http.get(f"{base}/v1/responses/{name}", params=query) as response:
        return response.status, await response.json()


async def events(http: aiohttp.ClientSession, base: str, name: str, **query: Any) -> list[Any]:
    """Return all events of a response, as it goes on."""
    request = {"stream": "true", **query}
    async with http.get(f"{base}/v1/responses/{name}", params=request) as response:
        assert response.content_type == "text/event-stream", await response.text()
        text = await response.text()
    return frames(text)


async def first(http: aiohttp.ClientSession, url: str, body: Any) -> Any:
    """Return the first event of a new response's stream, and disconnect."""
    async with http.post(url, json=body) as response:
        await response.content.readuntil(b"data: ")
        return json.loads(await response.content.readline())


async def test_a_background_response_is_queued_then_completed(
    http: aiohttp.ClientSession, gateway: str
) -> None:
    created = await begin(http, gateway)
    followed = await events(http, gateway, created["id"])
    _, final = await get(http, gateway, created["id"])

    assert (created["status"], created["background"], created["output"]) == ("queued", True, [])
    assert [event["sequence_number"] for event in followed] == list(range(len(followed)))
    assert [event["type"] for event in followed[:2]] == ["response.created", "response.in_progress"]
    assert followed[-1]["response"] == final
    assert final["output"][0]["content"][0]["text"] == "You said: hello there"
    assert final["usage"]["output_tokens"] > 0


async def test_events_go_on_after_a_cursor(http: aiohttp.ClientSession, gateway: str) -> None:
    name = (await begin(http, gateway))["id"]
    followed = await events(http, gateway, name)

    for after in (-1, 0, 3, len(followed) - 1, 5000):
        assert await events(http, gateway, name, starting_after=str(after)) == followed[after + 1 :]


async def test_a_client_that_leaves_its_stream_finds_the_rest(
    http: aiohttp.ClientSession, gateway: str
) -> None:
    body = {"model": F3, "input": "[[slow 1]] hi", "background": True, "stream": True}
    seen = await first(http, f"{gateway}/v1/responses", body)
    rest = await events(http, gateway, seen["response"]["id"], starting_after="0")

    assert (seen["type"], seen["sequence_number"]) == ("response.created", 0)
    assert [event["sequence_number"] for event in rest] == list(range(1, len(rest) + 1))
    assert rest[-1]["type"] == "response.completed"


async def test_the_sdk_polls_and_resumes(gateway: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{gateway}/v1", api_key="k", max_retries=0) as client:
        created = await client.responses.create(model=F3, input="hi", background=True)
        rest = await client.responses.retrieve(created.id, stream=True, starting_after=1)
        numbers = [event.sequence_number async for event in rest]
        final = await client.responses.retrieve(created.id)

    assert numbers == list(range(2, 2 + len(numbers)))
    assert (final.status, final.output_text) == ("completed", "You said: hi")


@pytest.mark.parametrize("how", ["cancel", "delete"])
async def test_a_background_response_is_cancelled_or_deleted(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream, how: str
) -> None:
    raw_upstream.scripts = [HANGING]
    base = await serve("", raw_upstream.url)
    seen = await first(
        http, f"{base}/v1/responses", {"model": F3, "input": "x", "background": True, "stream": True}
    )
    url = f"{base}/v1/responses/{seen['response']['id']}"
    answers = []
    for call in (http.post, http.post) if how == "cancel" else (http.delete,):
        async with call(f"{url}/cancel" if how == "cancel" else url) as response:
            answers.append(await response.json())
            assert response.status == 200
    await raw_upstream.left.wait()

    status, shown = await get(http, base, seen["response"]["id"])
    if how == "cancel":
        assert answers == [shown, shown]
        assert shown["status"] == "cancelled"
    else:
        assert (status, answers[0]["deleted"]) == (404, True)


async def test_a_failed_response_is_stored(http: aiohttp.ClientSession, gateway: str) -> None:
    name = (await begin(http, gateway, input="[[500]]"))["id"]
    followed = await events(http, gateway, name)
    _, final = await get(http, gateway, name)

    assert [event["type"] for event in followed][-2:] == ["response.failed", "error"]
    assert (final["status"], final["error"]["code"]) == ("failed", "server_error")


@pytest.mark.parametrize(
    ("body", "param"),
    [({"store": False}, "store"), ({"background": "yes"}, "background"), ({"background": 1}, "background")],
)
async def test_an_invalid_request_names_its_field(
    http: aiohttp.ClientSession, gateway: str, body: Any, param: str
) -> None:
    request = {"model": F3, "input": "x", "background": True, **body}
    async with http.post(f"{gateway}/v1/responses", json=request) as response:
        assert (response.status, (await response.json())["error"]["param"]) == (400, param)


async def test_another_key_does_not_find_the_response(http: aiohttp.ClientSession, gateway: str) -> None:
    name = (await begin(http, gateway))["id"]
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer other"}) as other:
        assert (await get(other, gateway, name))[0] == 404
        assert (await get(other, gateway, name, stream="true"))[0] == 404
        async with other.post(f"{gateway}/v1/responses/{name}/cancel") as response:
            assert response.status == 404


async def test_a_cursor_is_a_number_and_streams_are_of_the_background(
    http: aiohttp.ClientSession, gateway: str
) -> None:
    name = (await begin(http, gateway))["id"]
    status, answer = await get(http, gateway, name, stream="true", starting_after="x")
    direct = await begin(http, gateway, background=False)
    other_status, other = await get(http, gateway, direct["id"], stream="true")

    assert (status, answer["error"]["param"]) == (400, "starting_after")
    assert (other_status, other["error"]["param"]) == (400, "stream")


async def test_no_more_at_once_than_the_operator_allows(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [HANGING]
    base = await serve("plugins: {responses: {background: 1}}", raw_upstream.url)
    running = (await begin(http, base))["id"]
    body = {"model": F3, "input": "x", "background": True}
    async with http.post(f"{base}/v1/responses", json=body) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (429, "gateway_overloaded")
    async with http.post(f"{base}/v1/responses", json={**body, "background": False, "previous_response_id": running}) as response:  # fmt: skip
        assert (await response.json())["error"]["param"] == "previous_response_id"


async def test_a_response_of_a_dead_process_has_failed(
    http: aiohttp.ClientSession,
    serve: Serve,
    raw_upstream: RawUpstream,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw_upstream.scripts = [HANGING]
    config = f"state: {{file: {tmp_path}/state.db}}"
    base = await serve(config, raw_upstream.url)
    name = (await begin(http, base))["id"]
    other = await serve(config, raw_upstream.url)
    assert (await get(http, other, name))[1]["status"] in ("queued", "in_progress")
    async with http.post(f"{other}/v1/responses/{name}/cancel") as response:
        assert response.status == 409
    monkeypatch.setattr(
        "gateway.plugins.responses.stored.STALE", -1.0
    )  # as if the last heartbeat were long ago
    shown = (await get(http, other, name))[1]

    assert (shown["status"], shown["error"]["code"]) == ("failed", "server_error")


async def test_a_response_in_progress_at_the_end_of_the_process_has_failed(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream, tmp_path: Path
) -> None:
    raw_upstream.scripts = [HANGING]
    config = f"state: {{file: {tmp_path}/state.db}}"
    base = await serve(config, raw_upstream.url)
    body = {"model": F3, "input": "x", "background": True, "stream": True}
    seen = await first(http, f"{base}/v1/responses", body)
    await serve.stop()
    base = await serve(config, raw_upstream.url)
    shown = (await get(http, base, seen["response"]["id"]))[1]

    assert shown["status"] == "failed"
    assert "restarting" in shown["error"]["message"]


async def test_the_oldest_events_make_room(http: aiohttp.ClientSession, serve: Serve, fake: Fake) -> None:
    base = await serve("plugins: {responses: {background: 1}}", fake.url)
    names = []
    for _ in range(3):
        names.append((await begin(http, base))["id"])
        await events(http, base, names[-1])

    assert (await get(http, base, names[0], stream="true"))[0] == 400
    assert (await get(http, base, names[0]))[1]["status"] == "completed"
    assert await events(http, base, names[2])


def long_answer(size: int) -> list[bytes | None]:
    """Return a script of so many pieces of 10,000 bytes, and an end."""
    piece = b'data: {"candidates":[{"content":{"parts":[{"text":"%s"}]}}]}\r\n\r\n' % (b"x" * 10_000)
    return [
        *chunked(*[piece] * size, b'data: {"candidates":[{"finishReason":"STOP"}]}\r\n\r\n'),
        b"0\r\n\r\n",
    ]


@pytest.mark.row("A5")
async def test_a05_a_response_that_memory_is_refused_to_has_failed(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream
) -> None:
    """The refusal of the failure's own event ended the task, and readers saw no end."""
    raw_upstream.scripts = [long_answer(40)]
    base = await serve("plugins: {responses: {}}\nlimits: {memory: 1048576}\n", raw_upstream.url)
    name = (await begin(http, base))["id"]
    followed = await events(http, base, name)

    assert [event["type"] for event in followed[-2:]] == ["response.failed", "error"]
    assert [event["sequence_number"] for event in followed] == list(range(len(followed)))
    assert (await get(http, base, name))[1]["status"] == "failed"


@pytest.mark.row("A5")
async def test_a05_events_of_responses_that_have_ended_keep_to_their_bound(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream
) -> None:
    """They took twice `megabytes`, and more until the next response began."""
    raw_upstream.scripts = [long_answer(5)] * 5
    base = await serve("plugins: {responses: {megabytes: 1}}", raw_upstream.url)
    names: list[str] = []
    for _ in range(5):
        names.append((await begin(http, base))["id"])
        await events(http, base, names[-1])
    account = serve.app[SERVICES].memory

    assert account.used == account.kept
    assert 400_000 < account.kept <= 2**20
    assert (await events(http, base, names[-1]))[-1]["type"] == "response.completed"
