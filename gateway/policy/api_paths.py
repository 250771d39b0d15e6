"""Paths of the API families: the family that a path belongs to, and the one spelling that routes are registered under.

Clients are configured with a base URL, and append to it what their SDK appends: `/v1`, nothing, or `/v1` once more.
Every surface is therefore found by the end of its path. What comes before it may be any of the words below, in any
number and order, with repeated and trailing slashes. Paths that are no API's keep their spelling: `/metrics/` is not
`/metrics`, which a proxy in front may refuse.

OpenAI, Anthropic and Google use `/v1/models`, `/v1/files` and `/v1/batches` for different things. The headers of the
request decide (`family_of_headers`), unless the path names the family.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal
from urllib.parse import unquote

from msgspec import Struct

Family = Literal["openai", "anthropic", "google"]

GOOGLE = "/google"
"""First segment of Google's `/v1` paths inside the gateway, where OpenAI has the same ones."""
_VERSIONS = ("v1", "v1beta", "v1alpha")
_BETA = ("v1beta", "v1alpha")
_NAMED: Mapping[str, Family] = {"openai": "openai", "anthropic": "anthropic", "google": "google"}
_WORDS = frozenset({*_VERSIONS, *_NAMED, "api"})
"""Segments that may come before a surface's own path."""
_MOST_WORDS = 8
_CHAT = "chat/completions"
"""Served under any prefix, also one of other words."""
_SHARED = frozenset({"models", "files", "batches"})
"""First segments that several families have."""
_GOOGLES_OWN = frozenset(
    {"cachedContents", "fileSearchStores", "interactions", "auth_tokens", "operations", "tunedModels"}
)
"""First segments below `/v1` that only Google has (https://ai.google.dev/api)."""
_GOOGLES_MODEL = re.compile(r"models/[^/:]+(?::[A-Za-z]+|/operations(?:/.+)?)")
_GOOGLES_ROOTS = re.compile(r"(?:(?:upload|download)/v1(?:beta|alpha)?/|ws/google\.).+")
"""Google's paths that do not begin with a version: media, and websockets of the Live API."""
NOUNS = frozenset({
    "assistants", "audio", "batches", "chat", "chatkit", "completions", "containers", "conversations", "count_tokens",
    "edits", "embeddings", "evals", "files", "fine_tuning", "generations", "images", "input_tokens", "messages",
    "models", "moderations", "realtime", "responses", "skills", "speech", "threads", "transcriptions", "translate",
    "translations", "uploads", "vector_stores", "videos",
})  # fmt: skip
"""Segments of OpenAI's and Anthropic's paths, also of those that are not served."""
_API_VERSION = re.compile(r"v\d[a-z]*\d*")
_DEPLOYMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/-]{0,255}")
_LONGEST_KEPT = 256
"""Characters of a path whose reading is kept."""


class Address(Struct, frozen=True):
    """A path, read."""

    path: str
    """The path that routes are registered under, still percent-encoded."""
    original: str
    """The path as the client sent it."""
    family: Family | None = None
    """The family that the path names; None where the headers decide."""
    google: str = ""
    """The path to take instead if the headers are those of Google's clients; "" for the same."""
    deployment: str = ""
    """The model that an Azure path names."""

    @property
    def is_plain(self) -> bool:
        """Whether the path is served as it was sent, whatever the headers."""
        return self.path == self.original and not self.google


def is_api_path(path: str) -> bool:
    """Return whether a client of this path expects an API's answer, and no page."""
    segments = [segment for segment in path.split("/") if segment]
    if not segments:
        return False
    is_versioned = any(_API_VERSION.fullmatch(segment) for segment in segments)
    return is_versioned or segments[-1] in NOUNS or _GOOGLES_ROOTS.fullmatch("/".join(segments)) is not None


