"""Messages of the Live API that are looked at (https://ai.google.dev/api/live): `setup`, and what Google counts.

All messages pass as they are. Google's are read for tokens, the end of a turn and handles. Of a client's with an issued
key, those that may name a file or a store are read.
"""

import json
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from gateway.conversation.invalid import missing
from gateway.errors import BadRequest, scrub
from gateway.gemini.json_shape import check
from gateway.gemini.wire import NO_JSON, ModalityTokens, UsageMetadata
from gateway.plugins.native.cost import camel, values
from gateway.policy.file_refs import no_file_search, references
from gateway.policy.models.catalog import check_length

NO_SETUP = "setup must be the first message and only the first"
"""Google's words (https://ai.google.dev/api/live)."""
_SUSPECT = (
    b"fileUri", b"file_uri", b"cachedContent", b"cached_content", b"fileSearch", b"file_search", b"\\u00", b"\\x",
)  # fmt: skip
"""Parts of each message that names a file, a cached content or a store. A letter may be written as an escape."""


class Setup(Struct, frozen=True):
    """The first message of a session."""

    model: str = ""
    handle: str = ""
    """Of `sessionResumption`: a handle of the session that goes on."""
    names: dict[str, str] = {}
    """Name of each file and cached content, with the path of a field."""


class _Resumption(Struct, rename="camel"):
    handle: Any = None


class _Fields(Struct, rename="camel"):
    model: Any = None
    session_resumption: _Resumption | None = None


class _First(Struct):
    setup: _Fields


_decode_first = msgspec.json.Decoder(_First).decode


def read_setup(data: bytes, *, issued: bool) -> Setup:
    """Return the setup of a session from its first message. Raises BadRequest unless it is `setup`.

    With an issued key, raises also for a field that is given twice, Forbidden for a tool that reads a project's stores.
    """
    if issued:
        return _strict(data)
    try:
        fields = _decode_first(data).setup
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest(NO_SETUP, param="setup") from None
    model = fields.model if isinstance(fields.model, str) else ""
    return Setup(_model(model))


def check_message(data: bytes) -> dict[str, str]:
    """Return the names of files in a later message of an issued key, each with the path of a field.

    Raises BadRequest for one whose JSON may be read in two ways, and Forbidden for a tool that reads stores.
    """
    if not any(text in data for text in _SUSPECT):
        return {}
    message = _object(data)
    _check_tools(message)
    return dict(references(message))


def _strict(data: bytes) -> Setup:
    message = _object(data)
    setups = list(values(message, "setup"))
    if len(setups) != 1 or not isinstance(setups[0], dict):
        raise BadRequest(NO_SETUP, param="setup")
    setup = setups[0]
    if not isinstance(setup.get("model"), str):
        raise missing("setup.model")
    _check_tools(setup)
    resumptions = [value for value in values(setup, "sessionResumption") if value is not None]
    handles = [v for item in resumptions for v in values(item, "handle") if v]
    if not all(isinstance(handle, str) for handle in handles) or len(resumptions) > 1:
        raise BadRequest("Invalid 'setup.sessionResumption.handle': expected a string.", param="setup")
    return Setup(_model(setup["model"]), next(iter(handles), ""), dict(references(message)))


def _model(name: str) -> str:
    """Return the id of a model, "" for text that looks like a key."""
    check_length(name)
    model = name.removeprefix("models/")
    return model if scrub(model) == model else ""


def _object(data: bytes) -> dict[str, Any]:
    """Return a message in which each field is given once: Google may read another one of two than the gateway."""
    try:
        check(data)
        message = json.loads(data, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise BadRequest("Invalid JSON payload received.", code="invalid_json") from error
    if not isinstance(message, dict):
        raise BadRequest("Invalid JSON payload received: expected an object.", code="invalid_json")
    return message


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise BadRequest(f"Invalid JSON payload received: the field '{scrub(name)[:40]}' is given twice.")
        fields[name] = value
    return fields


def _check_tools(message: Any) -> None:
    """Raise Forbidden for `fileSearch` among the tools of a message, wherever they are in it."""
    waiting = [message]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if any(camel(name) == "fileSearch" for name in value):
                raise no_file_search()
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


class _Usage(Struct, frozen=True, rename="camel"):
    """`usageMetadata` of a server's message, which calls the answer `response`."""

    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    response_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    thoughts_token_count: int | None = None
    total_token_count: int | None = None
    prompt_tokens_details: list[ModalityTokens] | None = None
    response_tokens_details: list[ModalityTokens] | None = None
    cache_tokens_details: list[ModalityTokens] | None = None

    def whole(self) -> UsageMetadata:
        """Return the same counts under the names of generateContent."""
        return UsageMetadata(
            self.prompt_token_count,
            self.response_token_count,
            self.thoughts_token_count,
            self.tool_use_prompt_token_count,
            self.cached_content_token_count,
            self.total_token_count,
            self.prompt_tokens_details,
            self.response_tokens_details,
            cache_tokens_details=self.cache_tokens_details,
        )


class _Content(Struct, frozen=True, rename="camel"):
    turn_complete: bool = False
    grounding_metadata: Raw = NO_JSON


class _Update(Struct, frozen=True, rename="camel"):
    new_handle: str = ""


class _ServerMessage(Struct, frozen=True, rename="camel"):
    server_content: _Content | None = None
    tool_call: Raw = NO_JSON
    usage_metadata: _Usage | None = None
    session_resumption_update: _Update | None = None


class Seen(Struct, frozen=True):
    """A message of Google's, as far as it is looked at."""

    is_content: bool = False
    """Whether it belongs to a turn of the model."""
    is_over: bool = False
    """Whether it ends the turn."""
    usage: UsageMetadata | None = None
    searches: int = 0
    maps: int = 0
    grounding: bytes = b""
    """`groundingMetadata`, whose searches are to be counted."""
    handle: str = ""
    """A handle by which the session can go on in another connection; "" for none."""


NOTHING = Seen()
CONTENT = Seen(is_content=True)
_decode = msgspec.json.Decoder(_ServerMessage).decode


def read_message(data: bytes) -> Seen:
    """Return the counts of a message of Google's. One that cannot be read counts nothing, and is passed on."""
    try:
        message = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return NOTHING
    content, usage, update = message.server_content, message.usage_metadata, message.session_resumption_update
    if content is None:
        handle = update.new_handle if update is not None else ""
        return Seen(bool(message.tool_call), False, None if usage is None else usage.whole(), handle=handle)
    if usage is None and update is None and not (content.turn_complete or content.grounding_metadata):
        return CONTENT
    return Seen(
        True,
        content.turn_complete,
        None if usage is None else usage.whole(),
        grounding=bytes(content.grounding_metadata),
        handle=update.new_handle if update is not None else "",
    )


def error_object(status: int, message: str) -> bytes:
    """Return a reason of a close frame as the error object that Google answers over HTTP."""
    return msgspec.json.encode({"error": {"code": status, "message": message}})
