"""Sessions of the Live API over WebSockets, which echo: a text is answered in sound and words, a sound by itself.

Messages are those of https://ai.google.dev/api/live. Google sends JSON in binary frames, and refuses in close frames,
in these words: https://github.com/googleapis/python-genai/issues/130 (invalid argument),
https://github.com/livekit/agents/issues/4159 (mistakes in `setup`),
https://github.com/yagudaev/voiceclaw/pull/155 (keys), https://github.com/livekit/agents/issues/2274 (internal error),
https://github.com/sohzm/cheating-daddy/pull/455 (quota). Those about handles and tokens are the emulator's own.
"""

import asyncio
from typing import Any
from uuid import uuid4

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from gateway.emulator.chunks import joined
from gateway.emulator.errors import BIDI, RefusedError, key_refusal, model_refusal
from gateway.emulator.live_audio import CHUNK, Listener, audio_part, rate_of, resampled, spoken
from gateway.emulator.messages import decode
from gateway.emulator.objects import Objects
from gateway.emulator.request import prompt_tokens
from gateway.emulator.rest import key_of, refused
from gateway.emulator.script import Script
from gateway.emulator.tokens_api import TokensApi

_PATH = (
    r"/ws/google.ai.generativelanguage.{version:v1(?:beta|alpha)?}.GenerativeService"
    r".{method:BidiGenerateContent(?:Constrained)?}"
)
_INVALID, _POLICY, _INTERNAL = (
    WSCloseCode.INVALID_TEXT,
    WSCloseCode.POLICY_VIOLATION,
    WSCloseCode.INTERNAL_ERROR,
)
_ARGUMENT = "Request contains an invalid argument."
_SETUP = "setup must be the first message and only the first"
_WRITER = "gemini-3.8-flash"
"""The model that writes the words of an answer."""
_LARGEST = 64 * 1024 * 1024
_TOKENS_PER_SECOND = 25
_BYTES_PER_SECOND = 48_000
"""Of 16-bit mono at 24 kHz."""


class _ClosedError(Exception):
    """The end of a session, as its close frame says it."""

    def __init__(self, code: int, reason: str) -> None:
        self.code, self.reason = code, reason


