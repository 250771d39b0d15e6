"""Files and uploads, the request: purposes, times to live, pages of a list, and ids."""

import re
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from gateway.conversation import media_types
from gateway.errors import BadRequest, NotFound
from gateway.plugins.files.wire import ExpiresAfter
from gateway.policy.clients.kept_files import NewFile

BATCH_LIFE = 30 * 24 * 3600
"""Seconds for which a batch's input is kept (https://platform.openai.com/docs/api-reference/files/create)."""
PURPOSES = ("assistants", "batch", "vision", "user_data", "evals")
_ID = re.compile(r"file[-_]([0-9a-f]{24})")
_LONGEST_LINE = 2**20
_MOST_OPENAI, _MOST_ANTHROPIC, _FEW = 10_000, 1000, 20


class ListQuery(Struct, frozen=True):
    """Query of a list of files."""

    limit: int
    after: str = ""
    """The id of the file before the first one; "" for none."""
    oldest_first: bool = False
    purpose: str | None = None


def identifier(name: str) -> str:
    """Return a file's id without its prefix. Raises NotFound for malformed ids."""
    match = _ID.fullmatch(name)
    if match is None:
        raise no_file(name)
    return match[1]


def no_file(name: str) -> NotFound:
    """Return the error, in OpenAI's words, for a file that does not exist or is another client's."""
    return NotFound(f"No such File object: {name[:80]}", param="id", code="file_not_found")


def check_purpose(purpose: str) -> bool:
    """Return whether OpenAI has a purpose. Raises BadRequest for one that cannot be served."""
    if purpose == "fine-tune":
        raise BadRequest(
            "Gemini's models cannot be fine-tuned here, so files for it are not taken. "
            f"Use one of: {', '.join(PURPOSES)}.",
            param="purpose",
            code="unsupported_value",
        )
    return purpose in PURPOSES


def check_batch(head: bytes) -> None:
    """Raise BadRequest if a batch's input does not begin with a line of JSON."""
    line = head.lstrip(b"\xef\xbb\xbf\r\n").partition(b"\n")[0].strip()
    if len(line) >= _LONGEST_LINE:
        return
    try:
        is_object = isinstance(msgspec.json.decode(line), dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        is_object = False
    if not is_object:
        raise BadRequest(
            "A file for batches must have a JSON object on each line, but its first line is none.",
            param="file",
            code="invalid_json_line",
        )


def lifetime(purpose: str, after: ExpiresAfter | None, days: float | None) -> int | None:
    """Return the seconds that a file may live; None for as long as its client likes. `days` is the operator's bound."""
    wanted = after.seconds if after is not None else BATCH_LIFE if purpose == "batch" else None
    bounds = [
        seconds
        for seconds in (wanted, int(days * 86400) if days is not None else None)
        if seconds is not None
    ]
    return min(bounds, default=None)


def new_file(
    scope: str, filename: str, mime_type: str, purpose: str, now: float, life: int | None
) -> NewFile:
    """Return a file to be stored."""
    created = int(now)
    return NewFile(scope, filename, mime_type, purpose, created, created + life if life is not None else None)


def mime_type_of(head: bytes, filename: str, declared: str | None) -> str:
    """Return a file's type: by its first bytes, by its name, as declared, or plain text if it looks like it."""
    shown = media_types.sniff_bytes(head) or media_types.named(filename)
    return shown or media_types.of_file(declared, filename, head) or "application/octet-stream"


def openai_query(query: Mapping[str, str]) -> ListQuery:
    """Return the page that a request for OpenAI's list names. Raises BadRequest."""
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise BadRequest("Invalid 'order': use 'asc' or 'desc'.", param="order")
    limit = _limit(query, _MOST_OPENAI, _MOST_OPENAI)
    return ListQuery(limit, query.get("after", ""), order == "asc", query.get("purpose"))


def anthropic_query(query: Mapping[str, str]) -> ListQuery:
    """Return the page of Anthropic's list that a query names: the newest, or those before an id. Raises BadRequest."""
    before, after = query.get("before_id", ""), query.get("after_id", "")
    if before and after:
        raise BadRequest("Give 'before_id' or 'after_id', not both.", param="before_id")
    return ListQuery(_limit(query, _FEW, _MOST_ANTHROPIC), before or after, bool(before))


def _limit(query: Mapping[str, str], default: int, most: int) -> int:
    text = query.get("limit", str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= most):
        raise BadRequest(f"Invalid 'limit': use a number from 1 to {most}.", param="limit")
    return int(text)
