"""Files of the prompt, and the files that models answer."""

import base64
import json
from typing import Any

import pytest

from tests.support.emulator import answer, config, text

F3, F25, F20 = "gemini-3-flash-preview", "gemini-2.5-flash", "gemini-2.0-flash"


def blob(mime: str, data: bytes = b"12345") -> dict[str, Any]:
    return {"inlineData": {"mimeType": mime, "data": base64.urlsafe_b64encode(data).decode().rstrip("=")}}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((blob("image/png", b"x" * 75), "What colour is this picture? One word."), "IMAGE image/png 75 bytes"),
        ((blob("audio/wav"), ""), "AUDIO audio/wav 5 bytes"), ((blob("application/pdf"), "Read the PDF."), "PDF application/pdf 5 bytes"),
        ((blob("text/csv"), blob("video/mp4")), "FILE text/csv 5 bytes; VIDEO video/mp4 5 bytes"),
        (({"fileData": {"fileUri": "https://v.example", "mimeType": "video/mp4"}},), "VIDEO video/mp4 https://v.example"),
        ((blob("image/png"), "hi"), "You said: hi [image/png, 5 bytes]"), (("a picture?",), "You said: a picture?"),
        (("hi", {"fileData": {"fileUri": "https://v.example"}}), "You said: hi [file, https://v.example]"),
        (("Reply with the single word PONG.",), "PONG"),
    ],
)  # fmt: skip
def test_files_are_named(parts: tuple[Any, ...], expected: str) -> None:
    assert text(F3, *parts) == expected


def test_pages_code_pictures_and_speech() -> None:
    assert answer(F3, "x", tools=[{"urlContext": {}}])["urlContextMetadata"]["urlMetadata"][0]["urlRetrievalStatus"]  # fmt: skip
    code = answer(F3, "x", tools=[{"codeExecution": {}}])["content"]["parts"]
    assert [next(iter(part)) for part in code] == ["executableCode", "codeExecutionResult", "text"]
    [drawn] = answer("gemini-3.1-flash-image", "x", **config(responseModalities=["IMAGE"]))["content"][
        "parts"
    ]
    assert base64.b64decode(drawn["inlineData"]["data"])[:4] == b"\x89PNG"
    speech = answer("gemini-3.8-flash-tts", "x", **config(responseModalities=["AUDIO"]))["content"]["parts"]
    assert speech[0]["inlineData"]["mimeType"] == "audio/L16;codec=pcm;rate=24000"


def test_a_sound_gives_a_schema_of_segments_their_times_and_words() -> None:
    names = ("start", "end", "text")
    segment = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
    schema = {"type": "object", "properties": {"segments": {"type": "array", "items": segment}}}
    form = config(responseMimeType="application/json", responseJsonSchema=schema)

    heard = json.loads(text(F3, blob("audio/wav"), "Transcribe.", **form))
    assert heard == {"segments": [{"start": "00:00.0", "end": "00:02.0", "text": "Good morning."}]}
    assert json.loads(text(F3, blob("image/png"), "Describe.", **form))["segments"][0]["text"] == "x"
