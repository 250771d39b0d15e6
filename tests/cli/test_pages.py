"""Generated pages equal the code, and the tables behind them are complete."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.pages import PAGES
from gateway.cli.pages.attribute_docs import attribute_docs
from gateway.cli.pages.configuration import all_rows
from gateway.observability.json_log import EVENTS
from gateway.observability.request_log import RequestLog
from gateway.server.headers import HEADERS
from tests.support.paths import ROOT


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_what_make_docs_writes(name: str) -> None:
    assert (ROOT / "docs" / name).read_text("utf-8") == PAGES[name](), "run `make docs`"


def test_every_key_of_the_configuration_is_described() -> None:
    assert [row.key for row in all_rows() if not row.description] == []


def test_nested_keys_are_listed() -> None:
    keys = {row.key for row in all_rows()}

    assert {
        "listen.port", "upstream.retry.attempts", "pool.projects[].keys", "ledger.prices.*.input", "plugins.models.seconds"
    } <= keys  # fmt: skip


def test_every_field_of_a_log_line_is_described() -> None:
    assert [name for name in RequestLog.__struct_fields__ if name not in attribute_docs(RequestLog)] == []


def sources() -> Iterator[tuple[Path, ast.Module]]:
    """Yield the modules of the gateway; the emulator is Google's side, and the table itself proves nothing."""
    for path in (ROOT / "gateway").rglob("*.py"):
        if "emulator" not in path.parts and path.name != "headers.py":
            yield path, ast.parse(path.read_text("utf-8"))


def test_every_event_of_the_log_is_described() -> None:
    events = set()
    for _, tree in sources():
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Attribute(attr="event"), args=[ast.Constant(value=str(name)), *_]):
                    events.add(name)
    events |= {"log_lines_dropped"}  # written past the full queue

    assert events == {event.name for event in EVENTS}


STANDARD = {
    "accept-encoding", "allow", "authorization", "cache-control", "connection", "content-encoding", "content-length",
    "content-type", "origin", "retry-after", "retry-after-ms", "request-id", "server", "traceparent", "user-agent", "vary",
}  # fmt: skip
"""Names without a prefix by which headers could be recognised."""
OWN = re.compile(r"(x|anthropic|access-control)-[a-z-]+[a-z]", re.IGNORECASE)
ELSEWHERE = {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}
"""Prefixes of formatted names."""
BY_A_LIBRARY = {"access-control-expose-headers"}


def test_the_table_of_headers_is_complete() -> None:
    texts = {
        node.value.lower()
        for _, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    used = {text for text in texts if OWN.fullmatch(text) or text in STANDARD}
    listed = {header.name.lower() for header in HEADERS}
    formatted = {name for name in listed if name.rpartition("-")[0] in ELSEWHERE}

    assert sorted(used - listed) == []
    assert sorted(listed - used - formatted - BY_A_LIBRARY) == []
