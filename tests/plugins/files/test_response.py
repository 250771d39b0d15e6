"""Files, the answer: headers that no file name can break."""

import pytest
from aiohttp.multipart import content_disposition_filename, parse_content_disposition

from gateway.plugins.files.response import content_headers
from gateway.policy.kept_files import StoredFile


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
