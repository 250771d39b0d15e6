"""Parts of an answer that Google's own tools make: events, ids, and what is kept for a later turn."""

from collections.abc import Mapping
from itertools import count

import msgspec
import pytest

from gateway.gemini.events import CodePart, ServerTool
from gateway.gemini.server_parts import ServerParts, is_server_part
from gateway.gemini.thought_signatures import SignatureKeys, Signed
from gateway.gemini.wire import NO_JSON, Part, decode_part

KEYS = SignatureKeys("client")
SEARCH = {"toolCall": {"id": "t1", "toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["q"]}}}
FOUND = {"toolResponse": {"id": "t1", "toolType": "GOOGLE_SEARCH_WEB", "response": {"x": 1.50}}}
CODE = {"executableCode": {"code": "1", "language": "PYTHON"}}
RESULT = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "o"}}


def part(fields: Mapping[str, object], signature: str = "") -> Part:
    signed = {"thoughtSignature": signature} if signature else {}
    return decode_part(msgspec.json.encode({**fields, **signed}))


def parts_reader(signed: list[Signed]) -> ServerParts:
    numbers = count()
    return ServerParts(0, lambda: f"new_{next(numbers)}", KEYS, signed)


@pytest.mark.row("T9")
def test_t09_a_search_and_its_result_are_events_of_one_id() -> None:
    by = parts_reader([])

    call, result = by.read(part(SEARCH, "U0lHMQ=="), 3), by.read(part(FOUND), 3)

    args, response = msgspec.Raw(b'{"queries":["q"]}'), msgspec.Raw(b'{"x":1.5}')
    assert call == ServerTool(0, "t1", "GOOGLE_SEARCH_WEB", args, NO_JSON, "U0lHMQ==", 3)
    assert result == ServerTool(0, "t1", "GOOGLE_SEARCH_WEB", NO_JSON, response, None, 3)


@pytest.mark.row("T9")
def test_t09_parts_are_kept_as_they_came() -> None:
    signed: list[Signed] = []
    by = parts_reader(signed)
    came = [part(SEARCH, "S1"), part(FOUND, "S2"), part(CODE, "S3"), part(RESULT, "S4"), part(RESULT, "S5")]
    for one in came:
        by.read(one, 0)

    assert [decode_part(kept.signature) for kept in signed] == came
    assert [kept.keys for kept in signed] == [
        (KEYS.server_part(*key),) for key in [("t1", 0), ("t1", 1), ("new_0", 0), ("new_0", 1), ("new_0", 2)]
    ]


def test_code_without_a_signature_is_not_kept() -> None:
    signed: list[Signed] = []
    parts_reader(signed).read(part(CODE), 0)

    assert signed == []


@pytest.mark.row("T7")
def test_t07_results_have_the_id_of_their_code() -> None:
    by = parts_reader([])
    first = by.read(part(CODE, "S1"), 0)
    named = by.read(part({"executableCode": {"code": "2", "id": "c2"}}), 0)
    results = [by.read(part(RESULT), 0), by.read(part({"codeExecutionResult": {"id": "new_0"}}), 0)]

    assert isinstance(first, CodePart)
    assert isinstance(named, CodePart)
    assert [result.id for result in (first, named, *results)] == ["new_0", "c2", "c2", "new_0"]


def test_code_that_is_not_kept_needs_no_id() -> None:
    by = parts_reader([])

    assert [by.read(part(fields), 0).id for fields in (RESULT, CODE, RESULT)] == ["", "", ""]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [(SEARCH, True), (FOUND, True), (CODE, True), (RESULT, True), ({"text": "x"}, False), ({}, False)],
)
def test_parts_of_tools_are_known(fields: Mapping[str, object], *, expected: bool) -> None:
    assert is_server_part(part(fields)) is expected