def family_of_headers(headers: Mapping[str, str], query: Iterable[str] = ()) -> Family:
    """Return the family of a request's SDK. `query` holds the names of the query's parameters.

    Google's SDKs send `x-goog-api-key` and `x-goog-api-client`, and its REST examples the key in the query. Anthropic's
    send `anthropic-version`. Headers of both are Google's.
    """
    if "x-goog-api-key" in headers or "x-goog-api-client" in headers or "key" in query:
        return "google"
    return "anthropic" if "anthropic-version" in headers or "anthropic-beta" in headers else "openai"


class ApiPaths:
    """The paths of one application. `routes` are the paths of its routes."""

    def __init__(self, routes: Iterable[str]) -> None:
        paths = list(routes)
        first = (path.split("/")[2] for path in paths if path.startswith("/v1/"))
        self._nouns = frozenset(noun for noun in first if noun and "{" not in noun)
        """First segments of the surfaces that are served below `/v1`."""
        self._has_google = any(path.startswith(f"{GOOGLE}/v1/") for path in paths)
        self._short = lru_cache(1024)(self._read)

    def serves(self, noun: str) -> bool:
        """Return whether a surface is served below `/v1/{noun}`."""
        return noun in self._nouns

    def read(self, path: str) -> Address:
        """Return what a percent-encoded path means. Short ones are read from a cache: clients choose the paths."""
        return self._short(path) if len(path) <= _LONGEST_KEPT else self._read(path)

    def _read(self, path: str) -> Address:
        words, rest = _split([segment for segment in path.split("/") if segment])
        if not rest:
            return Address(path, path, _family(words))
        if rest[0] == "deployments" and len(rest) > 2:
            return self._azure(path, words, rest)
        return self._surface(path, words, rest)

    def _azure(self, path: str, words: list[str], rest: list[str]) -> Address:
        """Read `/openai/deployments/{model}/…`, as AzureOpenAI of openai-python writes it."""
        deployment = unquote(rest[1])
        if not _DEPLOYMENT.fullmatch(deployment) or ".." in deployment:
            return Address(path, path, "openai")
        inner_words, inner = _split(rest[2:])
        if not inner:
            return Address(path, path, "openai")
        address = self._surface(path, [*words, *inner_words, "openai"], inner)
        return Address(address.path, path, "openai", deployment=deployment)

    def _surface(self, path: str, words: list[str], rest: list[str]) -> Address:
        noun, tail, named = rest[0], "/".join(rest), _family(words)
        if tail.endswith(_CHAT) and rest[-2] == "chat":
            return Address(f"/v1/{_CHAT}", path, "openai")
        if noun in self._nouns and noun not in _SHARED:
            return Address(f"/v1/{tail}", path, "anthropic" if noun == "messages" else named or "openai")
        if _GOOGLES_ROOTS.fullmatch(tail):
            return Address(f"/{tail}", path, "google")
        version = next((word for word in reversed(words) if word in _VERSIONS), "")
        is_beta = any(word in _BETA for word in words)
        is_googles = (noun in _GOOGLES_OWN and version) or _GOOGLES_MODEL.fullmatch(tail)
        if named == "google" or (named is None and (is_beta or is_googles)):
            return Address(_googles(version or "v1beta", tail), path, "google")
        google = _googles("v1", tail) if named is None and self._has_google else ""
        if noun in self._nouns:
            return Address(f"/v1/{tail}", path, named, google)
        if named == "openai" and is_beta:
            return Address(f"/v1beta/openai/{tail}", path, "openai")
        is_open = version == "v1" and (noun not in NOUNS or noun in _SHARED)
        return Address(path, path, named, google if is_open else "")


def _split(segments: list[str]) -> tuple[list[str], list[str]]:
    """Return the words at the beginning, and the rest."""
    end = next((i for i, segment in enumerate(segments[:_MOST_WORDS]) if segment not in _WORDS), None)
    end = min(len(segments), _MOST_WORDS) if end is None else end
    return segments[:end], segments[end:]


def _family(words: list[str]) -> Family | None:
    """Return the family that is named last."""
    return next((_NAMED[word] for word in reversed(words) if word in _NAMED), None)


def _googles(version: str, tail: str) -> str:
    return f"{GOOGLE if version == 'v1' else ''}/{version}/{tail}"
