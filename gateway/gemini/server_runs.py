"""Runs: the parts that Google's own tools made in an answer, kept to be put back where they stood.

A client that sends an earlier answer back may know its text and calls only. Gemini wants all parts of it, each with its
own thought signature (https://ai.google.dev/gemini-api/docs/thought-signatures). A run is kept under the id of the call
after it, or under the text of an answer without calls. Code stands in that text as Markdown.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from gateway.gemini.code_markdown import code_markdown
from gateway.gemini.events import CodePart
from gateway.gemini.wire import Part, encode_json

MOST_PARTS = 256
"""Parts of one answer that are kept. Google's tool loop has a few steps."""
_MOST_BYTES = 4 * 2**20
"""Bytes of them; one has about 60 KB."""
_MOST_GIVEN = 16 * 1024
"""Bytes of a run that a client is given in the answer. A larger one is only stored."""
_CODE_OK = ("OUTCOME_OK", 1)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
"""A signature in either alphabet. Google refuses others: "Base64 decoding failed"."""

RunKeeping = Literal["none", "calls", "texts"]
"""Runs that are kept: none, those before calls, or also those of texts without calls."""


class Placed(Struct, frozen=True, array_like=True):
    """A part and its place: the code points of Gemini's text before it, None where they are not known."""

    at: int | None
    part: Part


Run = Sequence[Placed]
_decode = msgspec.json.Decoder(list[Placed]).decode
_decode_parts = msgspec.json.Decoder(list[Part]).decode


class RunRecorder:
    """Collects the runs of one candidate."""

    def __init__(self) -> None:
        self._all: list[Placed] = []
        self._begin = 0
        """Index of the first part that no call has followed."""
        self._size = 0

    def add(self, part: Part, at: int) -> None:
        """Add a part, up to a bound."""
        self._size += len(encode_json(part))
        if len(self._all) < MOST_PARTS and self._size <= _MOST_BYTES:
            self._all.append(Placed(at, part))

    def take(self) -> str | None:
        """Return the parts since the last call as a text to store, or None for none."""
        run, self._begin = self._all[self._begin :], len(self._all)
        return encode_json(run).decode() if run else None

    def whole(self) -> str:
        """Return the parts of the answer as a text to store."""
        return encode_json(self._all).decode()

    def shown(self, text: str) -> str:
        """Return the answer's text with its code as a client sees it."""
        pieces, position = [], 0
        for placed in self._all:
            if words := markdown(placed.part):
                pieces += [text[position : placed.at], words]
                position = placed.at or 0
        return "".join([*pieces, text[position:]])

    def given(self) -> Raw | None:
        """Return the parts as a client is given them, in Gemini's own form; None if they are too large."""
        data = encode_json([placed.part for placed in self._all])
        return Raw(data) if len(data) <= _MOST_GIVEN else None


def stored_run(text: str) -> Run:
    """Return a run as it was stored."""
    try:
        return _decode(text)
    except (msgspec.DecodeError, RecursionError):  # of another version of the gateway
        return ()


def given_run(raw: Raw) -> tuple[Run, bool]:
    """Return a run as a client sends it back, and whether all of it counts.

    Nothing but complete parts of a run's own kinds do, so that no other content comes in and Google refuses nothing.
    """
    try:
        parts = _decode_parts(raw)
    except (msgspec.DecodeError, RecursionError):
        return (), False
    run = [Placed(None, part) for part in map(_bare, parts[:MOST_PARTS]) if part is not None]
    return run, [placed.part for placed in run] == parts


def _bare(part: Part) -> Part | None:
    code, call, response = part.executable_code, part.tool_call, part.tool_response
    is_complete = (
        bool(code and code.code),
        part.code_execution_result is not None,
        bool(call and call.id and call.tool_type),
        bool(response and response.id and response.tool_type),
    )
    if sum(is_complete) != 1:
        return None
    signature = part.thought_signature
    return Part(
        executable_code=part.executable_code,
        code_execution_result=part.code_execution_result,
        tool_call=part.tool_call,
        tool_response=part.tool_response,
        thought_signature=signature if signature and _BASE64.fullmatch(signature) else None,
    )


def markdown(part: Part) -> str:
    """Return the words that stand for a part in a text; "" for a part that is not shown."""
    if part.executable_code is not None:
        return code_markdown(CodePart(0, source=part.executable_code.code))
    if (result := part.code_execution_result) is not None:
        return code_markdown(CodePart(0, output=result.output, failed=result.outcome not in _CODE_OK))
    return ""


def in_place(text: str, run: Iterable[Placed]) -> list[Part]:
    """Return a text as parts, with a run put back. Code that the text does not show is left out."""
    parts: list[Part] = []
    position = shift = 0
    is_searched = True
    for placed in run:
        words = markdown(placed.part)
        begin = position if placed.at is None else max(position, min(placed.at + shift, len(text)))
        end = begin + len(words)
        if words and not text.startswith(words, begin):
            begin = text.find(words, position) if is_searched else -1
            end = begin + len(words)
            if begin < 0:  # the client has changed its text: one search is enough
                is_searched = False
                continue
        shift += len(words)
        if begin > position:
            parts.append(Part(text=text[position:begin]))
        parts.append(placed.part)
        position = end
    return [*parts, Part(text=text[position:])] if position < len(text) else parts


def step_of(part: Part) -> tuple[str, str] | None:
    """Return what tells a call or a response of a tool from others, or None for other parts."""
    if part.tool_call is not None and part.tool_call.id:
        return "call", part.tool_call.id
    if part.tool_response is not None and part.tool_response.id:
        return "response", part.tool_response.id
    return None
