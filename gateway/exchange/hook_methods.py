"""The hooks that a plugin may override."""

from collections.abc import Sequence

from gateway.exchange.context import RequestContext
from gateway.exchange.finished_answer import FinishedAnswer
from gateway.exchange.hooks import Answering
from gateway.gemini.events import Event
from gateway.gemini.request_json import JsonObject


class HookMethods:
    """Hooks that change nothing. One that a subclass does not override is never called."""

    async def on_request(self, body: JsonObject, context: RequestContext) -> JsonObject | None:
        """Return another body in place of the client's JSON, or None to leave it. Raise GatewayError to refuse it.

        Called on every surface that reads a JSON body, before it is looked at. Do not change `body` in place.
        """
        return None

    def check_native(self, method: str, path: str, context: RequestContext) -> None:
        """Raise GatewayError for a call of Gemini's own API (`native`) that the hooks would not see as they need to.

        Called for each call, with or without a body. `path` is the one that Google is sent, with `:download` behind it
        where the query asks for a resource's bytes (`alt=media`). Do not wait in it.
        """

    async def on_call(self, model: str, body: JsonObject, context: RequestContext) -> JsonObject | None:
        """Return another Gemini request in place of `body`, or None to leave it. Raise GatewayError to refuse it.

        `body` is Gemini's JSON (https://ai.google.dev/api/generate-content), on every surface. Called for each call
        that a request becomes, fallbacks included. Do not change `body` in place.
        """
        return None

    async def on_event(self, event: Event, answer: Answering) -> Event | Sequence[Event] | None:
        """Return what follows in place of an event of an answer, whole or streamed: an event, several, or None.

        Raise StopAnswer to end the answer here, or GatewayError to end it with an error.
        """
        return event

    async def on_answer(self, answer: FinishedAnswer, context: RequestContext) -> None:
        """Observe an answer that has ended, well or not. The client does not wait for it."""
