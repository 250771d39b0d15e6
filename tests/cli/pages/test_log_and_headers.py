"""docs/refer/log.md and docs/refer/headers.md: every field of a log line, every event of the log, every header."""

import ast

from gateway.cli.pages.attribute_docs import attribute_docs
from gateway.cli.pages.log_and_headers import headers_page, log_page
from gateway.observability.json_log import EVENTS
from gateway.observability.request_log import RequestLog
from gateway.server.headers import HEADERS
from tests.support.sources import sources


def test_every_field_of_a_log_line_is_described() -> None:
    assert [name for name in RequestLog.__struct_fields__ if name not in attribute_docs(RequestLog)] == []


def test_every_event_of_the_log_is_described() -> None:
    events = set()
    for _, tree in sources():
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Attribute(attr="event"), args=[ast.Constant(value=str(name)), *_]):
                    events.add(name)
    events |= {"log_lines_dropped"}  # written past the full queue

    assert events == {event.name for event in EVENTS}


def test_a_field_has_its_type_in_words() -> None:
    lines = log_page().splitlines()

    for start in (
        "| `request_id` | text | ",
        "| `duration_ms` | number | ",
        "| `prompt_tokens` | integer | ",
        "| `stream` | boolean | ",
        "| `notes` | list of text | ",
    ):
        assert any(line.startswith(start) for line in lines), start


def test_an_event_has_its_fields() -> None:
    text = log_page()

    for event in EVENTS:
        assert (
            f"| `{event.name}` | {', '.join(f'`{name}`' for name in event.fields)} | {event.meaning} |"
            in text
        )


def test_every_header_stands_in_its_page() -> None:
    text = headers_page()

    assert [header.name for header in HEADERS if f"| `{header.name}` | {header.meaning} |" not in text] == []
