"""One call of a model."""

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct, structs

from gateway.gemini.wire import GenerateContentRequest, Part, encode_request


class Origins(Protocol):
    """The origins of a Gemini request's fields: the client's paths by Gemini's names in snake_case."""

    def of(self, names: Iterable[str]) -> list[str]:
        """Return the client's paths of some of Gemini's fields; none for a field that the client did not send."""

    def path(self, google_path: str | None) -> str | None:
        """Return the client's path for a path that Google names in an error."""


class _NoOrigins:
    """Origins of a request that no client has written."""

    def of(self, names: Iterable[str]) -> list[str]:
        return []

    def path(self, google_path: str | None) -> str | None:
        return None


NO_ORIGINS: Origins = _NoOrigins()


class GeminiCall(Struct, frozen=True):
    """One call of a model: everything that the upstream needs but the key.

    A call never changes. `with_request` and `for_choice` return another call; calls may share one request.
    """

    model: str
    """An id that is safe in a URL; whoever resolved it has checked it."""
    request: GenerateContentRequest
    stream: bool = False
    heavy: bool = False
    """So many bytes that they are encoded in a thread."""
    cache_key: str = ""
    """The client's name for calls that begin alike (OpenAI's `prompt_cache_key`)."""
    project: str = ""
    """The project of the key pool that holds the files named in the request; "" for any."""
    origins: Origins = NO_ORIGINS
    files: tuple[str, ...] = ()
    """Ids of the gateway's own files that the request names. A copy in the project that is asked takes their place."""
    encoded: bytes = b""
    """Result of `encode`; empty before its first call."""

    @property
    def path(self) -> str:
        """The path below the API version. Gemini streams server-sent events only when `alt=sse` asks for them."""
        name = self.model if self.model.startswith("tunedModels/") else f"models/{self.model}"
        return f"{name}:streamGenerateContent?alt=sse" if self.stream else f"{name}:generateContent"

    def encode(self) -> bytes:
        """Return the request as JSON. It is encoded once and kept."""
        if not self.encoded:
            # a cache in a frozen struct: the bytes are a function of the request
            structs.force_setattr(self, "encoded", encode_request(self.request))
        return self.encoded

    def forget(self) -> None:
        """Free what only another attempt would need: the JSON, and the client's paths."""
        structs.force_setattr(self, "encoded", b"")
        structs.force_setattr(self, "origins", NO_ORIGINS)

    @property
    def expected_size(self) -> int:
        """Bytes of the encoded request, roughly: its texts, files, signatures and calls of tools. Encodes nothing."""
        request = self.request
        contents = [*request.contents, *([request.system_instruction] if request.system_instruction else ())]
        return sum(_size(part) for content in contents for part in content.parts or ())

    def with_request(self, request: GenerateContentRequest) -> "GeminiCall":
        """Return the same call with another request."""
        return structs.replace(self, request=request, encoded=b"")

    def for_choice(self, number: int) -> "GeminiCall":
        """Return the call of another choice (OpenAI's `n`). Only the seed differs, or all choices would be alike."""
        config = self.request.generation_config
        if not number or config is None or config.seed is None:
            return self
        config = structs.replace(config, seed=config.seed + number)
        return self.with_request(structs.replace(self.request, generation_config=config))


def _size(part: Part) -> int:
    """Return the bytes of what is long in a part."""
    size = len(part.text or "") + len(part.thought_signature or "")
    if part.inline_data is not None:
        size += len(part.inline_data.data)
    if part.function_call is not None:
        size += memoryview(part.function_call.args).nbytes
    if part.function_response is not None:
        size += sum(
            len(inner.inline_data.data) for inner in part.function_response.parts or () if inner.inline_data
        )
    return size
