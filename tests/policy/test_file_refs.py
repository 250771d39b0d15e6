"""Names in requests, and whose they are for how long."""

import pytest

from gateway.errors import NotFound
from gateway.policy import file_refs as pins
from gateway.store.file_owners import BOUNDS, FileOwners
from gateway.store.memory import MemoryStore

NOW = 1_800_000_000.0
FILE = "https://generativelanguage.googleapis.com/v1beta/files/abc-1"


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        (FILE, "files/abc-1"), ("files/abc-1", "files/abc-1"), (FILE.replace("v1beta", "v1"), "files/abc-1"),
        ("https://www.youtube.com/watch?v=x", ""), ("gs://bucket/files/abc", ""), ("https://example.com/files/a", ""),
        ("", ""), ("abc", "abc"), (FILE + "/", FILE + "/"), ("x://%47enerativelanguage/files/a", "x://%47enerativelanguage/files/a"),
    ],
)  # fmt: skip
def test_a_uri_names_a_file_or_something_elsewhere(uri: str, name: str) -> None:
    assert pins.file(uri) == name


def test_references_are_found_at_any_depth_with_their_paths() -> None:
    body = {
        "cachedContent": "cachedContents/x",
        "contents": [{"parts": [
            {"text": "files/no"}, {"file_data": {"file_uri": FILE}},
            {"functionCall": {"name": "f", "args": {"fileUri": "files/argument"}}},
            {"functionResponse": {"response": {"fileUri": "files/answer"}, "parts": [{"fileData": {"fileUri": "files/b"}}]}},
        ]}],
        "tools": [{"functionDeclarations": [{"parameters": {"properties": {"fileUri": {"type": "STRING"}}}}]}],
    }  # fmt: skip

    assert list(pins.references(body)) == [
        ("cachedContents/x", "cachedContent"),
        ("files/abc-1", "contents[0].parts[1].file_data.file_uri"),
        ("files/b", "contents[0].parts[3].functionResponse.parts[0].fileData.fileUri"),
    ]


@pytest.mark.parametrize(
    ("body", "may"),
    [
        (b'{"contents": []}', False), (b'{"text": "caf\\u00e9"}', False), (b'{"fileUri": 1}', True),
        (b'{"cached\\u0043ontent": 1}', True), (b'{"cached_content": 1}', True),
    ],
)  # fmt: skip
def test_most_bodies_need_not_be_read(body: bytes, may: bool) -> None:
    assert pins.may_name(body) is may


async def test_a_file_is_known_for_two_days_and_a_cache_for_longer() -> None:
    kept = FileOwners(MemoryStore(BOUNDS))
    await kept.keep("me", ["files/a", "cachedContents/b"], "blue", NOW)
    later = NOW + 48 * 3600

    assert await kept.project("me", {"files/a": "x", "cachedContents/b": "y"}, later - 1) == "blue"
    assert await kept.project("me", {"cachedContents/b": "y"}, later) == "blue"
    assert await kept.project("me", {}, later) == ""
    for scope, name, now in (("me", "files/a", later), ("you", "files/a", NOW), ("me", "files/b", NOW)):
        with pytest.raises(NotFound):
            await kept.project(scope, {name: "x"}, now)
