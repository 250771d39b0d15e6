"""Files and cached contents exist in one Google project only: what names them in a request, and whose they are.

A name is `files/abc` or `cachedContents/xyz`. Whatever is spelt so oddly that Google might read a file's name where we
read none counts as a name that nobody has: a client must not reach what another has made.
"""

import hashlib
import re
from collections.abc import Iterator
from urllib.parse import unquote

from gateway.gemini.wire import GenerateContentRequest

_NAME = re.compile(r"(?:files|cachedContents)/[A-Za-z0-9_-]{1,128}")
_FILE_URI = re.compile(
    r"(?:https://generativelanguage\.googleapis\.com/v1(?:beta|alpha)?/)?(files/[A-Za-z0-9_-]{1,128})"
)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_WORDS = (b"fileUri", b"file_uri", b"cachedContent", b"cached_content")
_ESCAPED = re.compile(rb"\\u00[4-7]")
"""A letter, as nobody writes it who has nothing to hide."""
_FREE = ("args", "response")
"""What a function is called with, and what it answered, is the client's own."""


def is_name(text: str) -> bool:
    """Whether Google could have given this name."""
    return _NAME.fullmatch(text) is not None


def key(scope: str, name: str) -> bytes:
    """Where the project of one client's file or cache is kept (16 bytes)."""
    return hashlib.blake2b(f"{scope}\0{name}".encode(), digest_size=16, key=b"pin").digest()


def file(uri: str) -> str:
    """The file that a `fileUri` names; "" for an address elsewhere, such as YouTube's."""
    found = _FILE_URI.fullmatch(uri)
    if found:
        return found[1]
    elsewhere = _ADDRESS.match(uri) and "generativelanguage" not in unquote(uri).lower()
    return "" if elsewhere else uri


def named(request: GenerateContentRequest) -> list[str]:
    """The files and the cached content that a request of our own making names."""
    found = [name for uri in _uris(request) if (name := file(uri))]
    return [*found, request.cached_content] if request.cached_content else found


def _uris(request: GenerateContentRequest) -> Iterator[str]:
    for content in request.contents:
        for part in content.parts or ():
            if part.file_data is not None:
                yield part.file_data.file_uri
            elif part.function_response is not None:
                for inner in part.function_response.parts or ():
                    if inner.file_data is not None:
                        yield inner.file_data.file_uri


def may_name(body: bytes) -> bool:
    """Whether a JSON body may name a file or a cache: quick, and never wrong when it says no."""
    return any(word in body for word in _WORDS) or (b"\\u00" in body and bool(_ESCAPED.search(body)))


def references(body: object, at: str = "") -> Iterator[tuple[str, str]]:
    """Every name in a decoded body of Gemini's API, with its path; fields in camelCase or snake_case."""
    if isinstance(body, list):
        for i, item in enumerate(body):
            yield from references(item, f"{at}[{i}]")
    elif isinstance(body, dict):
        for field, value in body.items():
            path = f"{at}.{field}" if at else field
            if not isinstance(value, str):
                if field not in _FREE:
                    yield from references(value, path)
            elif name := _name(field, value):
                yield name, path


def _name(field: str, value: str) -> str:
    if field in ("fileUri", "file_uri"):
        return file(value)
    return value if field in ("cachedContent", "cached_content") else ""
