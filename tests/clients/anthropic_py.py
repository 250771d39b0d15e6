"""anthropic (Python): messages, token counts, models, files, batches."""

import time

import anthropic
from anthropic import Anthropic
from anthropic.types import FileNotDownloadableError, Message, MessageParam, ToolParam, ToolUseBlock
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from pydantic import BaseModel

from tests.clients.common import (
    API_KEY,
    BAD_KEY,
    CHAT_PROMPT,
    IMAGE_PROMPT,
    ISSUED_KEY,
    MODEL,
    PNG_B64,
    ROOT_URL,
    SCHEMA_PROMPT,
    TOOL_PROMPT,
    TOOL_RESULT,
    WEATHER_PARAMETERS,
    excerpt,
    expect_error,
    is_paris,
    run,
    tool_note,
)

CLIENT = Anthropic(base_url=ROOT_URL, api_key=API_KEY, max_retries=0, timeout=60)
TOOL: ToolParam = {"name": "get_weather", "description": "Weather", "input_schema": WEATHER_PARAMETERS}
MAX_TOKENS = 1000


class Person(BaseModel):
    """What SCHEMA_PROMPT asks for."""

    name: str
    age: int


def user(text: str) -> list[MessageParam]:
    """Return a conversation of one user message."""
    return [{"role": "user", "content": text}]


def text_of(message: Message) -> str:
    """Return a message's text blocks as one string."""
    return "".join(block.text for block in message.content if block.type == "text")


def tool_use(message: Message) -> ToolUseBlock:
    """Return the call of get_weather for Paris. Raises AssertionError if there is none."""
    block = next((block for block in message.content if isinstance(block, ToolUseBlock)), None)
    assert block, message.content
    assert isinstance(block.input, dict), block
    assert is_paris(block.input["city"]), block
    assert message.stop_reason == "tool_use", message.stop_reason
    return block


def models() -> str:
    ids = [model.id for model in CLIENT.models.list()]
    assert ids, "no models"
    return f"{len(ids)} models"


def chat() -> str:
    message = CLIENT.messages.create(
        model=MODEL,
        max_tokens=MAX_TOKENS,
        system="Be terse.",
        stop_sequences=["ZZZ"],
        messages=user(CHAT_PROMPT),
    )
    assert message.stop_reason == "end_turn", message.stop_reason
    assert message.usage.input_tokens, message.usage
    return excerpt(text_of(message))


def stream() -> str:
    with CLIENT.messages.stream(model=MODEL, max_tokens=MAX_TOKENS, messages=user(CHAT_PROMPT)) as events:
        count = sum(1 for _ in events.text_stream)
        message = events.get_final_message()
    assert count, "no deltas"
    assert text_of(message), "no text"
    assert message.stop_reason == "end_turn", message.stop_reason
    assert message.usage.output_tokens, message.usage
    return f"{count} deltas"


def tools() -> str:
    first = CLIENT.messages.create(
        model=MODEL, max_tokens=MAX_TOKENS, tools=[TOOL], messages=user(TOOL_PROMPT)
    )
    block = tool_use(first)
    answer = CLIENT.messages.create(
        model=MODEL,
        max_tokens=MAX_TOKENS,
        tools=[TOOL],
        messages=[
            *user(TOOL_PROMPT),
            {"role": "assistant", "content": first.content},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": block.id, "content": TOOL_RESULT}],
            },
        ],
    )
    return tool_note(text_of(answer))


def stream_tools() -> str:
    with CLIENT.messages.stream(
        model=MODEL,
        max_tokens=MAX_TOKENS,
        tools=[TOOL],
        tool_choice={"type": "any"},
        messages=user(TOOL_PROMPT),
    ) as events:
        return repr(tool_use(events.get_final_message()).input)


def structured() -> str:
    message = CLIENT.messages.parse(
        model=MODEL, max_tokens=MAX_TOKENS, messages=user(SCHEMA_PROMPT), output_format=Person
    )
    person = message.parsed_output
    assert isinstance(person, Person), person
    return repr(person)


