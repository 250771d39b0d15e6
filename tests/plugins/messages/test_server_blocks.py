"""Messages, tools that Google runs: the blocks of searches, pages and code, whole and streamed."""

import json
from typing import Any

import msgspec
import pytest

from gateway.gemini.events import Citations, ServerTool
from gateway.gemini.stream_translator import StreamTranslator, decode
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.wire import NO_JSON
from gateway.plugins.messages.response import MessagesStream
from gateway.plugins.messages.server_blocks import ServerBlocks
from gateway.plugins.messages.wire import encode
from tests.plugins.messages.test_golden import accumulated, message
from tests.support.frames import frames

Object = dict[str, Any]
SOURCES = [
    {"web": {"uri": "https://a.example/1", "title": "One"}},
    {"web": {"uri": "https://b.example/a b", "title": ""}},
]


def chunk(*parts: Object, **candidate: Any) -> Object:
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, "index": 0, **candidate}]}


def grounded(*segments: tuple[int, int, str], queries: tuple[str, ...] = ("gold",)) -> Object:
    supports = [
        {"segment": {"startIndex": start, "endIndex": end, "text": text}, "groundingChunkIndices": [0]}
        for start, end, text in segments
    ]
    metadata = {"webSearchQueries": list(queries), "groundingChunks": SOURCES, "groundingSupports": supports}
    return {"finishReason": "STOP", "groundingMetadata": metadata}


def reader() -> TurnReader:
    numbers = iter(range(100))
    return TurnReader(lambda: f"toolu_{next(numbers)}")


def whole(*chunks: Object) -> Object:
    """Return the message of a unary answer."""
    encoder, by = MessagesStream(message(), grounded=True), reader()
    events = [event for one in chunks for event in by.feed(decode(json.dumps(one).encode()))]
    encoder.whole([*events, *by.close(whole=True)])
    answer: Object = json.loads(encode(encoder.message))
    return answer


def streamed(*chunks: Object, grounded: bool = True) -> tuple[list[Object], Object]:
    """Return the content that the events build, and usage and delta of the last `message_delta`."""
    translator = StreamTranslator(reader(), MessagesStream(message(), grounded=grounded))
    out = b"".join(translator.feed(b"data: " + json.dumps(one).encode() + b"\n\n") for one in chunks)
    events = frames(out + translator.close())
    return accumulated(events), events[-2]


def kinds(content: list[Object]) -> list[str]:
    return [block["type"] for block in content]


GOLD = (chunk({"text": "Gold costs."}), chunk({"text": ""}, **grounded((0, 11, "Gold costs."))))
USE = {"type": "server_tool_use", "id": "srvtoolu_g_x_1", "name": "web_search", "input": {"query": "gold"}}
RESULT = {
    "type": "web_search_tool_result",
    "tool_use_id": "srvtoolu_g_x_1",
    "content": [
        {"type": "web_search_result", "url": "https://a.example/1", "title": "One", "encrypted_content": "",
         "page_age": None},
        {"type": "web_search_result", "url": "https://b.example/a%20b", "title": "b.example", "encrypted_content": "",
         "page_age": None},
    ],
}  # fmt: skip
COUNTS = {"web_search_requests": 1, "web_fetch_requests": 0}


@pytest.mark.row("G7")
def test_g07_a_search_stands_before_its_text_in_a_whole_answer() -> None:
    answer = whole(*GOLD)

    assert answer["content"][:2] == [USE, RESULT]
    assert kinds(answer["content"][2:]) == ["text"]
    assert answer["content"][2]["citations"][0]["cited_text"] == "Gold costs."
    assert answer["usage"]["server_tool_use"] == COUNTS


@pytest.mark.row("G7")
@pytest.mark.parametrize("by", [True, False])
def test_g07_a_search_stands_after_its_text_in_a_stream(*, by: bool) -> None:
    """Google names the sources with the last chunk."""
    content, end = streamed(*GOLD, grounded=by)

    assert content[1:] == [USE, RESULT]
    assert content[0]["citations"][0]["url"] == "https://a.example/1"
    assert end["usage"]["server_tool_use"] == COUNTS


@pytest.mark.row("G7")
def test_g07_each_query_is_a_search() -> None:
    answer = whole(chunk({"text": "Gold."}, **grounded(queries=("gold", "silver", "gold", ""))))

    assert [block["input"] for block in answer["content"][:4:2]] == [{"query": "gold"}, {"query": "silver"}]
    assert [len(block["content"]) for block in answer["content"][1:4:2]] == [2, 0]
    assert answer["usage"]["server_tool_use"]["web_search_requests"] == 2


def test_an_answer_without_a_search_counts_none() -> None:
    assert "server_tool_use" not in whole(chunk({"text": "x"}, finishReason="STOP"))["usage"]


