"""Files, the answer: headers that no file name can break."""

import pytest
from aiohttp.multipart import content_disposition_filename, parse_content_disposition

from gateway.plugins.files.response import byte_range, content_headers
from gateway.policy.clients.kept_files import StoredFile


@pytest.mark.parametrize(
    "name", ['ü "x".txt', "a.txt", "a\\b", "100%.txt", "a;b=c", "日本語.pdf", "a\u2028b", "'"]
)
def test_a_name_survives(name: str) -> None:
    file = StoredFile(1, "0" * 24, "s", 1, "", name, "text/plain", "vision", 1, None)
    header = content_headers(file)["Content-Disposition"]

    assert header.isascii()
    assert header.isprintable()
    kind, parameters = parse_content_disposition(header)
    assert (kind, content_disposition_filename(parameters)) == ("attachment", name)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", (0, 10)),
        ("bytes=0-0", (0, 1)),
        ("bytes=2-", (2, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-30", (0, 10)),
        ("bytes=2-99", (2, 10)),
        ("bytes=5-4", (0, 10)),
        ("bytes=10-", (0, 10)),
        ("bytes=-", (0, 10)),
        ("bytes=0-1,3-4", (0, 10)),
        ("lines=1-2", (0, 10)),
        ("bytes=-0", (0, 10)),
    ],
)
def test_a_range_that_is_not_understood_is_the_whole_file(header: str, expected: tuple[int, int]) -> None:
    assert byte_range(header, 10) == expected
