"""What the client is sent of Google's answer, and the tokens that are read on its way."""

import json

import pytest

from gateway.errors import BadRequest, GatewayError
from gateway.gemini.usage import TokenCounts
from gateway.plugins.native.response import UsageReader, created, render_error, returned

EVENT = b'data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":%d}}\r\n\r\n'  # fmt: skip


def test_headers_are_passed_on_and_an_upload_continues_through_the_gateway() -> None:
    headers = {
        "Content-Type": "application/json", "X-Goog-Upload-Url": "https://upload.google.example/upload?upload_id=1",
        "Retry-After": "5", "Set-Cookie": "a=b", "Transfer-Encoding": "chunked", "Server": "ESF",
    }  # fmt: skip

    assert dict(returned(headers, "https://gateway.example")) == {
        "Content-Type": "application/json",
        "x-goog-upload-url": "https://gateway.example/upload?upload_id=1",
        "Retry-After": "5",
    }


@pytest.mark.parametrize(
    ("answer", "names", "prompt"),
    [
        ({"file": {"name": "files/abc"}}, ["files/abc"], 0),
        ({"name": "cachedContents/c", "usageMetadata": {"totalTokenCount": 9}}, ["cachedContents/c"], 9),
        ({"name": "cachedContents/c", "usageMetadata": {"totalTokenCount": -9}}, ["cachedContents/c"], 0),
        ({"name": "batches/b-1"}, ["batches/b-1"], 0),
        ({"name": "models/veo/operations/1"}, ["models/veo/operations/1"], 0),
        ({"name": "models/x"}, [], 0),
        (["files/abc"], [], 0),
    ],
)
def test_the_names_of_created_resources(answer: object, names: list[str], prompt: int) -> None:
    assert created(json.dumps(answer).encode()) == (names, TokenCounts(prompt=prompt))


def test_tokens_of_a_stream_are_its_last_counts() -> None:
    reader = UsageReader("text/event-stream")
    stream = EVENT % 1 + EVENT % 5
    for i in range(0, len(stream), 7):
        reader.feed(stream[i : i + 7])

    assert reader.close() == TokenCounts(prompt=3, completion=5)


def test_tokens_of_a_whole_answer() -> None:
    reader = UsageReader("application/json; charset=UTF-8")
    reader.feed(b'{"usageMetadata": {"promptTokenCount": 4, ')
    reader.feed(b'"thoughtsTokenCount": 2}}')

    assert reader.close() == TokenCounts(prompt=4, thoughts=2)


@pytest.mark.parametrize(("kind", "data"), [("image/png", b"\x89PNG"), ("application/json", b"{no JSON"), ("text/event-stream", b"data: [1]\n\n")])  # fmt: skip
def test_an_unreadable_answer_has_no_tokens(kind: str, data: bytes) -> None:
    reader = UsageReader(kind)
    reader.feed(data)

    assert reader.close() == TokenCounts()


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (BadRequest("no"), 400, "INVALID_ARGUMENT"),
        (GatewayError("no"), 500, "INTERNAL"),
        (GatewayError("no", status=429), 429, "RESOURCE_EXHAUSTED"),
        (GatewayError("no", status=502), 502, "INTERNAL"),
    ],
)
def test_an_error_is_a_google_rpc_status(error: GatewayError, status: int, name: str) -> None:
    code, body = render_error(error, "")

    assert (code, json.loads(body)) == (status, {"error": {"code": status, "message": "no", "status": name}})


@pytest.mark.parametrize(
    ("statuses", "name"),
    [
        ((400, 402, 406, 411, 413, 414, 415, 417, 421, 422, 431), "INVALID_ARGUMENT"),
        ((404, 410), "NOT_FOUND"),
        ((405, 501), "UNIMPLEMENTED"),
        ((408, 503), "UNAVAILABLE"),
        ((412, 426, 428), "FAILED_PRECONDITION"),
        ((409,), "ABORTED"),
        ((416,), "OUT_OF_RANGE"),
        ((499,), "CANCELLED"),
    ],
)
def test_a_fault_of_the_request_is_no_internal_error(statuses: tuple[int, ...], name: str) -> None:
    bodies = [json.loads(render_error(GatewayError("no", status=status), "")[1]) for status in statuses]

    assert {body["error"]["status"] for body in bodies} == {name}


