"""References to files and cached contents in requests."""

import time

import pytest
from msgspec import structs

from gateway.gemini.wire import (
    Blob,
    Content,
    FileData,
    FunctionResponse,
    FunctionResponsePart,
    GenerateContentRequest,
    Part,
)
from gateway.policy import file_refs

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
    assert file_refs.file(uri) == name


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

    assert list(file_refs.references(body)) == [
        ("cachedContents/x", "cachedContent"),
        ("files/abc-1", "contents[0].parts[1].file_data.file_uri"),
        ("files/b", "contents[0].parts[3].functionResponse.parts[0].fileData.fileUri"),
    ]


def test_a_typed_request_names_its_files_and_its_cached_content() -> None:
    media = [
        FunctionResponsePart(file_data=FileData("files/inner")),
        FunctionResponsePart(inline_data=Blob("a/b", "AA==")),
    ]
    parts = [
        Part(text="files/no"),
        Part(file_data=FileData(FILE)),
        Part(file_data=FileData("https://youtu.be/x")),
        Part(function_response=FunctionResponse("f", {"fileUri": "files/answer"}, parts=media)),
        Part(function_response=FunctionResponse("f", {})),
    ]
    request = GenerateContentRequest([Content(None, "user"), Content(parts, "user")])

    assert file_refs.named(request) == ["files/abc-1", "files/inner"]
    assert file_refs.named(structs.replace(request, cached_content="cachedContents/x")) == [
        "files/abc-1",
        "files/inner",
        "cachedContents/x",
    ]


@pytest.mark.row("A4")
def test_a04_paths_are_written_for_names_only() -> None:
    """A long name around thousands of values was copied for each of them, and each level of nesting passed each name on."""
    leaf: object = {f"k{i}": {} for i in range(25_000)} | {"fileUri": "files/abc"}
    for i in range(90):
        leaf = {"x" * 400_000: leaf} if i == 50 else [leaf]
    began = time.thread_time()
    ((name, path),) = file_refs.references(leaf)

    assert time.thread_time() - began < 2
    assert name == "files/abc"
    assert len(path) < 500
    assert path.endswith("[0].fileUri")
