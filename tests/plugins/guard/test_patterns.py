"""Patterns of the guard take linear time and have a bounded length; all others are refused with what to write."""

import re
import time

import pytest

from gateway.plugins.guard.patterns import compiled


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("secret", 6),
        (r"(?i)\bconfidential\b", 12),
        (r"sk-[A-Za-z0-9]{20,60}", 63),
        (r"(?:\d{4}[ -]?){3}\d{4}", 19),
        (r"[\w.]{1,64}+@[\w.]{1,64}+", 129),
        (r"(?>a|ab)c", 3),
        ("red|green|blue", 5),
        ("colou?r", 6),
    ],
)
def test_o20_a_pattern_has_a_width(text: str, width: int) -> None:
    assert compiled(text).width == width


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a+", r"repetitions need an end: write \{1,40\} in place of \+"),
        ("x.*", "repetitions need an end"),
        ("a{3,}", "repetitions need an end"),
        ("a{1,5000}", "repetitions need an end"),
        ("(a|aa){1,20}b", "make repetitions possessive"),
        ("(?:a{1,10}){1,10}b", "make repetitions possessive"),
        ("a{1,99}a{1,99}b", "in 9801 ways"),
        (r"(a)\1", "references to groups are not supported"),
        ("(?=a)b", "look-around"),
        ("(?<!a)b", "look-around"),
        ("(?>(?=a))b", "look-around"),
        ("(", "not a pattern"),
        ("a?", "also matches an empty text"),
        ("", "matches no character"),
        (r"\b", "matches no character"),
        ("[ab]{4000}[ab]{97}", "more than 4096 characters"),
    ],
)
def test_o20_others_are_refused_with_a_reason(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compiled(text)


@pytest.mark.parametrize(
    "text", [r"(?:\d{4}[ -]?){3}\d{4}", "(?:ab?){1,8}c", r"[\w.]{1,64}+@[\w.]{1,64}+", "(?:a|b|ab){1,5}c"]
)
def test_o20_the_time_grows_with_the_text_only(text: str) -> None:
    regex = compiled(text).regex
    hostile = ("1234" * 3 + "ab" * 9 + "a.b" * 30) * 20

    def seconds(times: int) -> float:
        best = 1.0
        for _ in range(3):
            began = time.thread_time()
            regex.search(hostile * times)
            best = min(best, time.thread_time() - began)
        return best

    assert isinstance(regex, re.Pattern)
    assert seconds(16) < 16 * 6 * max(seconds(1), 2e-4)


@pytest.mark.parametrize("at", [0, 4090, 4094, 4096, 8190, 9000])
def test_o20_a_long_text_is_read_in_pieces_without_losing_a_match(at: int) -> None:
    pattern = compiled(r"(?i)\bsecret \d{1,9}\b")
    text = "x" * at + " " * 2 + "Secret 123456789" + " " + "y" * 5000 + " secret 1234567890 secret 1"
    texts = [match[0] for match in pattern.matches(text)]

    assert texts == [match[0] for match in pattern.regex.finditer(text)] == ["Secret 123456789", "secret 1"]
    assert [match[0] for match in pattern.matches(text, at + 4)] == ["secret 1"]


def test_a_long_text_can_be_left_between_its_pieces() -> None:
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        if ticks == 3:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        list(compiled("ab").matches("x" * 1_000_000, 0, tick))
    assert ticks == 3
