"""Parts of an answer that Google's own tools make: code and its results, calls of search and other tools.

A part that carries a thought signature, or more than a client is shown, is kept as it came: in a later turn Gemini
wants it back unchanged (https://ai.google.dev/gemini-api/docs/thought-signatures).
"""

from collections.abc import Callable

from msgspec import Raw

from gateway.gemini.events import CodePart, ServerTool
from gateway.gemini.thought_signatures import SignatureKeys, Signed
from gateway.gemini.wire import NO_JSON, Part, encode_json

_CODE_OK = ("OUTCOME_OK", 1)
_EMPTY = Raw(b"{}")


class ServerParts:
    """Reads the server parts of one candidate.

    `new_id` makes an id for a part that is kept and came without one; other parts have the id "". `signed` gets the
    parts to store, under keys of `keyring`.
    """

    def __init__(
        self, index: int, new_id: Callable[[], str], keyring: SignatureKeys | None, signed: list[Signed]
    ) -> None:
        self._index = index
        self._new_id = new_id
        self._keyring = keyring
        self._signed = signed
        self._last = ""
        """The id of the last call or code."""
        self._results: dict[str, int] = {}
        """Number of results of each id."""

    def read(self, part: Part, at: int) -> CodePart | ServerTool:
        """Return a part's event. `at` is the code points of answer text before it."""
        signature = part.thought_signature
        if (code := part.executable_code) is not None:
            call_id = self._called(part, code.id)
            return CodePart(self._index, code.code, at=at, id=call_id, signature=signature)
        if (result := part.code_execution_result) is not None:
            call_id = self._answered(part, result.id)
            failed = result.outcome not in _CODE_OK
            return CodePart(self._index, None, result.output, failed, at, call_id, signature)
        if (call := part.tool_call) is not None:
            call_id = self._called(part, call.id)
            kind = str(call.tool_type)
            return ServerTool(self._index, call_id, kind, call.args or _EMPTY, NO_JSON, signature, at)
        response = part.tool_response
        assert response is not None  # noqa: S101 - the caller has looked
        call_id = self._answered(part, response.id)
        kind = str(response.tool_type)
        return ServerTool(self._index, call_id, kind, NO_JSON, response.response or _EMPTY, signature, at)

    def _called(self, part: Part, call_id: str | None) -> str:
        self._last = call_id or (self._new_id() if _is_kept(part) else "")
        self._results[self._last] = 0
        self._keep(part, self._last, 0)
        return self._last

    def _answered(self, part: Part, call_id: str | None) -> str:
        call_id = call_id or self._last
        self._results[call_id] = number = self._results.get(call_id, 0) + 1
        self._keep(part, call_id, number)
        return call_id

    def _keep(self, part: Part, call_id: str, number: int) -> None:
        if call_id and self._keyring is not None and _is_kept(part):
            kept = encode_json(part).decode()
            self._signed.append(Signed((self._keyring.server_part(call_id, number),), kept))


def _is_kept(part: Part) -> bool:
    return bool(part.thought_signature) or part.tool_call is not None or part.tool_response is not None


def is_server_part(part: Part) -> bool:
    """Return whether one of Google's own tools made a part."""
    return (
        part.executable_code is not None
        or part.code_execution_result is not None
        or part.tool_call is not None
        or part.tool_response is not None
    )
