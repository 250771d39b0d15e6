"""Messages, tools that Google ran in an earlier answer: what the next turn sends of them."""

import json
from typing import Any

import pytest

from gateway.conversation.translation import TranslationContext, translate
from gateway.gemini.stream_translator import StreamTranslator, decode
from gateway.gemini.thought_signatures import SignatureKeys
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.wire import encode_request
from gateway.plugins.messages.request import conversation
from gateway.plugins.messages.response import MessagesStream
from gateway.plugins.messages.wire import decode_request, encode
from tests.plugins.messages.test_golden import accumulated, message
from tests.support.frames import frames
from tests.support.models import TABLE

Object = dict[str, Any]
KEYS = SignatureKeys("client")
PARTS: list[Object] = [
    {"text": "First. "},
    {"toolCall": {"id": "t1", "toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["q"]}}, "thoughtSignature": "UzE="},
    {"toolResponse": {"id": "t1", "toolType": "GOOGLE_SEARCH_WEB", "response": {"x": 1}}, "thoughtSignature": "UzI="},
    {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "UzM="},
    {"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "no"}},
    {"text": "Second."},
    {"functionCall": {"name": "f", "args": {"city": "X"}, "id": "fc1"}, "thoughtSignature": "UzQ="},
]  # fmt: skip


def answered(*, streamed: bool) -> tuple[list[Object], dict[bytes, str]]:
    """Return the content of the answer, as a client has it, and the store."""
    numbers = iter(range(100))
    reader = TurnReader(lambda: f"toolu_{next(numbers)}", keyring=KEYS)
    encoder = MessagesStream(message(), grounded=True)
    chunks = [{"candidates": [{"content": {"parts": [part]}, "index": 0}]} for part in PARTS]
    chunks.append({"candidates": [{"finishReason": "STOP", "index": 0}]})
    if streamed:
        translator = StreamTranslator(reader, encoder)
        out = b"".join(translator.feed(b"data: " + json.dumps(chunk).encode() + b"\n\n") for chunk in chunks)
        content = accumulated(frames(out + translator.close()))
    else:
        events = [event for chunk in chunks for event in reader.feed(decode(json.dumps(chunk).encode()))]
        encoder.whole([*events, *reader.close(whole=True)])
        content = json.loads(encode(encoder.message["content"]))
    return content, {key: kept.signature for kept in reader.signed for key in kept.keys}


def sent(
    content: list[Object], stored: dict[bytes, str] | None = None, model: str = "gemini-3-flash-preview"
) -> tuple[list[Object], list[str]]:
    """Return the parts of the model's turn, and the notes."""
    answer = {"role": "assistant", "content": content}
    body = {
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "hi"}, answer, {"role": "user", "content": "go"}],
    }
    builder = conversation(decode_request(json.dumps(body)), strict=False)
    wanted = {key: (stored or {})[key] for key in builder.unsigned(KEYS) if key in (stored or {})}
    context = TranslationContext(model, TABLE.of(model), keys=KEYS, stored=wanted)
    translation = translate(builder, context)
    request = json.loads(encode_request(translation.request))
    return request["contents"][1]["parts"], translation.notes


@pytest.mark.row("T9")
@pytest.mark.parametrize("streamed", [True, False])
def test_t09_parts_go_back_as_they_came(*, streamed: bool) -> None:
    content, stored = answered(streamed=streamed)
    parts, notes = sent(content, stored)

    assert parts == PARTS
    assert not [note for note in notes if "tool_use" not in note and ".type=" in note]


@pytest.mark.row("T9")
@pytest.mark.parametrize("streamed", [True, False])
def test_t09_without_the_store_the_blocks_alone_bring_the_parts(*, streamed: bool) -> None:
    content, _ = answered(streamed=streamed)
    parts, _ = sent(content)

    assert [next(iter(part)) for part in parts] == [next(iter(part)) for part in PARTS]
    assert parts[1] == PARTS[1]
    assert parts[2]["thoughtSignature"] == "UzI="
    assert parts[3:5] == PARTS[3:5]
    assert parts[-1] == PARTS[-1]


@pytest.mark.row("T9")
def test_t09_a_client_that_drops_thoughts_has_its_parts_signed_from_the_store() -> None:
    content, stored = answered(streamed=False)
    parts, _ = sent([block for block in content if block["type"] != "thinking"], stored)

    assert parts == PARTS


@pytest.mark.row("T9")
def test_t09_a_result_in_a_later_place_goes_right_after_its_call() -> None:
    use = {"type": "server_tool_use", "id": "srvtoolu_a", "name": "code_execution", "input": {"code": "1"}}
    result = {"type": "code_execution_tool_result", "tool_use_id": "srvtoolu_a", "content": {
        "type": "code_execution_result", "stdout": "1\n", "stderr": "", "return_code": 0, "content": []}}  # fmt: skip
    parts, notes = sent([use, {"type": "text", "text": "x"}, result])

    assert [next(iter(part)) for part in parts] == ["executableCode", "codeExecutionResult", "text"]
    assert parts[1]["codeExecutionResult"] == {"outcome": "OUTCOME_OK", "output": "1\n", "id": "a"}
    assert notes == []


SEARCH: list[Object] = [
    {"type": "server_tool_use", "id": "srvtoolu_g_x_1", "name": "web_search", "input": {"query": "gold"}},
    {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_g_x_1", "content": [
        {"type": "web_search_result", "url": f"https://{n}.example", "title": f"T{n}", "encrypted_content": "EqgfCio"}
        for n in range(22)
    ]},
    {"type": "text", "text": "It rose."},
]  # fmt: skip


