"""Puts the parts that Google's own tools made back into earlier answers, as far as the request may hold them."""

from collections.abc import Sequence

from msgspec import Struct, structs

from gateway.conversation.notes import Notes
from gateway.conversation.pairing import Turn
from gateway.gemini.server_runs import Placed, Run, in_place, markdown, step_of, stored_run
from gateway.gemini.thought_signatures import SignatureKeys, StoredSignatures
from gateway.gemini.wire import Part

_MOST_COMPARED = 256
"""Parts before a turn among which the same step of a tool is looked for."""


class ServerTools(Struct, frozen=True):
    """The kinds of server parts that a request may hold, by the tools that it declares."""

    circulates: bool = False
    """`includeServerSideToolInvocations` is set: calls of tools and their results belong into the history."""
    runs_code: bool = False


NO_SERVER_TOOLS = ServerTools()


class Replay(Struct, frozen=True):
    """Returns the parts of model turns."""

    keys: SignatureKeys
    stored: StoredSignatures
    tools: ServerTools
    notes: Notes

    def parts(
        self, turn: Turn, said: Sequence[Part], calls: Sequence[Part], before: Sequence[Part]
    ) -> list[Part]:
        """Return what a turn said and its calls, each with the parts that stood before it.

        `before` are the parts of the same content so far: what they hold is not put back again.
        """
        known = {step_of(part) for part in (*before[-_MOST_COMPARED:], *said)} - {None}
        if turn.run is not None:
            run = self._admitted(turn.run, known)
            if len(run) < len(turn.run):
                self.notes.add(turn.run_at)
            return [*_placed(said, run), *calls]
        if not calls:
            return _placed(said, self._admitted(self._of_answer(turn), known))
        parts: list[Part] = []
        for i, (call, part) in enumerate(zip(turn.calls, calls, strict=True)):
            stored = self.stored.get(self.keys.before_call(call.id)) if call.id else None
            run = self._admitted(stored_run(stored) if stored is not None else (), known)
            parts += (
                _placed(said, run) if not i else [placed.part for placed in run if not markdown(placed.part)]
            )
            parts.append(part)
        return parts

    def _of_answer(self, turn: Turn) -> Run:
        text = only_text(turn)
        stored = self.stored.get(self.keys.answer(text)) if text else None
        return stored_run(stored) if stored is not None else ()

    def _admitted(self, run: Run, known: set[tuple[str, str] | None]) -> list[Placed]:
        """Return the parts of a run that may go, and are not there already."""
        kept = []
        for placed in run:
            is_code = placed.part.tool_call is None and placed.part.tool_response is None
            step = step_of(placed.part)
            if (self.tools.runs_code if is_code else self.tools.circulates) and step not in known:
                kept.append(placed)
            if step is not None:
                known.add(step)
        return kept


def only_text(turn: Turn) -> str:
    """Return the text of a turn without calls that says nothing else, or ""."""
    if turn.calls or len(turn.parts) != 1:
        return ""
    (part,) = turn.parts
    return part.text or "" if isinstance(part, Part) else ""


def _placed(said: Sequence[Part], run: Run) -> list[Part]:
    """Return the parts of a turn with a run put back. Only one text has places; else a run stands before all."""
    if not run:
        return list(said)
    if len(said) != 1 or said[0].text is None:
        return [*(placed.part for placed in run if not markdown(placed.part)), *said]
    parts = in_place(said[0].text, run)
    if said[0].thought_signature:
        for i in range(len(parts) - 1, -1, -1):
            if parts[i].text is not None:
                parts[i] = structs.replace(parts[i], thought_signature=said[0].thought_signature)
                break
    return parts
