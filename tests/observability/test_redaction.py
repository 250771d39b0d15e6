"""Redaction of log lines."""

import json
import time
from collections.abc import Callable

import pytest

from gateway.observability import redaction
from gateway.observability.redaction import printable, redacted, redacted_beginning, redacted_line
from tests.support.canaries import CANARIES, NAMED, hits

KEY = "AIza" + "x" * 35


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"key {KEY} refused", "key **** refused"),
        ("Bearer token", "Bearer ****"),
        ("bearer a b", "bearer **** b"),
        ("BASIC dXNlcg", "BASIC ****"),
        ('{"a":"bearer x"}', '{"a":"bearer ****"}'),
        ("api_key:hush", "api_key:****"),
        ("passwd=hush", "passwd=****"),
        ("no bearer", "no bearer"),
        ("forbearer x", "forbearer ****"),
        ("a plain text", "a plain text"),
    ],
)
def test_a_secret_is_replaced(text: str, expected: str) -> None:
    assert redacted(text) == expected
    assert redacted_line(text.encode()) == expected.encode()


@pytest.mark.row("A24")
@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("kind", [*CANARIES, *NAMED])
def test_a24_the_quick_look_at_a_line_misses_no_secret(kind: str, upper: bool) -> None:
    secret = {**CANARIES, **NAMED}[kind]
    line = json.dumps({"before": "é", "a": secret.upper() if upper else secret, "after": 1})
    cleaned = redacted_line(line.encode())

    assert cleaned.decode() == redacted(line) != line
    assert [*json.loads(cleaned)] == ["before", "a", "after"]
    assert hits(cleaned) == []


@pytest.mark.parametrize("line", [b"", b'{"a":1}', "é".encode(), b"\xff", b'{"a":"keyword"}'])
def test_a_line_without_a_secret_stays_as_it_is(line: bytes) -> None:
    assert redacted_line(line) is line


@pytest.mark.parametrize("clean", [redacted_line, printable])
def test_bytes_that_are_no_text_are_replaced(clean: Callable[[bytes], bytes]) -> None:
    assert clean(b"key=a \x7f\xff").endswith("\ufffd".encode())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"plain\x1b", b"plain\x1b"),
        (b"a\x7fb", rb"a\u007fb"),
        ("é\u0080\u009f\u00a0".encode(), "é\\u0080\\u009f\u00a0".encode()),
        ("\u200a\u200b\u200f\u2010".encode(), "\u200a\\u200b\\u200f\u2010".encode()),
        ("\u2027\u2028\u202e\u202f".encode(), "\u2027\\u2028\\u202e\u202f".encode()),
        ("\u205f\u2060\u2069\u206a".encode(), "\u205f\\u2060\\u2069\u206a".encode()),
        ("\ufeff\U0001f600".encode(), "\\ufeff\U0001f600".encode()),
    ],
)
def test_an_invisible_character_is_escaped(line: bytes, expected: bytes) -> None:
    assert printable(line) == expected


@pytest.mark.parametrize(("text", "expected"), [("", ""), ("abc", "abc"), ("abcd", "abc…")])
def test_a_long_text_is_cut(text: str, expected: str) -> None:
    assert redacted_beginning(text, 3) == expected


@pytest.mark.row("A24")
@pytest.mark.parametrize("encoded", range(1, 8))
@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("kind", CANARIES)
def test_a24_a_secret_that_is_percent_encoded_is_replaced(kind: str, times: int, encoded: int) -> None:
    secret = CANARIES[kind]
    text = "".join(f"%{ord(c):02x}" for c in secret[:encoded]) + secret[encoded:]
    for _ in range(times - 1):
        text = text.replace("%", "%25")
    line = json.dumps({"path": f"/v1/models/{text}/x", "after": "20 %"})
    cleaned = redacted_line(line.encode()).decode()

    assert text not in cleaned
    assert secret[encoded:] not in cleaned
    assert [*json.loads(cleaned)] == ["path", "after"]
    assert "/" in secret or json.loads(cleaned)["path"] == "/v1/models/****/x"


@pytest.mark.parametrize(
    "text", ["/v1/models/a%20b", "100% of %25 are %zz", "%", "a%2Fb?c=%26", "caf%c3%a9 %ff"]
)
def test_harmless_percent_encoding_stays_as_it_is(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize("start", [0, 1, 4, 250, 255])
def test_a_secret_that_begins_before_the_cut_is_found(start: int) -> None:
    text = "x" * (start - 1) + " " * min(start, 1) + "AIzaSy" + "b" * 3000 + "/" * 100_000

    shown = redacted_beginning(text, 256)

    assert "AIza"[: 256 - start] not in shown
    assert shown.endswith("…")


def test_only_the_beginning_of_a_long_text_is_searched() -> None:
    began = time.thread_time()
    redacted_beginning("/" * 30_000_000, 256)
    assert time.thread_time() - began < 0.2


def test_each_group_of_hints_stands_behind_a_part_of_all_of_them() -> None:
    """Otherwise a line with one of them would not be searched."""
    assert [hint for part, hints in redaction._HINTS for hint in hints if part not in hint] == []