class LiveApi:
    """Live sessions. `pace` is the seconds between the messages of an answer."""

    def __init__(self, script: Script, objects: Objects, tokens: TokensApi, pace: float) -> None:
        self._script = script
        self._objects = objects
        self._tokens = tokens
        self._pace = pace
        self.requests: list[dict[str, str]] = []
        """Headers of each handshake, with its path and query under `:path`."""

    def routes(self) -> list[web.RouteDef]:
        return [web.get(_PATH, self.session)]

    async def session(self, request: web.Request) -> web.StreamResponse:
        """Serve one session."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests = [*self.requests[-999:], {**headers, ":path": request.path_qs}]
        token, refusal = _token(request), key_refusal(request)
        if not token and refusal is not None and refusal.reason is None:
            return refused(refusal)
        socket = web.WebSocketResponse(max_msg_size=_LARGEST, compress=False)
        await socket.prepare(request)
        try:
            fixed: dict[str, Any] = {}
            if token:
                setup = self._tokens.use(token)
                if setup is None:
                    raise _ClosedError(
                        _POLICY, "The auth token is not valid: it is unknown, used up or expired."
                    )
                fixed = setup
            elif refusal is not None:
                raise _ClosedError(_INVALID, refusal.message)
            owner = token or key_of(request)
            session = _Session(socket, request.transport, self._script, self._objects, owner, self._pace)
            await session.run(fixed, request.match_info["version"])
        except RefusedError as error:
            await socket.close(code=_INVALID, message=error.refusal.message.encode()[:123])
        except _ClosedError as error:
            await socket.close(code=error.code, message=error.reason.encode()[:123])
        return socket


class _Session:
    """One session: its history, and the sound that arrives."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        script: Script,
        objects: Objects,
        owner: str,
        pace: float,
    ) -> None:
        self._socket = socket
        self._transport = transport
        self._script = script
        self._objects = objects
        self._owner = owner
        self._pace = pace
        self._setup: dict[str, Any] = {}
        self._contents: list[Any] = []
        self._listener = Listener()
        self._heard = 0
        """Tokens of sound in the history."""

    async def run(self, fixed: dict[str, Any], version: str) -> None:
        """Answer messages until the client leaves. `fixed` are the fields of `setup` that a token sets."""
        first = await self._next()
        if first is None:
            return
        if "setup" not in first:
            raise _ClosedError(_INVALID, _SETUP)
        self._begin({**first["setup"], **fixed}, version)
        await self._send({"setupComplete": {"sessionId": uuid4().hex}})
        while (message := await self._next()) is not None:
            if "setup" in message:
                raise _ClosedError(_INVALID, _SETUP)
            await self._take(message)

    def _begin(self, setup: dict[str, Any], version: str) -> None:
        model = str(setup.get("model", ""))
        if not model.startswith("models/"):
            raise _ClosedError(
                _INVALID, "* BidiGenerateContentRequest.setup.model: unexpected model name format"
            )
        refusal = model_refusal(model.removeprefix("models/"), BIDI, version)
        if refusal is not None:
            raise _ClosedError(_POLICY, refusal.message)
        modalities = (setup.get("generationConfig") or {}).get("responseModalities") or ["AUDIO"]
        is_latest = model.startswith("models/gemini-3.8-live")
        if len(modalities) > 1 or (is_latest and (modalities != ["AUDIO"] or setup.get("proactivity"))):
            raise _ClosedError(_INVALID, _ARGUMENT)
        self._setup = {**setup, "modalities": modalities}
        self._listener.is_manual = bool(
            ((setup.get("realtimeInputConfig") or {}).get("automaticActivityDetection") or {}).get("disabled")
        )
        handle = (setup.get("sessionResumption") or {}).get("handle")
        if handle:
            kept = self._objects.get(self._owner, f"handles/{handle}")
            if kept is None:
                raise _ClosedError(_POLICY, "BidiGenerateContent session not found")
            self._contents = list(kept["contents"])

    async def _next(self) -> dict[str, Any] | None:
        """Return the next message; None when the client leaves. Raises RefusedError for what is no message."""
        received = await self._socket.receive()
        if received.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            return None
        try:
            value = msgspec.json.decode(received.data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise RefusedError("Invalid JSON payload received. Unexpected token.") from None
        return decode(value, "BidiGenerateContentRequest")

    async def _take(self, message: dict[str, Any]) -> None:
        if "clientContent" in message:
            content = message["clientContent"]
            self._contents += content.get("turns") or ()
            if content.get("turnComplete"):
                await self._answer()
        if "toolResponse" in message:
            results = message["toolResponse"].get("functionResponses") or ()
            self._contents.append({"role": "user", "parts": [{"functionResponse": r} for r in results]})
            await self._answer()
        if "contextUpdate" in message:
            self._setup.update(
                {k: v for k, v in message["contextUpdate"].items() if k == "systemInstruction"}
            )
        await self._listen(message.get("realtimeInput") or {})

    async def _listen(self, realtime: dict[str, Any]) -> None:
        if "text" in realtime:
            self._contents.append({"role": "user", "parts": [{"text": realtime["text"]}]})
            await self._answer()
        sounds = [*(realtime.get("mediaChunks") or ()), *filter(None, [realtime.get("audio")])]
        for blob in sounds:
            mime = str(blob.get("mimeType", ""))
            if mime.startswith("audio/"):
                if not mime.startswith("audio/pcm"):
                    raise _ClosedError(_INVALID, _ARGUMENT)
                self._listener.hear(blob.get("data", ""), rate_of(mime))
        if "activityStart" in realtime:
            self._listener.begin()
        heard = self._listener.utterance(
            is_over="activityEnd" in realtime or bool(realtime.get("audioStreamEnd"))
        )
        if heard:
            await self._echo(heard)

    async def _echo(self, sound: bytes) -> None:
        """Answer a sound with the same sound."""
        seconds = len(sound) / 2 / self._listener.rate
        words = f"{seconds:.1f} seconds of sound"
        self._heard += int(seconds * _TOKENS_PER_SECOND) + 1
        if "inputAudioTranscription" in self._setup:
            await self._send({"serverContent": {"inputTranscription": {"text": words, "finished": True}}})
        self._contents.append({"role": "user", "parts": [{"text": words}]})
        await self._speak(f"You sent {words}.", resampled(sound, self._listener.rate))

    async def _answer(self) -> None:
        model = str(self._setup["model"]).removeprefix("models/")
        fields = {k: self._setup[k] for k in ("systemInstruction", "tools") if self._setup.get(k)}
        answer = self._script.reply(model, {"contents": self._contents, **fields}, _WRITER)
        await asyncio.sleep(answer.delay)
        if answer.status != 200:
            error = answer.body.get("error", {}) if isinstance(answer.body, dict) else {}
            raise _ClosedError(_INTERNAL, str(error.get("message") or "Internal error occurred."))
        whole = joined(answer.chunks)
        parts = (whole.get("candidates") or [{}])[0].get("content", {}).get("parts", [])
        calls = [part["functionCall"] for part in parts if "functionCall" in part]
        if calls:
            calls = [{"id": f"function-call-{uuid4().int % 10**19}", **call} for call in calls]
            self._contents.append({"role": "model", "parts": [{"functionCall": call} for call in calls]})
            await self._send({"toolCall": {"functionCalls": calls}})
            return
        words = "".join(part.get("text", "") for part in parts if not part.get("thought"))
        if answer.ending == "cut":
            await self._cut(words)
            return
        await self._speak(words, spoken(words))

    async def _cut(self, words: str) -> None:
        """Break the connection in the middle of a frame."""
        part = audio_part(spoken(words))
        await self._send({"serverContent": {"modelTurn": {"role": "model", "parts": [part]}}})
        transport = self._transport
        if transport is not None:
            transport.write(b"\x82\x7e\x10\x00{")  # a binary frame of 4,096 bytes, and one of them
            await asyncio.sleep(self._pace)
            transport.abort()

    async def _speak(self, words: str, sound: bytes) -> None:
        """Answer with words, and unless words alone were asked for with a sound."""
        self._contents.append({"role": "model", "parts": [{"text": words}]})
        is_text = self._setup["modalities"] == ["TEXT"]
        if is_text:
            await self._content(modelTurn={"role": "model", "parts": [{"text": words}]})
        else:
            for at in range(0, len(sound), CHUNK):
                part = audio_part(sound[at : at + CHUNK])
                await self._content(modelTurn={"role": "model", "parts": [part]})
                await asyncio.sleep(self._pace)
            if "outputAudioTranscription" in self._setup:
                await self._content(outputTranscription={"text": words, "finished": True})
        await self._content(generationComplete=True)
        usage = self._usage(words, 0 if is_text else len(sound))
        await self._send({"serverContent": {"turnComplete": True}, "usageMetadata": usage})
        if "sessionResumption" in self._setup:
            handle = uuid4().hex
            self._objects.add(self._owner, f"handles/{handle}", {"contents": list(self._contents)})
            await self._send({"sessionResumptionUpdate": {"newHandle": handle, "resumable": True}})

    def _usage(self, words: str, sound: int) -> dict[str, Any]:
        """Return the tokens of a turn. The whole history is input again."""
        texts = prompt_tokens({"contents": self._contents[:-1], **self._setup})
        said = max(1, sound * _TOKENS_PER_SECOND // _BYTES_PER_SECOND) if sound else max(1, len(words) // 4)
        kind = "AUDIO" if sound else "TEXT"
        asked = [{"modality": "TEXT", "tokenCount": texts}, {"modality": "AUDIO", "tokenCount": self._heard}]
        return {
            "promptTokenCount": texts + self._heard, "responseTokenCount": said,
            "totalTokenCount": texts + self._heard + said,
            "promptTokensDetails": [detail for detail in asked if detail["tokenCount"]],
            "responseTokensDetails": [{"modality": kind, "tokenCount": said}],
        }  # fmt: skip

    async def _content(self, **fields: Any) -> None:
        await self._send({"serverContent": fields})

    async def _send(self, message: dict[str, Any]) -> None:
        """Send a message. A client that has left is noticed when the next one is read."""
        try:
            await self._socket.send_bytes(msgspec.json.encode(message))
        except ConnectionError:
            return


def _token(request: web.Request) -> str:
    """Return the ephemeral token of a handshake, or ""."""
    scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "token":
        return credential.strip()
    return str(request.query.get("access_token", ""))
