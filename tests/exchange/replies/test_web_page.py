"""The frame of a web page, and the language of a browser."""

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.exchange.replies.web_page import WebPage, language


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, "en"), ("", "en"), ("zh", "zh"), ("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("en-GB, zh;q=0.9", "en"),
        ("fr", "en"), ("fr, zh;q=0.1", "zh"), ("*", "en"), ("zh;q=0", "en"), ("zh;q=0, *", "en"),
        ("ZH-hant-TW", "zh"), ("zh;q=x", "en"), ("," * 9999 + "zh", "en"),
    ],
)  # fmt: skip
def test_the_language_is_the_one_that_the_browser_prefers(header: str | None, expected: str) -> None:
    headers = {} if header is None else {"Accept-Language": header}

    assert language(make_mocked_request("GET", "/", headers), {"en": {}, "zh": {}}) == expected


def test_only_a_page_that_asks_the_gateway_may_connect() -> None:
    quiet, asking = (WebPage("", script).response("en", "t", "b") for script in ("x()", "fetch('v1/key')"))

    assert "connect-src" not in quiet.headers["Content-Security-Policy"]
    assert "connect-src 'self'" in asking.headers["Content-Security-Policy"]
