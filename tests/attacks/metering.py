"""An upstream that counts what it would bill, and breaks off where it is told to."""

import asyncio
import json
from collections import Counter
from typing import Any

from msgspec import Struct

from gateway.gemini.usage import TokenCounts

EVENTS = 3
PICTURE = 1_290


class Behaviour(Struct, frozen=True):
    """What the upstream does with a call."""

    told: str = "all"
    """Counts in the answer: `all` in each event, `late` in the last one only, `prompt` without the output, or `none`."""
    reset: int | None = None
    """Bytes of the answer after which the connection is reset."""
    status: int = 200
    early: bool = False
    """The stream ends without a finish reason."""


class Meter:
    """Bills each call that arrives whole and is not refused, for all that it asks for, whoever reads the answer.

    A byte of text is a token, as a digit is, and each candidate has as many tokens as it may. The behaviour of a call is
    named in its text, as `<<0>>`.
    """

    def __init__(self) -> None:
        self.behaviours: list[Behaviour] = []
        self.billed: Counter[str] = Counter()
        """Tokens by model."""
        self.bills: list[tuple[str, TokenCounts]] = []
        self.arrived = 0
        self.url = ""
        self.server: asyncio.Server | None = None

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            body = await reader.readexactly(int(lengths[0][15:]) if lengths else 0)
            await self._answer(head.decode().split(" ")[1], body, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, url: str, body: bytes, writer: asyncio.StreamWriter) -> None:
        self.arrived += 1
        path, _, query = url.partition("?")
        model, _, method = path.rpartition("/")[2].partition(":")
        request = json.loads(body or b"{}")
        behaviour = self._behaviour(body.decode())
        if behaviour.status >= 400:
            await _send(
                writer, behaviour, b'{"error": {"code": 503, "status": "UNAVAILABLE"}}', "application/json"
            )
            return
        counts, answers = _result(method, request)
        self.bills.append((model, counts))
        self.billed[model] += counts.total
        pieces = [
            _told(answer, counts, behaviour.told, i == len(answers) - 1) for i, answer in enumerate(answers)
        ]
        if behaviour.early and method == "streamGenerateContent":
            pieces.pop()
        if "alt=sse" in query:
            data = b"".join(b"data: " + json.dumps(piece).encode() + b"\r\n\r\n" for piece in pieces)
            await _send(writer, behaviour, data, "text/event-stream")
        else:
            whole: Any = pieces if method == "streamGenerateContent" else pieces[-1]
            await _send(writer, behaviour, json.dumps(whole).encode(), "application/json")

    def _behaviour(self, body: str) -> Behaviour:
        _, found, rest = body.partition("<<")
        number = rest.partition(">>")[0]
        return self.behaviours[int(number)] if found else Behaviour()


def _result(method: str, request: dict[str, Any]) -> tuple[TokenCounts, list[dict[str, Any]]]:
    """Return what a call is billed, and its answer, in events where it is streamed."""
    prompt = sum(map(len, _texts(request)))
    if method == "countTokens":
        return TokenCounts(), [{"totalTokens": prompt}]
    if method in ("embedContent", "batchEmbedContents"):
        vector = {"values": [1.0, 0.0]}
        batch = len(request.get("requests", []))
        return TokenCounts(prompt=prompt), [
            {"embeddings": [vector] * batch} if batch else {"embedding": vector}
        ]
    if method == "predict":
        pictures = request.get("parameters", {}).get("sampleCount", 4) * len(request["instances"])
        return TokenCounts(completion=pictures * PICTURE), [{"predictions": [{}] * pictures}]
    config = request.get("generationConfig", {})
    candidates, most = config.get("candidateCount", 1), config.get("maxOutputTokens", 4000)
    thoughts = candidates * most // 2
    counts = TokenCounts(prompt=prompt, completion=candidates * most - thoughts, thoughts=thoughts)
    events = [
        {"candidates": [{"index": i, "content": {"parts": [{"text": "word "}]}} for i in range(candidates)]}
        for _ in range(EVENTS)
    ]
    for candidate in events[-1]["candidates"]:
        candidate["finishReason"] = "STOP"
    return counts, events if method == "streamGenerateContent" else events[-1:]


def _told(answer: dict[str, Any], counts: TokenCounts, told: str, last: bool) -> dict[str, Any]:
    if told == "none" or (told == "late" and not last) or not counts.total or "predictions" in answer:
        return answer
    share = 1 if last else 0.3
    usage = {"promptTokenCount": counts.prompt}
    if told != "prompt" and "candidates" in answer:
        usage["candidatesTokenCount"] = int(counts.completion * share)
        usage["thoughtsTokenCount"] = int(counts.thoughts * share)
    return {**answer, "usageMetadata": usage}


def _texts(value: Any) -> list[str]:
    """Return all texts of parts."""
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    if not isinstance(value, dict):
        return []
    own = [value["text"]] if isinstance(value.get("text"), str) else []
    return own + [text for inner in value.values() for text in _texts(inner)]


async def _send(writer: asyncio.StreamWriter, behaviour: Behaviour, data: bytes, kind: str) -> None:
    head = f"HTTP/1.1 {behaviour.status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    if behaviour.reset is not None:
        writer.write((head.encode() + data)[: behaviour.reset])
        await writer.drain()
        writer.transport.abort()
        return
    writer.write(head.encode())
    for i in range(0, len(data), 400):
        writer.write(data[i : i + 400])
        await writer.drain()
        await asyncio.sleep(0)