def image() -> str:
    message = CLIENT.messages.create(
        model=MODEL,
        max_tokens=MAX_TOKENS,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": IMAGE_PROMPT},
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": PNG_B64},
                    },
                ],
            }
        ],
    )
    return excerpt(text_of(message))


def count_tokens() -> str:
    count = CLIENT.messages.count_tokens(model=MODEL, messages=user("hi")).input_tokens
    assert count, count
    return str(count)


def badkey() -> str:
    client = CLIENT.with_options(api_key=BAD_KEY)
    return expect_error(
        lambda: client.messages.create(model=MODEL, max_tokens=10, messages=user("x")),
        anthropic.AuthenticationError,
    )


def bearer() -> str:
    """`auth_token` sends the key in Authorization in place of x-api-key."""
    client = Anthropic(base_url=ROOT_URL, auth_token=API_KEY, api_key=None, max_retries=0)
    return excerpt(
        text_of(client.messages.create(model=MODEL, max_tokens=MAX_TOKENS, messages=user(CHAT_PROMPT)))
    )


def files() -> str:
    """Upload, list, use, delete; a client's own file cannot be downloaded."""
    file = CLIENT.beta.files.upload(file=("a.txt", b"The meeting is on Friday.", "text/plain"))
    assert (file.filename, file.mime_type, file.size_bytes) == ("a.txt", "text/plain", 25), file
    assert file.id in [entry.id for entry in CLIENT.beta.files.list(limit=1)]
    assert CLIENT.beta.files.retrieve_metadata(file.id) == file
    message = CLIENT.beta.messages.create(
        model=MODEL,
        max_tokens=MAX_TOKENS,
        betas=["files-api-2025-04-14"],
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "document", "source": {"type": "file", "file_id": file.id}},
                    {"type": "text", "text": CHAT_PROMPT},
                ],
            }
        ],
    )
    expect_error(lambda: CLIENT.beta.files.download(file.id), FileNotDownloadableError, status=400)
    assert CLIENT.beta.files.delete(file.id).type == "file_deleted"
    expect_error(lambda: CLIENT.beta.files.retrieve_metadata(file.id), anthropic.NotFoundError, status=404)
    return excerpt("".join(block.text for block in message.content if block.type == "text"))


def batches() -> str:
    """A batch with a key of the client's own, and with an issued one: created, listed, read and deleted."""
    return ", ".join(batch(key) for key in (API_KEY, ISSUED_KEY) if key)


def batch(key: str) -> str:
    """Create a batch of a good and a bad request, read its results, and delete it."""
    client = CLIENT.with_options(api_key=key)
    good: MessageCreateParamsNonStreaming = {
        "model": MODEL,
        "max_tokens": MAX_TOKENS,
        "messages": user(CHAT_PROMPT),
    }
    created = client.messages.batches.create(
        requests=[
            {"custom_id": "good", "params": good},
            {"custom_id": "bad", "params": good | {"messages": []}},
        ]
    )
    assert created.id in [entry.id for entry in client.messages.batches.list(limit=1)]
    until = time.monotonic() + 60
    while (shown := client.messages.batches.retrieve(created.id)).processing_status != "ended":
        assert time.monotonic() < until, shown
        time.sleep(0.2)
    counts = shown.request_counts
    assert (counts.succeeded, counts.errored) == (1, 1), shown
    lines = {line.custom_id: line.result for line in client.messages.batches.results(created.id)}
    assert lines["bad"].type == "errored", lines
    assert lines["bad"].error.error.type == "invalid_request_error", lines
    assert lines["good"].type == "succeeded", lines
    assert client.messages.batches.delete(created.id).type == "message_batch_deleted"
    return excerpt(text_of(lines["good"].message))


if __name__ == "__main__":
    run(
        "anthropic-python",
        {
            "models": models,
            "chat": chat,
            "stream": stream,
            "tools": tools,
            "stream_tools": stream_tools,
            "structured": structured,
            "image": image,
            "count_tokens": count_tokens,
            "badkey": badkey,
            "bearer": bearer,
            "files": files,
            "batches": batches,
        },
    )
