"""Anthropic's batches, the request: the body that creates one, its lines, pages of a list, and ids.

See https://docs.anthropic.com/en/api/creating-message-batches.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from gateway.errors import BadRequest, NotFound
from gateway.exchange.batches.reading import RawLine
from gateway.policy.clients.kept_batches import LineError

ENDPOINT = "/v1/messages"
_ID = re.compile(r"msgbatch_([0-9a-f]{24})")
_FEW, _MOST = 20, 1000


class Entry(Struct, gc=False):
    """One request of a batch."""

    custom_id: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    params: Raw
    """The body of a request to `/v1/messages`; its faults are the result of this request alone."""


class CreateBody(Struct, gc=False):
    """The body that creates a batch."""

    requests: Annotated[list[Entry], Meta(min_length=1)]


class ListQuery(Struct, frozen=True):
    """Query of a list of batches."""

    limit: int
    beyond: str = ""
    """The id of the batch before the first one; "" for none."""
    up: bool = False
    """Batches that are newer than `beyond`."""


decode_create = msgspec.json.Decoder(CreateBody).decode
_decode_entry = msgspec.json.Decoder(Entry).decode


def check_ids(entries: Iterable[Entry]) -> None:
    """Raise BadRequest for a `custom_id` that two requests have, and for parameters that are no object."""
    seen: dict[str, int] = {}
    for i, entry in enumerate(entries):
        first = seen.setdefault(entry.custom_id, i)
        if first != i:
            raise BadRequest(
                f"Invalid 'requests[{i}].custom_id': requests[{first}] has it, too. Each must be unique in its batch.",
                param=f"requests[{i}].custom_id",
            )
        if not bytes(entry.params).startswith(b"{"):
            raise BadRequest(
                f"Invalid 'requests[{i}].params': expected an object.", param=f"requests[{i}].params"
            )


def check(entries: Sequence[Entry], most: int) -> None:
    """Raise BadRequest for more requests than are taken, an id that two have, and parameters that are no object."""
    if len(entries) > most:
        raise BadRequest(
            f"Invalid 'requests': array too long. Expected an array with maximum length {most}, but got an array with "
            f"length {len(entries)} instead.",
            param="requests",
        )
    check_ids(entries)


def write_lines(path: Path, entries: Iterable[Entry]) -> None:
    """Write the requests to a file, which is on disk when this returns. Blocks."""
    with path.open("wb") as file:
        for entry in entries:
            params = msgspec.json.format(bytes(entry.params), indent=-1)
            file.write(b'{"custom_id":%b,"params":%b}\n' % (msgspec.json.encode(entry.custom_id), params))
        file.flush()
        os.fsync(file.fileno())


class StoredLines:
    """The requests of a batch in its file."""

    keeps_bad_lines = True
    most_requests = 0

    def __init__(self, path: Path) -> None:
        self._path = path

    def faults(self) -> list[LineError]:
        """Return no faults: those of a request are its own result. Raises FileNotFoundError."""
        self._path.stat()
        return []

    def read(self) -> Iterator[RawLine]:
        """Yield the requests. Blocks."""
        with self._path.open("rb") as file:
            for number, data in enumerate(file):
                entry = _decode_entry(data)
                yield RawLine(number, entry.custom_id, bytes(entry.params))


def identifier(name: str) -> str:
    """Return a batch's id without its prefix. Raises NotFound for malformed ids."""
    match = _ID.fullmatch(name)
    if match is None:
        raise no_batch(name)
    return match[1]


def no_batch(name: str) -> NotFound:
    """Return the error for a batch that does not exist or is another client's."""
    return NotFound(f"No such message batch: {name[:80]}", code="batch_not_found")


def list_query(query: Mapping[str, str]) -> ListQuery:
    """Return the page that a query names: the newest, those after an id, or before it. Raises BadRequest."""
    before, after = query.get("before_id", ""), query.get("after_id", "")
    if before and after:
        raise BadRequest("Give 'before_id' or 'after_id', not both.", param="before_id")
    text = query.get("limit", str(_FEW))
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= _MOST):
        raise BadRequest(f"Invalid 'limit': use a number from 1 to {_MOST}.", param="limit")
    return ListQuery(int(text), before or after, bool(before))
