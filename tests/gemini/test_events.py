"""The vocabulary of events: a reader uses all of it, and nothing else."""

import json
from typing import get_args

from gateway.gemini.events import Event
from gateway.gemini.stream_translator import decode
from gateway.gemini.turn_reader import TurnReader

ANSWER = {
    "responseId": "r",
    "usageMetadata": {"promptTokenCount": 1},
    "candidates": [
        {
            "content": {
                "parts": [
                    {"text": "thought", "thought": True},
                    {"text": "text"},
                    {"functionCall": {"name": "f"}},
                    {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
                    {"fileData": {"fileUri": "u"}},
                    {"executableCode": {"code": "1"}},
                    {"toolCall": {"toolType": "URL_CONTEXT"}},
                ]
            },
            "finishReason": "STOP",
            "groundingMetadata": {"groundingChunks": [{"web": {"uri": "https://a.example"}}]},
        }
    ],
}


def test_an_answer_with_everything_gives_every_event() -> None:
    reader = TurnReader(lambda: "call_1")
    events = reader.feed(decode(json.dumps(ANSWER).encode())) + reader.close()

    assert {type(event) for event in events} == set(get_args(Event))
    assert len(events) == len(get_args(Event))
