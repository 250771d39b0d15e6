"""State of one candidate of an answer: the parts that its last events need."""

import msgspec

from gateway.gemini.events import Citations
from gateway.gemini.grounding import Citations as CitationList
from gateway.gemini.grounding import Offsets
from gateway.gemini.joined_text import JoinedText
from gateway.gemini.server_parts import ServerParts
from gateway.gemini.server_runs import RunRecorder
from gateway.gemini.wire import NO_JSON, CitationMetadata, decode_grounding


class CandidateState:
    """Parts of one candidate so far."""

    __slots__ = ("blocked", "call_ids", "citations", "finish", "grounding", "has_content", "message", "runs", "server",
                 "signature", "text", "url_context")  # fmt: skip

    def __init__(self) -> None:
        self.has_content = False
        """It has text, media, files or code; calls are not counted."""
        self.text = JoinedText()
        self.call_ids: dict[str, None] = {}
        self.finish: str | None = None
        self.message: str | None = None
        self.signature: str | None = None
        """The last signature of a text part."""
        self.blocked: tuple[str, ...] = ()
        """Harm categories that blocked it."""
        self.grounding: tuple[msgspec.Raw, ...] = ()
        self.citations: tuple[CitationMetadata, ...] = ()
        self.url_context = NO_JSON
        self.server: ServerParts | None = None
        self.runs: RunRecorder | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it has neither content nor calls."""
        return not (self.has_content or self.call_ids)

    @property
    def has_sources(self) -> bool:
        """Whether it has sources to cite."""
        return bool(self.grounding or self.citations or self.url_context)

    def cited(self, index: int) -> tuple[Citations, int]:
        """Return the citations of the whole text, with the longest of the grounding metadata that chunks brought.

        The second value is the number of citations that were left out.
        """
        citations = CitationList(Offsets(str(self.text)))
        for raw in self.grounding:
            try:
                citations.add_grounding(decode_grounding(raw))
            except (msgspec.DecodeError, RecursionError):
                continue  # an unknown shape costs the annotations, not the answer
        for metadata in self.citations:
            citations.add_recitation(metadata)
        longest = max(self.grounding, key=len, default=NO_JSON)
        return Citations(index, citations.all, longest, self.url_context), citations.left_out
