"""Messages with very many parts, joined before they are read."""

from collections.abc import Sequence
from itertools import groupby

from gateway.errors import UpstreamError
from gateway.gemini.wire import Part

MANY_PARTS = 256
"""Parts of one message from which on neighbouring texts are joined, so that they are not an event each."""
_MOST_PARTS = 10_000
"""Parts of one message after that. A whole answer of Google's has at most 65,536 tokens
(https://ai.google.dev/gemini-api/docs/models)."""


def joined(parts: Sequence[Part]) -> list[Part]:
    """Return the parts of a large message with neighbouring texts, or thoughts, as one part.

    Raises UpstreamError for more parts than an answer of Google's can have.
    """
    result: list[Part] = []
    for kind, group in groupby(parts, _kind):
        if kind is None:
            result += group
        else:
            text = "".join([part.text or "" for part in group])
            result.append(Part(text=text, thought=kind == "thought" or None))
        if len(result) > _MOST_PARTS:
            raise UpstreamError(
                f"The upstream sent an answer of more than {_MOST_PARTS} parts.", code="upstream_bad_response"
            )
    return result


def _kind(part: Part) -> str | None:
    """Return `text` or `thought` for a part that can be joined with its neighbour of the same kind."""
    if part.text is None or part.thought_signature is not None:
        return None
    return "thought" if part.thought else "text"