@pytest.mark.row("G7")
def test_g07_pages_that_were_read_are_fetches() -> None:
    pages = [
        {"retrievedUrl": "https://a.example", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_SUCCESS"},
        {"retrievedUrl": "https://b.example", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_PAYWALL"},
    ]
    chunks = [
        chunk({"text": "x"}, urlContextMetadata={"urlMetadata": pages}),
        chunk({"text": "y"}, finishReason="STOP"),
    ]

    for content in (whole(*chunks)["content"], streamed(*chunks)[0]):
        uses = [block for block in content if block["type"] == "server_tool_use"]
        first, second = (block for block in content if block["type"] == "web_fetch_tool_result")
        assert [use["input"]["url"] for use in uses] == ["https://a.example", "https://b.example"]
        assert [first["tool_use_id"], second["tool_use_id"]] == [use["id"] for use in uses]
        assert first["content"]["url"] == "https://a.example"
        assert second["content"]["error_code"] == "url_not_accessible"
    assert whole(*chunks)["usage"]["server_tool_use"]["web_fetch_requests"] == 2


@pytest.mark.row("T5")
def test_t05_a_call_waits_for_the_sources_of_the_text_before_it() -> None:
    call = {"functionCall": {"id": "q1", "name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"}
    end = {"candidates": [{"index": 0, **grounded((0, 11, "Gold costs."))}]}
    content, delta = streamed(chunk({"text": "Gold costs."}), chunk(call), end)

    assert kinds(content) == ["text", "server_tool_use", "web_search_tool_result", "thinking", "tool_use"]
    assert [cited["cited_text"] for cited in content[0]["citations"]] == ["Gold costs."]
    assert delta["delta"]["stop_reason"] == "tool_use"
    unary = whole(chunk({"text": "Gold costs."}), chunk(call), end)["content"]
    assert kinds(unary) == ["server_tool_use", "web_search_tool_result", "text", "thinking", "tool_use"]
    assert unary[2]["citations"] == content[0]["citations"]


@pytest.mark.row("T5")
def test_t05_a_call_that_waits_comes_without_sources_too() -> None:
    call = {"functionCall": {"id": "q1", "name": "f"}}
    content, _ = streamed(chunk({"text": "a"}), chunk(call), chunk({"text": "b"}, finishReason="STOP"))

    assert kinds(content) == ["text", "tool_use", "text"]


@pytest.mark.row("T5")
def test_t05_each_citation_is_on_its_own_text() -> None:
    chunks = [
        chunk({"text": "Zürich"}),
        chunk({"executableCode": {"code": "1"}}),
        chunk({"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}}),
        chunk({"text": "Second"}, **grounded((7, 13, "Second"), (0, 7, "Zürich"))),
    ]

    for content in (whole(*chunks)["content"], streamed(*chunks)[0]):
        texts = [block for block in content if block["type"] == "text"]
        assert [[cited["cited_text"] for cited in text["citations"]] for text in texts] == [
            ["Zürich"], ["Second"]
        ]  # fmt: skip


SEARCHED = (
    chunk({"toolCall": {"id": "t1", "toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["a", "b"]}},
           "thoughtSignature": "UzE="}),
    chunk({"toolResponse": {"id": "t1", "toolType": "GOOGLE_SEARCH_WEB", "response": {"x": 1}},
           "thoughtSignature": "UzI="}),
)  # fmt: skip


@pytest.mark.row("T9")
def test_t09_a_search_that_google_tells_in_parts_is_told_once() -> None:
    chunks = (*SEARCHED, chunk({"text": "Gold."}, **grounded((0, 5, "Gold."), queries=("a", "b"))))
    use = {"type": "server_tool_use", "id": "srvtoolu_t1", "name": "web_search",
           "input": {"query": "a; b", "queries": ["a", "b"]}}  # fmt: skip

    unary, (content, end) = whole(*chunks), streamed(*chunks)
    assert kinds(unary["content"]) == [
        "thinking",
        "server_tool_use",
        "thinking",
        "web_search_tool_result",
        "text",
    ]
    assert kinds(content) == ["thinking", "server_tool_use", "text", "thinking", "web_search_tool_result"]
    for blocks in (unary["content"], content):
        assert use in blocks
        assert {**RESULT, "tool_use_id": "srvtoolu_t1"} in blocks
        assert [block["signature"] for block in blocks if block["type"] == "thinking"] == ["UzE=", "UzI="]
    assert unary["usage"]["server_tool_use"] == end["usage"]["server_tool_use"]
    assert end["usage"]["server_tool_use"]["web_search_requests"] == 2


@pytest.mark.row("T9")
def test_t09_a_search_without_sources_has_an_empty_result() -> None:
    content, _ = streamed(*SEARCHED, chunk({"text": "x"}, finishReason="STOP"))

    assert content[-1] == {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_t1", "content": []}


@pytest.mark.row("T9")
def test_t09_other_tools_have_blocks_too() -> None:
    parts: list[Object] = [
        {"toolCall": {"id": "u", "toolType": "URL_CONTEXT", "args": {"urls": ["https://a.example"]}}},
        {"toolResponse": {"id": "u", "toolType": "URL_CONTEXT", "response": {}}},
        {"toolCall": {"id": "m", "toolType": "GOOGLE_MAPS"}},
        {"text": "x"},
    ]
    content = whole(chunk(*parts, finishReason="STOP"))["content"]

    assert content[0]["input"] == {"url": "https://a.example", "urls": ["https://a.example"]}
    assert (content[1]["type"], content[1]["tool_use_id"]) == ("web_fetch_tool_result", "srvtoolu_u")
    assert (content[2]["name"], content[2]["input"]) == (
        "web_search",
        {"query": "", "tool_type": "GOOGLE_MAPS"},
    )


@pytest.mark.parametrize("args", [b"[1]", b"nope", b'{"queries": 5}', b"{}"])
def test_arguments_of_any_shape_are_read(args: bytes) -> None:
    blocks = ServerBlocks("x")
    block = blocks.call(ServerTool(0, "t", "GOOGLE_SEARCH_WEB", msgspec.Raw(args), NO_JSON))

    assert block["input"]["query"] == ""
    assert blocks.searches == 1


@pytest.mark.parametrize("raw", [b"[]", b'{"groundingChunks": 5}', b'{"urlMetadata": "x"}'])
def test_metadata_of_an_unknown_shape_costs_the_blocks_only(raw: bytes) -> None:
    blocks = ServerBlocks("x")
    blocks.ground(Citations(0, [], msgspec.Raw(raw), msgspec.Raw(raw)))

    assert blocks.of_metadata() == []


@pytest.mark.row("T7", "T9")
def test_t07_code_and_all_its_results_are_blocks() -> None:
    parts: list[Object] = [
        {"executableCode": {"code": "print(1)", "language": "PYTHON"}, "thoughtSignature": "UzE="},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "boom"}},
        {"text": "One."},
    ]
    chunks = [chunk(part) for part in parts[:-1]] + [chunk(parts[-1], finishReason="STOP")]

    for content in (whole(*chunks)["content"], streamed(*chunks)[0]):
        assert kinds(content) == [
            "thinking", "server_tool_use", "code_execution_tool_result", "code_execution_tool_result", "text"
        ]  # fmt: skip
        assert content[0]["signature"] == "UzE="
        assert (content[1]["name"], content[1]["input"]) == ("code_execution", {"code": "print(1)"})
        assert [block["tool_use_id"] for block in content[2:4]] == [content[1]["id"]] * 2
        assert [
            (block["content"]["stdout"], block["content"]["stderr"], block["content"]["return_code"])
            for block in content[2:4]
        ] == [("1\n", "", 0), ("", "boom", 1)]


def test_a_result_without_code_has_a_call() -> None:
    content = whole(chunk({"text": "x"}, {"codeExecutionResult": {"output": "o"}}, finishReason="STOP"))[
        "content"
    ]

    assert (content[1]["type"], content[2]["tool_use_id"]) == ("server_tool_use", content[1]["id"])


@pytest.mark.row("T4")
@pytest.mark.parametrize("reason", ["NO_IMAGE", "IMAGE_OTHER", "MALFORMED_FUNCTION_CALL", "A_NEW_REASON"])
@pytest.mark.parametrize("text", ["", "Well."])
def test_t04_a_failed_turn_has_its_words(reason: str, text: str) -> None:
    encoder = MessagesStream(message())
    parts = [{"text": text}] if text else []
    by = reader()
    by_events = by.feed(decode(json.dumps(chunk(*parts, finishReason=reason, finishMessage="No.")).encode()))
    encoder.encode([*by_events, *by.close(whole=True, accept_empty=True)])

    assert encoder.message["content"][-1]["text"] == f"{text}[{reason}: No.]"
    assert encoder.message["stop_reason"] == "end_turn"


@pytest.mark.row("T4")
@pytest.mark.parametrize("reason", ["OTHER", "SAFETY", "IMAGE_SAFETY"])
def test_t04_a_filtered_turn_is_a_refusal_with_its_words(reason: str) -> None:
    _, end = streamed({"candidates": [{"finishReason": reason, "finishMessage": "Not this.", "index": 0}]})

    assert end["delta"] == {
        "stop_reason": "refusal", "stop_sequence": None,
        "stop_details": {"type": "refusal", "category": None, "explanation": "Not this."},
    }  # fmt: skip


@pytest.mark.row("T4")
def test_t04_a_call_needs_no_words_about_the_end() -> None:
    call = {"functionCall": {"id": "q1", "name": "f"}}
    answer = whole(chunk(call, finishReason="UNEXPECTED_TOOL_CALL", finishMessage="No."))

    assert (kinds(answer["content"]), answer["stop_reason"]) == (["tool_use"], "tool_use")
