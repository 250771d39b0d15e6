"""Names that exist in one Google project only, and references to files and cached contents in requests.

A name is `files/abc` or `cachedContents/xyz`. Batches, operations and whatever else a call creates are in one project,
too; requests do not refer to them in their bodies. A spelling that Google might read as a file's name, but that is not
understood here, counts as a name that nobody owns: a client must not reach another client's file. File search stores
have no owner among clients.
"""

import hashlib
import re
from collections.abc import Iterator
from urllib.parse import unquote

from gateway.errors import Forbidden
from gateway.gemini.wire import GenerateContentRequest

_NAME = re.compile(
    r"(?:files|cachedContents|batches|fileSearchStores|interactions|operations|voices|auth_tokens)"
    r"/[A-Za-z0-9_-]{1,128}|models/[A-Za-z0-9._-]{1,128}/operations/[A-Za-z0-9_-]{1,128}"
)
_FILE_URI = re.compile(
    r"(?:https://generativelanguage\.googleapis\.com/v1(?:beta|alpha)?/)?(files/[A-Za-z0-9_-]{1,128})"
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,63}://")
_LONGEST_STEP = 64
"""Characters of a field's name in a path."""
_FREE_FORM = ("args", "response")
"""Arguments and result of a function: their fields have no meaning for Google."""


def is_name(text: str) -> bool:
    """Return whether a text has the form of a name that Google gives."""
    return _NAME.fullmatch(text) is not None


def key(scope: str, name: str) -> bytes:
    """Return the 16-byte key under which the owner of a client's file or cached content is stored."""
    return hashlib.blake2b(f"{scope}\0{name}".encode(), digest_size=16, key=b"pin").digest()


def file(uri: str) -> str:
    """Return the name of the file that a `fileUri` refers to, or "" for a URL elsewhere, such as YouTube's."""
    match = _FILE_URI.fullmatch(uri)
    if match:
        return match[1]
    is_elsewhere = _SCHEME.match(uri) and "generativelanguage" not in unquote(uri).lower()
    return "" if is_elsewhere else uri


def named(request: GenerateContentRequest) -> list[str]:
    """Return the names of the files and of the cached content that a request refers to."""
    names = [name for uri in _uris(request) if (name := file(uri))]
    return [*names, request.cached_content] if request.cached_content else names


def _uris(request: GenerateContentRequest) -> Iterator[str]:
    for content in request.contents:
        for part in content.parts or ():
            if part.file_data is not None:
                yield part.file_data.file_uri
            elif part.function_response is not None:
                for inner in part.function_response.parts or ():
                    if inner.file_data is not None:
                        yield inner.file_data.file_uri


def no_file_search() -> Forbidden:
    """Return the error for the tool `fileSearch` with an issued key: its stores belong to a whole Google project."""
    return Forbidden(
        "The tool `fileSearch` needs a Gemini API key of your own: its stores belong to a whole Google project.",
        code="not_for_issued_keys",
    )


_Place = tuple["_Place | None", str]
"""The place around a value, and the step to it; paths are written only for names."""


def references(body: object) -> Iterator[tuple[str, str]]:
    """Yield each name in a decoded request of Gemini's API with its path. Fields may be in camelCase or snake_case."""
    waiting: list[tuple[object, _Place | None]] = [(body, None)]
    while waiting:
        value, place = waiting.pop()
        if isinstance(value, list):
            waiting += [(item, (place, f"[{i}]")) for i, item in enumerate(value)][::-1]
        elif isinstance(value, dict):
            inside: list[tuple[object, _Place | None]] = []
            for field, inner in value.items():
                if not isinstance(inner, str):
                    if field not in _FREE_FORM and isinstance(inner, dict | list):
                        inside.append((inner, (place, f".{field}")))
                elif name := _name(field, inner):
                    yield name, _path((place, f".{field}"))
            waiting += inside[::-1]


def _path(place: _Place | None) -> str:
    """Return a place as a path, such as `contents[0].parts[1].fileData.fileUri`; the beginning of a long one."""
    steps: list[str] = []
    while place is not None:
        place, step = place
        steps.append(step[:_LONGEST_STEP])
    return "".join(reversed(steps)).removeprefix(".")


def _name(field: str, value: str) -> str:
    if field in ("fileUri", "file_uri"):
        return file(value)
    return value if field in ("cachedContent", "cached_content") else ""
