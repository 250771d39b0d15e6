"""Hooks that change and refuse: on the client's request, on the Gemini call, and on each event of the answer."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from gateway.errors import BadRequest
from gateway.exchange.context import RequestContext
from gateway.exchange.hooks import Answering, HookOptions, StopAnswer
from gateway.gemini.events import Event, TextDelta, ThoughtDelta, ToolCall
from gateway.plugin import Plugin


class Rules(Plugin):
    """House rules for every surface."""

    class Config(HookOptions, frozen=True, forbid_unknown_fields=True):
        rule: str = "Answer in one sentence."
        forbidden_tool: str = "rm"

    async def on_request(self, body: dict[str, Any], context: RequestContext) -> dict[str, Any] | None:
        if len(body.get("tools") or ()) > 100:
            raise BadRequest("Send at most 100 tools.", param="tools", code="too_many_tools")
        return {name: value for name, value in body.items() if name not in ("user", "metadata")}

    async def on_call(
        self, model: str, body: dict[str, Any], context: RequestContext
    ) -> dict[str, Any] | None:
        said = (body.get("systemInstruction") or {}).get("parts") or []
        return body | {"systemInstruction": {"parts": [{"text": self.config.rule}, *said]}}

    async def on_event(self, event: Event, answer: Answering) -> Event | Sequence[Event] | None:
        match event:
            case ThoughtDelta():
                return None  # thoughts stay here
            case TextDelta(text=text):
                return replace(event, text=text.replace("\N{EM DASH}", "-"))
            case ToolCall(name=name) if name == self.config.forbidden_tool:
                raise StopAnswer("content_filter", f"The tool {name} may not be used.")
        return event
