"""Methods of Gemini's own API by what their answers contain (https://ai.google.dev/api)."""

import re
from collections.abc import Iterable

_VERSION = r"/v1(?:beta|alpha)?"
_GENERATES = re.compile(r".*:(?:generateContent|streamGenerateContent)")
_COUNTS = re.compile(r".*:(?:countTokens|embedContent|batchEmbedContents)")
_METHOD = re.compile(r":[^/:]+/?\Z")
_JSON = frozenset({"json", "sse", "json;enum-encoding=int"})
_MODELS = re.compile(_VERSION + r"/models(?:/[^/:]+)?")
_STORED = re.compile(
    rf"(?:/upload)?{_VERSION}/(?:files|cachedContents|fileSearchStores)(?:/[A-Za-z0-9_/-]+)?"
    r"(?::(?:register|importFile|uploadToFileSearchStore))?"
)
"""Files, cached contents and stores by their descriptions. A download may be the file of a batch's answers."""


def shown_path(path: str, query: Iterable[tuple[str, str]]) -> str:
    """Return the path of a call with `:download` where it asks for the bytes of a resource, in place of a description.

    They are what `alt=media` returns (https://cloud.google.com/apis/docs/system-parameters); so is any form but JSON.
    """
    forms = {value.lower() for name, value in query if name.lower().removeprefix("$") == "alt"}
    if forms <= _JSON or _METHOD.search(path) is not None:
        return path
    return path.rstrip("/") + ":download"


def generates(path: str) -> bool:
    """Return whether a call's answer is text, media or calls of a model, in candidates."""
    return _GENERATES.fullmatch(path) is not None


def is_silent(method: str, path: str) -> bool:
    """Return whether an answer has nothing that a model has said: counts, embeddings, and what is stored.

    False for any method that is not known.
    """
    if _COUNTS.fullmatch(path) or _STORED.fullmatch(path):
        return True
    return method == "GET" and _MODELS.fullmatch(path) is not None
