"""Batches, the request: endpoints and fields of a new batch, and pages of a list."""

import re
from collections.abc import Mapping

from msgspec import Struct

from gateway.conversation.invalid import unsupported_value
from gateway.errors import BadRequest, NotFound
from gateway.plugins.batches.wire import CreateBatch

PLUGINS: Mapping[str, str] = {
    "/v1/chat/completions": "chat",
    "/v1/responses": "responses",
    "/v1/embeddings": "embeddings",
    "/v1/images/generations": "images",
    "/v1/completions": "completions",
    "/v1/moderations": "moderations",
}
"""The plugin of each endpoint."""
_REFUSED = ("/v1/images/edits", "/v1/videos")
"""OpenAI's other endpoints of batches."""
_ID = re.compile(r"batch_([0-9a-f]{24})")
_MOST, _FEW = 100, 20


class ListQuery(Struct, frozen=True):
    """Query of a list of batches."""

    limit: int
    after: str = ""
    """The id of the batch before the first one, without its prefix; "" for none."""


def check_create(body: CreateBatch) -> None:
    """Raise BadRequest for a batch that cannot be run."""
    if body.completion_window != "24h":
        raise unsupported_value(body.completion_window, ("24h",), "completion_window")
    if body.endpoint in _REFUSED:
        raise BadRequest(
            f"Batches of {body.endpoint} are not served. Use one of: {', '.join(PLUGINS)}.",
            param="endpoint",
            code="unsupported_value",
        )
    if body.endpoint not in PLUGINS:
        raise unsupported_value(body.endpoint, PLUGINS, "endpoint")


def identifier(name: str) -> str:
    """Return a batch's id without its prefix. Raises NotFound for malformed ids."""
    match = _ID.fullmatch(name)
    if match is None:
        raise no_batch(name)
    return match[1]


def no_batch(name: str) -> NotFound:
    """Return the error, in OpenAI's words, for a batch that does not exist or is another client's."""
    return NotFound(f"No batch found with id '{name[:80]}'.", param="batch_id", code="batch_not_found")


def list_query(query: Mapping[str, str]) -> ListQuery:
    """Return the page that is asked for. Raises BadRequest."""
    text, after = query.get("limit", str(_FEW)), query.get("after", "")
    if not (text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= _MOST):
        raise BadRequest(f"Invalid 'limit': use a number from 1 to {_MOST}.", param="limit")
    return ListQuery(int(text), identifier(after) if after else "")
