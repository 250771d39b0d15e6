"""openai (Python): batches and uploads, which take several requests each."""

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import openai
from openai.types import Batch
from openai.types.chat import ChatCompletion

from tests.clients.common import CHAT_PROMPT, EMBED_MODEL, ISSUED_KEY, excerpt, expect_error

MODEL = "gemini-3.5-flash-lite"
SMALL_MODEL = "gemini-3.1-flash-lite"
"""A model that the emulator lets take 32,000 tokens; see run.sh."""
PART = 64 * 2**20
"""Bytes that OpenAI takes in one part of an upload."""
Endpoint = Literal["/v1/chat/completions", "/v1/responses", "/v1/embeddings"]


def checks(client: openai.OpenAI) -> dict[str, Callable[[], str]]:
    """Return the checks by name."""
    return {
        "uploads": partial(uploads, client),
        "upload_refused": partial(upload_refused, client),
        "batches": partial(batches, client),
        "batches_issued": partial(batches, client.with_options(api_key=ISSUED_KEY or client.api_key)),
        "batch_endpoints": partial(batch_endpoints, client),
        "batch_failed": partial(batch_failed, client),
        "batch_cancel": partial(batch_cancel, client),
    }


def uploads(client: openai.OpenAI) -> str:
    """Send a file in parts, as the SDK cuts it."""
    text = b"0123456789" * 1000
    upload = client.uploads.upload_file_chunked(
        file=text,
        filename="a.txt",
        bytes=len(text),
        mime_type="text/plain",
        purpose="user_data",
        part_size=4096,
    )
    assert upload.status == "completed", upload
    assert upload.file is not None
    assert client.files.content(upload.file.id).read() == text
    return upload.file.id[:8]


def upload_refused(client: openai.OpenAI) -> str:
    """A part that is too large, a cancelled upload, and a part of it."""
    upload = client.uploads.create(
        bytes=PART + 1, filename="b.txt", mime_type="text/plain", purpose="user_data"
    )
    note = expect_error(
        lambda: client.uploads.parts.create(upload.id, data=bytes(PART + 1)),
        openai.APIStatusError,
        status=413,
    )
    client.uploads.parts.create(upload.id, data=b"abc")
    assert client.uploads.cancel(upload.id).status == "cancelled"
    expect_error(
        lambda: client.uploads.parts.create(upload.id, data=b"abc"), openai.BadRequestError, status=400
    )
    return note


def chat_body(content: str, model: str = MODEL) -> dict[str, Any]:
    """Return a line's body for chat completions."""
    return {"model": model, "messages": [{"role": "user", "content": content}]}


def created(client: openai.OpenAI, url: Endpoint, lines: dict[str, Any], method: str = "POST") -> Batch:
    """Create a batch of bodies by custom id."""
    entries = [
        {"custom_id": name, "method": method, "url": url, "body": body} for name, body in lines.items()
    ]
    data = "\n".join(map(json.dumps, entries)).encode()
    file = client.files.create(file=("in.jsonl", data), purpose="batch")
    batch = client.batches.create(
        input_file_id=file.id, endpoint=url, completion_window="24h", metadata={"job": "1"}
    )
    assert (batch.status, batch.metadata) == ("validating", {"job": "1"}), batch
    return batch


def reached(client: openai.OpenAI, batch: Batch, status: str) -> Batch:
    """Return the batch once it has a status. Raises AssertionError for an unexpected one, and after a minute."""
    until = time.monotonic() + 60
    while (batch := client.batches.retrieve(batch.id)).status != status:
        assert batch.status in ("validating", "in_progress", "finalizing", "cancelling"), batch
        assert time.monotonic() < until, batch
        time.sleep(0.2)
    return batch


def content(client: openai.OpenAI, file: str | None) -> list[dict[str, Any]]:
    """Return the lines of a batch's file."""
    assert file is not None, "no file"
    return [json.loads(line) for line in client.files.content(file).text.splitlines()]


def batches(client: openai.OpenAI) -> str:
    """A file of requests becomes a file of answers, in its order, and one of errors."""
    lines = {
        "b": chat_body("Hello b"),
        "bad": chat_body("word " * 40_000, SMALL_MODEL),
        "a": chat_body("Hello a"),
    }
    first, second = (created(client, "/v1/chat/completions", lines) for _ in range(2))
    listed = [entry.id for entry in client.batches.list(limit=1)]
    assert listed[:2] == [second.id, first.id], listed
    batch = reached(client, first, "completed")
    answers = content(client, batch.output_file_id)
    assert [answer["custom_id"] for answer in answers] == ["b", "a"]
    for answer in answers:
        completion = ChatCompletion.model_validate(answer["response"]["body"], strict=True)
        assert completion.choices[0].message.content, completion
    (error,) = content(client, batch.error_file_id)
    assert (error["custom_id"], error["response"]["status_code"]) == ("bad", 400), error
    assert batch.request_counts, batch
    assert (batch.request_counts.completed, batch.request_counts.failed) == (2, 1), batch
    assert batch.usage, batch
    reached(client, second, "completed")
    return f"{len(answers)} answers, {batch.usage.total_tokens} tokens"


def batch_endpoints(client: openai.OpenAI) -> str:
    """Batches of responses and of embeddings."""
    spoken = created(client, "/v1/responses", {"r": {"model": MODEL, "input": CHAT_PROMPT}})
    embedded = created(client, "/v1/embeddings", {"e": {"model": EMBED_MODEL, "input": ["a", "b"]}})
    (answer,) = content(client, reached(client, spoken, "completed").output_file_id)
    response = openai.types.responses.Response.model_validate(answer["response"]["body"])
    (vectors,) = content(client, reached(client, embedded, "completed").output_file_id)
    assert len(vectors["response"]["body"]["data"]) == 2, vectors
    return excerpt(response.output_text)


def batch_failed(client: openai.OpenAI) -> str:
    """A file whose lines are wrong, and the cancellation of a batch that has failed."""
    lines = {name: chat_body(name) for name in ("x", "y", "z")}
    failed = reached(client, created(client, "/v1/chat/completions", lines, "GET"), "failed")
    assert failed.errors is not None, failed
    assert [error.line for error in failed.errors.data or ()] == [1, 2, 3], failed
    return expect_error(lambda: client.batches.cancel(failed.id), openai.ConflictError, status=409)


def batch_cancel(client: openai.OpenAI) -> str:
    """A batch that is cancelled at once."""
    batch = created(client, "/v1/chat/completions", {"a": chat_body("Hello")})
    assert client.batches.cancel(batch.id).status in ("cancelling", "cancelled")
    return reached(client, batch, "cancelled").status
