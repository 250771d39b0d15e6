"""The texts of a request, found and replaced."""

from gateway.plugins.guard.texts import of_call, replaced, texts

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
}


def test_what_the_model_reads_is_checked() -> None:
    assert list(texts(of_call(BODY))) == ["a", "f", "b", "f", "c", "d"]
    assert "tools" not in of_call(BODY)


def test_texts_are_replaced_in_their_places() -> None:
    result = replaced(of_call(BODY), str.upper)

    assert list(texts(result)) == ["A", "F", "B", "F", "C", "D"]
    assert result["contents"][0]["parts"][1] == BODY["contents"][0]["parts"][1]  # type: ignore[index]
    assert result["contents"][1]["parts"][0]["thoughtSignature"] == "s"
    assert BODY["systemInstruction"] == {"parts": [{"text": "d"}]}
