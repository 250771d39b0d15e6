"""Declarations that were read and translated before: an agent sends the same tools and format with every turn.

What becomes of tools, of the choice among them and of the format depends on them and on the model's capabilities alone.
So a plain request may have any that its surface has read before, under the bytes that the client sent.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct, field

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.google_options import NOTHING
from gateway.conversation.plain import (
    NO_DECLARATIONS,
    Declarations,
    Declared,
    PlainConversation,
    gemini_request,
)
from gateway.gemini.call_names import CallRules
from gateway.gemini.capabilities import Capabilities
from gateway.gemini.wire import GenerateContentRequest, GenerationConfig, SafetySetting

MOST_BYTES = 512 * 1024
"""Bytes of all declarations that are kept. What became of them takes about five times as much for each model."""
_LARGEST = 64 * 1024
"""Bytes of the largest that are kept, so that one does not push out many."""
_MOST_MODELS = 8
"""Models for which one declaration is kept: a chain of fallbacks has a few."""
_NO_CONFIG = GenerationConfig()


class _Known(Struct):
    is_plain: bool
    """They were read without a note, and have no tools of Google's own, which look into the history."""
    translated: dict[int, tuple[Capabilities, Declared | None]] = field(default_factory=dict)
    """By the identity of the capabilities; None where the translation depends on more."""


class KnownDeclarations:
    """Declarations by what the client sent, as many as fit into some bytes. The oldest are forgotten first."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._known: dict[Declarations, _Known] = {}
        self.size = 0
        """Bytes that are kept."""

    def are_plain(self, declarations: Declarations, recorded: Callable[[], ConversationBuilder]) -> bool:
        """Return whether a plain request may have these declarations. Raises what reading them raises.

        `recorded` reads the request by the long way. It is called for declarations that are not known.
        """
        if not declarations:
            return True
        known = self._known.get(declarations)
        if known is None and _size(declarations) > _LARGEST:
            return False
        if known is None:
            conversation = recorded()
            is_plain = not (
                list(conversation.notes)
                or conversation.has_built_ins
                or conversation.google is not NOTHING
                or conversation.location is not None
                or conversation.hints
            )
            known = _Known(is_plain)
            self._keep(declarations, known)
        return known.is_plain

    def of(self, declarations: Declarations, capabilities: Capabilities) -> Declared | None:
        """Return what became of declarations for a model; None where that is not known."""
        if not declarations:
            return NO_DECLARATIONS
        known = self._known.get(declarations)
        return known.translated.get(id(capabilities), _UNKNOWN)[1] if known is not None else None

    def learn(
        self,
        conversation: PlainConversation,
        capabilities: Capabilities,
        safety: Sequence[SafetySetting],
        request: GenerateContentRequest,
        rules: CallRules,
    ) -> None:
        """Learn from a translation without notes by the long way, if the plain way then gives the same request."""
        known = self._known.get(conversation.declarations)
        if known is None or id(capabilities) in known.translated:
            return
        config = request.generation_config or _NO_CONFIG
        declared = Declared(
            request.tools,
            request.tool_config,
            config.response_mime_type,
            config.response_json_schema,
            rules,
        )
        plain = gemini_request(conversation, capabilities, safety, declared)
        if plain is None:
            return
        if len(known.translated) >= _MOST_MODELS:  # such as those before a reload
            known.translated.pop(next(iter(known.translated)), None)
        known.translated[id(capabilities)] = capabilities, declared if plain == request else None

    def clear(self) -> None:
        """Forget all declarations."""
        self._known.clear()
        self.size = 0

    def _keep(self, declarations: Declarations, known: _Known) -> None:
        """Keep declarations. Threads that read the same ones at the same time keep them once."""
        if self._known.setdefault(declarations, known) is not known:
            return
        self.size += _size(declarations)
        while self.size > self._most and self._known:
            oldest = next(iter(self._known))
            if self._known.pop(oldest, None) is not None:
                self.size -= _size(oldest)


def _size(declarations: Declarations) -> int:
    return sum(map(len, declarations))


_UNKNOWN = (Capabilities(), None)
KNOWN = KnownDeclarations()
"""Those of all requests."""
