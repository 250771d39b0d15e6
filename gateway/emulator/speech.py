"""Speech: a tone as long as the text, in the forms of each generation of models.

gemini-3.8 answers a whole WAV file, and streams samples without a header; older models answer samples alone
(https://ai.google.dev/gemini-api/docs/speech-generation). A second of sound is 25 tokens.
"""

import base64
import math
import struct
from array import array
from functools import lru_cache
from typing import Any

from gateway.emulator.models import Model
from gateway.emulator.request import generation, last_turn

RATE = 24_000
_MOST = 40
"""Seconds of sound, so that a test of a long text stays quick."""
_CHARACTER = RATE // 20
"""Samples of a character: 50 ms."""
_PIECE = RATE * 2 // 5
"""Bytes of a piece of a stream: 200 ms."""
_TOKENS_PER_SECOND = 25
L16 = "audio/L16;codec=pcm;rate=24000"
_L16_OF_3_8 = "audio/l16; rate=24000; channels=1"

Chunk = dict[str, Any]


def samples(request: dict[str, Any]) -> bytes:
    """Return a tone for the texts of a request: each voice has its own pitch, and each character a length."""
    texts = [part["text"] for part in last_turn(request) if part.get("text")]
    length = min(sum(map(len, texts)), _MOST * RATE // _CHARACTER)
    return _beep(_pitch(generation(request).get("speechConfig"))) * max(1, length)


def part_of(data: bytes) -> dict[str, Any]:
    """Return a part with samples."""
    return {"inlineData": {"mimeType": L16, "data": base64.b64encode(data).decode()}}


def shaped(model: Model, chunks: list[Chunk], *, stream: bool) -> list[Chunk]:
    """Return the chunks of an answer with its sound as the model sends it: whole, or in pieces."""
    if model.outputs != (("AUDIO",),):
        return chunks
    result: list[Chunk] = []
    seconds = 0.0
    for chunk in chunks:
        data = _sound_of(chunk)
        if data is None:
            result.append(chunk)
            continue
        seconds += len(data) / 2 / RATE
        if not stream:
            result.append(_with(chunk, _wav(data) if model.whole_files else data, _mime(model, stream=False)))
            continue
        ends = range(0, len(data), _PIECE) if model.streams_sound else [0]
        size = _PIECE if model.streams_sound else len(data)
        result += [_with(chunk, data[i : i + size], _mime(model, stream=True)) for i in ends]
    if seconds and result:
        result[-1]["usageMetadata"] = _counted(result[-1].get("usageMetadata") or {}, seconds)
    return result


def voice_refusal(request: dict[str, Any]) -> str | None:
    """Return the message against another number of speakers than two; Google documents the number, not the words."""
    config = generation(request).get("speechConfig") or {}
    dialogue = config.get("multiSpeakerVoiceConfig")
    if dialogue is None:
        return None
    voices = dialogue.get("speakerVoiceConfigs") if isinstance(dialogue, dict) else None
    return None if isinstance(voices, list) and len(voices) == 2 else "speaker_voice_configs"


def _mime(model: Model, *, stream: bool) -> str:
    if not model.whole_files:
        return L16
    return _L16_OF_3_8 if stream else "audio/wav"


def _sound_of(chunk: Chunk) -> bytes | None:
    for candidate in chunk.get("candidates") or ():
        for part in (candidate.get("content") or {}).get("parts") or ():
            if "inlineData" in part:
                return base64.b64decode(part["inlineData"]["data"])
    return None


def _with(chunk: Chunk, data: bytes, mime: str) -> Chunk:
    """Return a chunk with other sound in place of its own."""
    (candidate,) = chunk["candidates"]
    blob = {"mimeType": mime, "data": base64.b64encode(data).decode()}
    content = {**candidate["content"], "parts": [{"inlineData": blob}]}
    return {**chunk, "candidates": [{**candidate, "content": content}]}


def _counted(counts: dict[str, Any], seconds: float) -> dict[str, Any]:
    spoken = math.ceil(seconds * _TOKENS_PER_SECOND)
    read = counts.get("promptTokenCount", 0)
    return {
        **counts,
        "candidatesTokenCount": spoken,
        "totalTokenCount": read + spoken,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": read}],
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": spoken}],
    }


def _pitch(config: Any) -> int:
    """Return the cycles of a tone in a character, by the voice."""
    return 8 + sum(repr(config).encode()) % 16


@lru_cache(64)
def _beep(cycles: int) -> bytes:
    """Return the sound of one character: a whole number of cycles that swell and fade."""
    return array(
        "h",
        (
            int(9000 * math.sin(math.pi * i / _CHARACTER) * math.sin(math.tau * cycles * i / _CHARACTER))
            for i in range(_CHARACTER)
        ),
    ).tobytes()


def _wav(data: bytes) -> bytes:
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, RATE * 2, 2, 16)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body
