"""Filters of requests."""

import pytest

from gateway.console.filter import parse
from gateway.errors import BadRequest
from gateway.observability.recent import Recent
from gateway.observability.request_log import RequestLog

RECORD = RequestLog(
    "req_1", "POST", "/v1/chat/completions", 429, "gemini-3.8-flash", "gpt-4o", True, "1a2b3c4d", "key_a", "chat", "blue",
    None, 429, 2, 1500.0, None, 6000.0, notes=["seed"], cached="miss", failures=["quota_per_minute"], error="rate_limit_exceeded",
)  # fmt: skip
AT = 1_795_700_000.0  # 2026-11-26 13:33:20 UTC
NAMES = {"key_a": "Ada Lovelace"}


def passes(text: str, record: RequestLog = RECORD) -> bool:
    return parse(text)(Recent(1, AT, record), lambda key: NAMES.get(key, key))


@pytest.mark.parametrize(
    "text",
    [
        "", "status:429", "status:4xx", "status:failed", "key:key_a", 'key:"ada lovelace"', "key:ada*", "model:*flash*",
        "model:gpt-4o", "surface:chat", "project:blue", "error:rate_*", "error:quota_per_minute", "path:/v1/*",
        "client:1a2b3c4d", "id:req_1", "note:seed", "cached:miss", "stream:yes", "tries:2", ">5s", "<7s", ">5999ms",
        "first>1s", "-status:200", "-stream:no", "flash", "LOVELACE", "req_", "status:429 key:ada* >5s", "since:2026-11-26", "since:2026-11-26T13:33Z", "until:2026-11-27",
        "since:2026-11-26T14:33+01:00", "until:2026-11-26T13:34",
    ],
)  # fmt: skip
def test_a_term_passes_what_it_describes(text: str) -> None:
    assert passes(text)
    assert not text or not passes(f"{text} status:200")
    if text and " " not in text:
        assert (
            not passes(text if text.startswith("-") and passes(text[1:]) else f"-{text.lstrip('-')}")
            or text[0] == "-"
        )


@pytest.mark.parametrize(
    "text",
    [
        "status:200",
        "key:bob",
        "model:*pro*",
        "stream:no",
        "tries:3",
        ">6s",
        "first<1s",
        "-flash",
        "nothing",
        "<1s",
        "since:2026-11-27",
        "until:2026-11-26",
        "since:2026-11-26T13:34",
        "key:none",
        "project:none",
    ],
)
def test_and_nothing_else(text: str) -> None:
    assert not passes(text)


def test_a_record_without_a_value_is_neither_above_nor_below() -> None:
    record = RequestLog("r", "GET", "/", 200)

    assert not passes("first>0s", record)
    assert not passes("first<9s", record)
    assert passes("key:none project:none upstream:none", record)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("staus:429", "unknown word 'staus'. Known: cached, client,"), ("status:abc", "expected a status such as 429"),
        ("status:", "a value is missing"), (">fast", "expected a time such as >5s"), ('key:"ada', "a quotation mark is open"),
        ("tries:x", "expected a number"), ("stream:maybe", "expected yes or no"), ("x" * 501, "longer than 500"),
        ("-bad:1", "unknown word 'bad'"), (">" + "9" * 50, "expected a time"),
        ("since:yesterday", "expected a time such as 2026-11-26"), ("until:", "expected a time"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(text: str, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(text)

    assert (caught.value.code, caught.value.param) == ("invalid_filter", "filter")
    assert message in caught.value.message