@pytest.mark.row("G7")
def test_g07_a_search_of_metadata_is_told_as_text_with_a_note() -> None:
    parts, notes = sent(SEARCH)

    assert parts[0]["text"] == '[web_search: {"query":"gold"}]'
    assert parts[1]["text"].startswith("[web_search_tool_result: T0 (https://0.example); T1 (")
    assert parts[1]["text"].endswith("T19 (https://19.example); 2 more]")
    assert "EqgfCio" not in json.dumps(parts)
    assert notes == [
        "messages.1.content.0.type=server_tool_use", "messages.1.content.1.type=web_search_tool_result"
    ]  # fmt: skip


@pytest.mark.row("G7")
@pytest.mark.parametrize(
    ("block", "text"),
    [
        ({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_9",
          "content": {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}}, "max_uses_exceeded"),
        ({"type": "bash_code_execution_tool_result", "tool_use_id": "srvtoolu_9",
          "content": {"type": "bash_code_execution_result", "stdout": "hello", "return_code": 0}}, "hello"),
        ({"type": "server_tool_use", "id": "srvtoolu_9", "name": "bash_code_execution", "input": {"command": "ls"}}, "ls"),
        ({"type": "web_search_tool_result", "tool_use_id": None, "content": []}, "web_search_tool_result"),
        ({"type": "code_execution_tool_result", "content": "text"}, "text"),
        ({"type": "server_tool_use"}, "server_tool_use"),
    ],
)  # fmt: skip
def test_g07_blocks_of_another_vendor_are_told_as_text(block: Object, text: str) -> None:
    parts, notes = sent([block, {"type": "text", "text": "x"}])

    assert text in parts[0]["text"]
    assert notes == [f"messages.1.content.0.type={block['type']}"]


def test_code_without_an_output_has_its_error() -> None:
    error = {"type": "code_execution_tool_result_error", "error_code": "execution_time_exceeded"}
    parts, _ = sent([{"type": "code_execution_tool_result", "tool_use_id": "x", "content": error}])

    assert parts[0]["codeExecutionResult"] == {
        "outcome": "OUTCOME_FAILED",
        "output": "execution_time_exceeded",
    }


@pytest.mark.row("T9")
def test_t09_a_model_without_such_tools_gets_no_search_of_another() -> None:
    content, stored = answered(streamed=False)
    parts, notes = sent(content, stored, "gemini-2.5-flash")

    assert [next(iter(part)) for part in parts] == [
        "text", "executableCode", "codeExecutionResult", "text", "functionCall"
    ]  # fmt: skip
    assert "messages.1.content.2.type=server_tool_use" in notes
