"""The surfaces as a client sees them: how each is asked, and how an answer, an error and a broken stream look."""

import json
from typing import Any

from msgspec import Struct

MODEL = "gemini-2.5-flash"


class Surface(Struct, frozen=True):
    """One way to ask for an answer."""

    name: str
    path: str
    streamed: bool = False

    def body(self, text: str = "hello", **fields: Any) -> dict[str, Any]:
        """Return a request."""
        message = {"role": "user", "content": text}
        if self.name == "native":
            return {"contents": [{"role": "user", "parts": [{"text": text}]}], **fields}
        stream = {"stream": True} if self.streamed else {}
        if self.name == "responses":
            return {"model": MODEL, "input": text, **stream, **fields}
        if self.name == "completions":
            return {"model": MODEL, "prompt": text, **stream, **fields}
        extra = {"max_tokens": 100} if self.name == "messages" else {}
        return {"model": MODEL, "messages": [message], **extra, **stream, **fields}


CHAT = Surface("chat", "/v1/chat/completions")
CHAT_STREAM = Surface("chat", "/v1/chat/completions", streamed=True)
RESPONSES = Surface("responses", "/v1/responses")
RESPONSES_STREAM = Surface("responses", "/v1/responses", streamed=True)
MESSAGES = Surface("messages", "/v1/messages")
MESSAGES_STREAM = Surface("messages", "/v1/messages", streamed=True)
COMPLETIONS = Surface("completions", "/v1/completions")
COMPLETIONS_STREAM = Surface("completions", "/v1/completions", streamed=True)
NATIVE = Surface("native", f"/v1beta/models/{MODEL}:generateContent")
NATIVE_STREAM = Surface("native", f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse", streamed=True)

UNARY = (CHAT, RESPONSES, MESSAGES)
STREAMS = (CHAT_STREAM, RESPONSES_STREAM, MESSAGES_STREAM)
TRANSLATED = UNARY + STREAMS
GENERATING = (*TRANSLATED, COMPLETIONS, COMPLETIONS_STREAM, NATIVE, NATIVE_STREAM)


class Reply(Struct, frozen=True):
    """What a client received."""

    surface: Surface
    status: int
    headers: dict[str, str]
    """By lower-case names."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """Payloads of a stream, `[DONE]` as text. Raises AssertionError for a frame that is none."""
        body = self.body.replace(b"\r\n", b"\n")  # Google's own line ends, which the native surface passes on
        assert body.endswith(b"\n\n"), body[-200:]
        payloads = []
        for frame in body.decode().split("\n\n"):
            data = [line[6:] for line in frame.split("\n") if line.startswith("data: ")]
            assert data or not frame or frame.startswith(":"), frame
            if data:
                payloads.append("[DONE]" if data == ["[DONE]"] else json.loads("\n".join(data)))
        return payloads

    @property
    def text(self) -> str:
        """The model's text."""
        match self.surface.name, self.surface.streamed:
            case "chat", False:
                return str(self.json["choices"][0]["message"]["content"])
            case "chat", True:
                chunks = [event for event in self.events if event != "[DONE]"]
                deltas = (choice["delta"] for chunk in chunks for choice in chunk.get("choices", ()))
                return "".join(delta.get("content") or "" for delta in deltas)
            case "completions", False:
                return str(self.json["choices"][0]["text"])
            case "completions", True:
                chunks = [event for event in self.events if event != "[DONE]"]
                return "".join(choice["text"] for chunk in chunks for choice in chunk.get("choices", ()))
            case "responses", False:
                return "".join(p["text"] for i in self.json["output"] for p in i.get("content", ()))
            case "responses", True:
                kind = "response.output_text.delta"
                return "".join(event["delta"] for event in self.events if event["type"] == kind)
            case "messages", False:
                return "".join(block["text"] for block in self.json["content"])
            case "messages", True:
                return "".join(event["delta"].get("text", "") for event in self.events if "delta" in event)
        answers = self.events if self.surface.streamed else [self.json]
        contents = (c["content"] for answer in answers for c in answer.get("candidates", ()))
        return "".join(part["text"] for content in contents for part in content["parts"])


def assert_whole(reply: Reply, text: str = "fine") -> None:
    """Check that a reply is one complete answer."""
    assert reply.status == 200, reply.body
    assert reply.text == text
    if not reply.surface.streamed:
        return
    match reply.surface.name:
        case "chat":
            assert reply.events.count("[DONE]") == 1
            assert reply.events[-1] == "[DONE]"
            assert len(_chat_finishes(reply)) == 1
        case "responses":
            kinds = [event["type"] for event in reply.events]
            assert kinds[-1] in ("response.completed", "response.incomplete")
            assert kinds.count("response.completed") + kinds.count("response.incomplete") == 1
        case "messages":
            assert reply.events[-1]["type"] == "message_stop"


def assert_refused(reply: Reply, status: int, code: str | None = None) -> None:
    """Check that a reply is one error in its surface's format."""
    assert reply.status == status, (reply.status, reply.body)
    assert reply.headers["content-type"].startswith("application/json")
    error = reply.json["error"]
    assert error["message"]
    match reply.surface.name:
        case "messages":
            assert reply.json["type"] == "error"
            assert error["type"]
        case "native":
            assert error["code"] == status
            assert error["status"]
        case _:
            assert set(error) == {"message", "type", "param", "code"}
            assert code in (None, error["code"]), error


def assert_broken_off(reply: Reply, code: str | None = None) -> None:
    """Check that a stream that had begun ended with one error event, and does not look complete."""
    assert reply.status == 200, (reply.status, reply.body)
    events = reply.events
    match reply.surface.name:
        case "chat" | "completions":
            assert set(events[-1]) == {"error"}, events
            assert code in (None, events[-1]["error"]["code"])
            assert events[-1]["error"]["message"]
            assert "[DONE]" not in events
            assert _chat_finishes(reply) == []
        case "responses":
            assert events[-1]["type"] in ("response.failed", "error"), events[-1]
            assert {"response.completed", "response.incomplete"}.isdisjoint(e["type"] for e in events)
        case "messages":
            assert events[-1]["type"] == "error", events[-1]
            assert events[-1]["error"]["message"]
            assert "message_stop" not in [event["type"] for event in events]
        case "native":
            assert set(events[-1]) == {"error"}, events[-1]


def _chat_finishes(reply: Reply) -> list[str]:
    chunks = [event for event in reply.events if event != "[DONE]"]
    choices = [choice for chunk in chunks for choice in chunk.get("choices", ())]
    return [choice["finish_reason"] for choice in choices if choice["finish_reason"]]
