"""The texts of a request, found and replaced."""

from gateway.plugins.guard.texts import replaced, texts

BODY = {
    "contents": [
        {"role": "user", "parts": [{"text": "a"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]},
        {
            "role": "model",
            "parts": [{"functionCall": {"name": "f", "args": {"x": ["b", 1]}}, "thoughtSignature": "s"}],
        },
        {
            "role": "user",
            "parts": [{"functionResponse": {"id": "1", "name": "f", "response": {"data": {"y": "c"}}}}],
        },
    ],
    "systemInstruction": {"parts": [{"text": "d"}]},
    "tools": [{"functionDeclarations": [{"name": "f", "description": "e"}]}],
    "safetySettings": [{"category": "HARM", "threshold": "OFF"}],
    "generationConfig": {"responseModalities": ["TEXT"], "stopSequences": ["f"]},
}


def test_what_the_model_reads_is_found() -> None:
    assert list(texts(BODY)) == ["a", "b", "c", "d", "e", "f"]


def test_texts_are_replaced_in_their_places() -> None:
    result = replaced(BODY, str.upper)

    assert list(texts(result)) == ["A", "B", "C", "D", "E", "F"]
    assert result["contents"][0]["parts"][1] == BODY["contents"][0]["parts"][1]  # type: ignore[index]
    assert result["contents"][1]["parts"][0]["functionCall"]["name"] == "f"
    assert result["contents"][1]["parts"][0]["thoughtSignature"] == "s"
    assert BODY["systemInstruction"] == {"parts": [{"text": "d"}]}
