"""Tools that Google runs as OpenAI's items, unary and streamed: citations, searches, pages, places and code."""

import json
from typing import Any

import msgspec
import pytest

from gateway.gemini.wire import decode_response
from tests.support import goldens
from tests.support.frames import frames
from tests.support.responses import Answer

SEARCH = {"type": "web_search"}
FUNCTION = {
    "type": "function",
    "name": "f",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
}
CODE = {"type": "code_interpreter", "container": {"type": "auto"}}
USAGE = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
WAYS = pytest.mark.parametrize("streamed", [False, True], ids=["unary", "streamed"])
Events = list[dict[str, Any]]


def chunk(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return one chunk of Gemini's answer."""
    content = {"content": {"role": "model", "parts": list(parts)}} if parts else {}
    return {"candidates": [{**content, "index": 0, **fields}]}


def answered(
    tools: list[dict[str, Any]], *chunks: dict[str, Any], streamed: bool, **request: Any
) -> tuple[dict[str, Any], Events]:
    """Return the response to a request, and the events of its stream."""
    last = {**chunks[-1], "usageMetadata": USAGE}
    last["candidates"] = [{"finishReason": "STOP", **last["candidates"][0]}]
    answer = Answer({"model": "gemini-3.7-flash", "input": "hi", "tools": tools, **request})
    lines = [json.dumps(line) for line in (*chunks[:-1], last)]
    if streamed:
        events = frames(answer.stream(goldens.sse("\n".join(lines))))
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        response = json.loads(msgspec.json.encode(answer.encoder.response))
        assert events[-1]["response"] == response
        return response, events
    reader = answer.reader
    read = [event for line in lines for event in reader.feed(decode_response(line))]
    answer.encoder.encode(read + reader.close(whole=True, accept_empty=True))
    return json.loads(msgspec.json.encode(answer.encoder.response)), []


def grounding(*supports: tuple[int, int, str], **fields: Any) -> dict[str, Any]:
    """Return groundingMetadata with one source, cited by byte offsets."""
    return {
        "webSearchQueries": ["gold"],
        "groundingChunks": [{"web": {"uri": "https://k.example/x", "title": "k.example"}}],
        "groundingSupports": [
            {"segment": {"startIndex": a, "endIndex": b, "text": text}, "groundingChunkIndices": [0]}
            for a, b, text in supports
        ],
        **fields,
    }


def cited(response: dict[str, Any]) -> list[list[tuple[int, int]]]:
    """Return the places that each message cites."""
    return [
        [(a["start_index"], a["end_index"]) for a in item["content"][0]["annotations"]]
        for item in response["output"]
        if item["type"] == "message"
    ]


def kinds(response: dict[str, Any]) -> list[str]:
    return [item["type"] for item in response["output"]]


@pytest.mark.row("T5")
@WAYS
def test_t05_a_text_before_a_call_keeps_its_citations(*, streamed: bool) -> None:
    response, events = answered(
        [FUNCTION, SEARCH],
        chunk({"text": "Gold "}), chunk({"text": "costs."}),
        chunk({"functionCall": {"id": "q1", "name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"}),
        chunk({"functionCall": {"id": "q2", "name": "f", "args": {"a": 2}}}),
        chunk(groundingMetadata=grounding((0, 11, "Gold costs."))),
        streamed=streamed,
    )  # fmt: skip

    assert kinds(response) == ["message", "web_search_call", "function_call", "function_call"]
    assert cited(response) == [[(0, 11)]]
    if streamed:
        done = [e["item"] for e in events if e["type"] == "response.output_item.done"]
        assert done == response["output"]
        (added,) = (e for e in events if e["type"] == "response.output_text.annotation.added")
        assert (added["item_id"], added["output_index"]) == (response["output"][0]["id"], 0)
        assert events.index(added) < next(
            i for i, e in enumerate(events) if e["type"] == "response.output_text.done"
        )


@pytest.mark.row("T5")
@WAYS
def test_t05_offsets_are_those_of_the_text_they_belong_to(*, streamed: bool) -> None:
    response, events = answered(
        [CODE, SEARCH],
        chunk({"text": "Zürich"}), chunk({"executableCode": {"id": "x", "language": "PYTHON", "code": "1"}}),
        chunk({"codeExecutionResult": {"id": "x", "outcome": "OUTCOME_OK", "output": "1"}}),
        chunk({"text": "Second"}, groundingMetadata=grounding((0, 7, "Zürich"), (7, 13, "Second"), (4, 13, "ichSecond"))),
        streamed=streamed,
    )  # fmt: skip

    assert cited(response) == [[(0, 6), (3, 6)], [(0, 6), (0, 6)]]
    assert [
        (e["output_index"], e["annotation_index"]) for e in events if e["type"].endswith("annotation.added")
    ] == ([(0, 0), (0, 1), (2, 0), (2, 1)] if streamed else [])


@pytest.mark.row("T5")
@WAYS
def test_t05_a_call_waits_only_where_a_text_may_be_cited(*, streamed: bool) -> None:
    call = {"functionCall": {"id": "q1", "name": "f", "args": {}}}
    response, _ = answered(
        [FUNCTION, SEARCH], chunk({"text": "a"}), chunk(call), chunk({"text": "b"}), streamed=streamed
    )

    assert kinds(response) == ["message", "function_call", "message"]


@pytest.mark.row("T7")
@WAYS
@pytest.mark.parametrize("name", ["x1", None])
def test_t07_each_result_of_code_is_an_output(name: str | None, *, streamed: bool) -> None:
    own = {"id": name} if name else {}
    response, events = answered(
        [CODE],
        chunk({"executableCode": {**own, "language": "PYTHON", "code": "print(1)"}}),
        chunk({"codeExecutionResult": {**own, "outcome": "OUTCOME_OK", "output": "1\n"}}),
        chunk({"codeExecutionResult": {**own, "outcome": "OUTCOME_FAILED", "output": "Traceback: boom"}}),
        chunk({"inlineData": {"mimeType": "image/png", "data": "AA=="}}),
        chunk({"text": "Done."}),
        streamed=streamed,
    )

    code, _ = response["output"]
    assert kinds(response) == ["code_interpreter_call", "message"]
    assert code["outputs"] == [
        {"type": "logs", "logs": "1\n"},
        {"type": "logs", "logs": "Error: Traceback: boom"},
        {"type": "image", "url": "data:image/png;base64,AA=="},
    ]
    names = [
        e["type"].removeprefix("response.code_interpreter_call") for e in events if "code_interp" in e["type"]
    ]
    assert names == (
        [".in_progress", "_code.delta", "_code.done", ".interpreting", ".completed"] if streamed else []
    )


@pytest.mark.row("T7")
@WAYS
def test_t07_a_result_after_a_text_finds_its_code(*, streamed: bool) -> None:
    response, _ = answered(
        [CODE],
        chunk({"executableCode": {"id": "x1", "code": "1"}}),
        chunk({"text": "Wait."}),
        chunk({"codeExecutionResult": {"id": "x1", "outcome": "OUTCOME_OK", "output": "1"}}),
        streamed=streamed,
    )

    assert [item.get("outputs") for item in response["output"]] == [[{"type": "logs", "logs": "1"}], None]


@WAYS
def test_a_search_that_is_a_part_comes_before_its_text(*, streamed: bool) -> None:
    response, events = answered(
        [FUNCTION, SEARCH],
        chunk({"toolCall": {"id": "t1", "toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["gold", "price"]}}}),
        chunk({"toolResponse": {"id": "t1", "toolType": "GOOGLE_SEARCH_WEB", "response": {"x": 1}}}),
        chunk({"text": "Gold costs."}, groundingMetadata=grounding((0, 11, "Gold costs."), webSearchQueries=[""])),
        streamed=streamed,
    )  # fmt: skip

    search, message = response["output"]
    assert search["id"] == "ws_t1"
    assert search["status"] == "completed"
    assert search["action"] == {
        "type": "search", "query": "gold", "queries": ["gold", "price"],
        "sources": [{"type": "url", "url": "https://k.example/x"}],
    }  # fmt: skip
    assert message["type"] == "message"
    names = [
        e["type"].removeprefix("response.web_search_call.") for e in events if "web_search_call." in e["type"]
    ]
    assert names == (["in_progress", "searching", "completed"] if streamed else [])


@WAYS
@pytest.mark.parametrize(
    ("kind", "args", "expected"),
    [
        ("URL_CONTEXT", {"urls": ["https://a.example/", "https://b.example/"]},
         [{"type": "open_page", "url": "https://a.example/"}, {"type": "open_page", "url": "https://b.example/"}]),
        ("URL_CONTEXT", {"url": "https://a.example/"}, [{"type": "open_page", "url": "https://a.example/"}]),
        ("GOOGLE_MAPS", {"query": "cafe"}, [{"type": "search", "query": "cafe", "queries": ["cafe"], "sources": []}]),
        ("GOOGLE_SEARCH_IMAGE", [], [{"type": "search", "query": "", "queries": [], "sources": []}]),
        ("MEDIA_PROCESSING", {}, []),
    ],
)  # fmt: skip
def test_other_tools_are_told_as_what_they_did(
    kind: str, args: Any, expected: list[Any], *, streamed: bool
) -> None:
    response, _ = answered(
        [FUNCTION, SEARCH],
        chunk({"toolCall": {"id": "t1", "toolType": kind, "args": args}}),
        chunk({"toolResponse": {"id": "t1", "toolType": kind, "response": {}}}),
        chunk({"text": "Done."}),
        streamed=streamed,
    )

    assert [item["action"] for item in response["output"] if item["type"] == "web_search_call"] == expected


@WAYS
def test_a_file_search_is_told_with_its_queries(*, streamed: bool) -> None:
    response, _ = answered(
        [FUNCTION, SEARCH],
        chunk({"toolCall": {"id": "t1", "toolType": "FILE_SEARCH", "args": {"query": "q"}}}),
        chunk({"text": "Done."}),
        streamed=streamed,
    )

    assert response["output"][0] == {
        "id": "fs_t1", "type": "file_search_call", "status": "completed", "queries": ["q"], "results": None,
    }  # fmt: skip


@WAYS
def test_pages_and_places_that_are_no_parts_are_told_at_the_end(*, streamed: bool) -> None:
    place = {"maps": {"uri": "https://maps.example/1", "title": "Cafe"}}
    pages = [
        {"retrievedUrl": "https://a.example/", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_SUCCESS"},
        {"retrievedUrl": "https://b.example/", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_ERROR"},
    ]
    response, _ = answered(
        [SEARCH],
        chunk({"text": "There."}, groundingMetadata={"groundingChunks": [place]}, urlContextMetadata={"urlMetadata": pages}),
        streamed=streamed,
    )  # fmt: skip

    message, *items = response["output"]
    assert message["content"][0]["annotations"][0]["url"] == "https://maps.example/1"
    assert [(item["status"], item["action"]["type"]) for item in items] == [
        ("completed", "search"), ("completed", "open_page"), ("failed", "open_page"),
    ]  # fmt: skip
    assert items[0]["action"]["sources"] == [{"type": "url", "url": "https://maps.example/1"}]


@WAYS
def test_metadata_of_an_unknown_shape_costs_items_only(*, streamed: bool) -> None:
    response, _ = answered(
        [SEARCH],
        chunk(
            {"text": "a"}, groundingMetadata={"groundingChunks": 5}, urlContextMetadata=[{"urlMetadata": 5}]
        ),
        streamed=streamed,
    )

    assert kinds(response) == ["message"]
