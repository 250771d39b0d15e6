"""The table of headers against the strings in the gateway's source, and its page."""

import ast
import re

from gateway.server.headers import HEADERS, markdown
from tests.support.sources import sources

STANDARD = {
    "accept-language", "cross-origin-opener-policy",
    "accept", "accept-encoding", "allow", "content-security-policy", "referrer-policy", "api-key", "location", "upgrade", "authorization", "cache-control", "connection", "content-encoding", "content-length",
    "content-type", "expect", "host", "origin", "retry-after", "retry-after-ms", "request-id", "server", "traceparent", "user-agent", "vary",
}  # fmt: skip
"""Names without a prefix by which headers could be recognised."""
OWN = re.compile(r"(x|anthropic|access-control)-[a-z-]+[a-z]", re.IGNORECASE)
ELSEWHERE = {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}
"""Prefixes of formatted names."""
IN_A_PATTERN = {"api-revision"}


def test_the_table_of_headers_is_complete() -> None:
    texts = {
        node.value.lower()
        for path, tree in sources()
        if "connect" not in path.parts  # names of clients, such as `anthropic-sdk`
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    used = {text for text in texts if OWN.fullmatch(text) or text in STANDARD}
    listed = {header.name.lower() for header in HEADERS}
    formatted = {name for name in listed if name.rpartition("-")[0] in ELSEWHERE}

    assert sorted(used - listed) == []
    assert sorted(listed - used - formatted - IN_A_PATTERN) == []


def test_a_header_is_listed_once_for_each_direction() -> None:
    listed = [(header.name.lower(), header.direction) for header in HEADERS]

    assert sorted({row for row in listed if listed.count(row) > 1}) == []


def test_the_page_has_a_table_for_each_direction() -> None:
    lines = markdown()

    assert [line for line in lines if line.startswith("## ")] == [
        "## Request headers",
        "## Response headers",
        "## Headers to Gemini",
    ]
    assert [line for line in lines if line.startswith("| `")] == [
        f"| `{header.name}` | {header.meaning} |"
        for direction in ("request", "response", "upstream")
        for header in HEADERS
        if header.direction == direction
    ]
