"""One call: its path, its bytes, and other calls made of it."""

import pytest

from gateway.gemini.call import GeminiCall
from gateway.gemini.wire import Content, GenerateContentRequest, GenerationConfig, Part, encode_request


def request(text: str = "hi", seed: int | None = None) -> GenerateContentRequest:
    config = GenerationConfig(seed=seed) if seed is not None else None
    return GenerateContentRequest([Content([Part(text=text)], "user")], generation_config=config)


@pytest.mark.parametrize(
    ("model", "stream", "path"),
    [
        ("m", False, "models/m:generateContent"),
        ("m", True, "models/m:streamGenerateContent?alt=sse"),
        ("tunedModels/mine", False, "tunedModels/mine:generateContent"),
    ],
)
def test_path(model: str, stream: bool, path: str) -> None:
    assert GeminiCall(model, request(), stream).path == path


def test_a_call_is_encoded_once() -> None:
    call = GeminiCall("m", request())

    assert call.encode() == encode_request(request())
    assert call.encode() is call.encode()


def test_another_request_has_its_own_bytes() -> None:
    call = GeminiCall("m", request(), stream=True, heavy=True, cache_key="k", project="p")
    before = call.encode()
    other = call.with_request(request("bye"))

    assert (call.encode(), other.encode()) == (before, encode_request(request("bye")))
    assert (other.model, other.stream, other.heavy, other.cache_key, other.project) == (
        "m",
        True,
        True,
        "k",
        "p",
    )


def test_choices_share_a_call_unless_it_has_a_seed() -> None:
    plain, seeded = GeminiCall("m", request()), GeminiCall("m", request(seed=7))
    seeded.encode()

    assert plain.for_choice(3) is plain
    assert seeded.for_choice(0) is seeded
    other = seeded.for_choice(2)
    assert other.request.generation_config == GenerationConfig(seed=9)
    assert b'"seed":9' in other.encode()
    assert b'"seed":7' in seeded.encode()


def test_a_call_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        GeminiCall("m", request()).model = "n"  # type: ignore[misc]