def test_an_error_holds_no_key() -> None:
    _, body = render_error(BadRequest("bad key AQ." + "x" * 30), "")

    assert b"AQ." not in body


@pytest.mark.row("A20")
@pytest.mark.parametrize("host", ["a\\q", "\\g<0>", "\\1", "a.example"])
def test_a20_the_host_of_an_upload_url_is_taken_literally(host: str) -> None:
    headers = {"X-Goog-Upload-URL": "https://google.example/upload?upload_id=1"}

    assert returned(headers, f"http://{host}")["X-Goog-Upload-URL"] == f"http://{host}/upload?upload_id=1"


@pytest.mark.parametrize("kind", ["text/event-stream", "application/json"])
def test_an_error_inside_an_answer_is_read(kind: str) -> None:
    error = b'{"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}'
    stream = EVENT % 1 + b"data: " + error + b"\r\n\r\n"
    reader = UsageReader(kind)
    reader.feed(stream if "event" in kind else error)
    reader.close()

    assert reader.failure is not None
    assert (reader.failure.code, reader.failure.upstream_status) == ("overloaded", 503)
    assert UsageReader(kind).failure is None


def message(text: str = "a", finish: str | None = None, index: int = 0, **more: object) -> bytes:
    candidate = {
        "index": index,
        "content": {"parts": [{"text": text}]},
        **({"finishReason": finish} if finish else {}),
    }
    return json.dumps({"candidates": [candidate], **more}).encode()


TOLD = {"promptTokenCount": 3, "candidatesTokenCount": 2}
BLOCKED = {
    "promptFeedback": {"blockReason": "SAFETY"},
    "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3},
}


@pytest.mark.row("A7")
@pytest.mark.parametrize(
    ("messages", "candidates", "early", "complete"),
    [
        ([message(finish="STOP", usageMetadata=TOLD)], 1, True, True),
        ([message(usageMetadata=TOLD)], 1, False, False),
        ([message(finish="STOP")], 1, False, False),
        ([message(finish="STOP", usageMetadata={"promptTokenCount": 3})], 1, False, False),
        ([message(usageMetadata=TOLD), message(finish="STOP")], 1, False, False),
        ([message(finish="STOP", usageMetadata=TOLD)], 2, False, True),
        ([message(finish="STOP"), message(finish="STOP", index=1, usageMetadata=TOLD)], 2, True, True),
        ([message(), message(finish="STOP", index=1, usageMetadata=TOLD)], 2, False, False),
        ([json.dumps(BLOCKED).encode()], 1, True, True),
        ([message(finish="STOP", usageMetadata=TOLD), b'{"error": {"code": 500}}'], 1, False, False),
        ([b"no JSON", message(finish="STOP", usageMetadata=TOLD)], 1, False, False),
        ([json.dumps({"embeddings": [], "usageMetadata": {"promptTokenCount": 3}}).encode()], 0, False, True),
        ([json.dumps({"embeddings": []}).encode()], 0, False, False),
    ],
)  # fmt: skip
def test_a07_an_answer_is_counted_with_the_end_of_all_candidates(
    messages: list[bytes], candidates: int, early: bool, complete: bool
) -> None:
    reader = UsageReader("text/event-stream", candidates)
    for payload in messages:
        reader.feed(b"data: " + payload + b"\r\n\r\n")
    assert reader.is_counted is early
    reader.close()
    assert reader.is_counted is complete


@pytest.mark.row("A7")
def test_a07_an_array_of_events_is_counted_at_its_end() -> None:
    reader = UsageReader("application/json")
    data = b"[" + message() + b",\r\n" + message(finish="STOP", usageMetadata=TOLD) + b"]"
    reader.feed(data[:-1])
    assert not reader.is_counted
    reader.feed(data[-1:])

    assert (reader.close(), reader.is_counted) == (TokenCounts(prompt=3, completion=2), True)


@pytest.mark.row("A7")
def test_a07_another_type_is_not_counted() -> None:
    reader = UsageReader("application/x-protobuf")
    reader.feed(message(finish="STOP", usageMetadata=TOLD))

    assert (reader.close(), reader.is_counted) == (TokenCounts(), False)
