"""Legacy completions, the request: what golden files cannot show."""

from typing import Any

import msgspec
import pytest

from gateway.errors import BadRequest
from gateway.plugins.completions.request import conversation, prompts
from gateway.plugins.completions.wire import CompletionRequest
from tests.support.goldens import translated


def body(**fields: Any) -> CompletionRequest:
    return msgspec.convert(fields, CompletionRequest)


@pytest.mark.parametrize("prompt", [[], [5], [[1, 2]], ["a", 5]])
def test_prompts_are_texts(prompt: Any) -> None:
    with pytest.raises(BadRequest) as caught:
        prompts(body(prompt=prompt))

    assert caught.value.param == "prompt"


def test_gemini_s_fields_lead_back_to_the_prompt_they_are_about() -> None:
    request = body(prompt=["a", "b"], suffix="z", max_tokens=5, stop="x")
    origins = translated(conversation(request, "b", "prompt[1]", strict=False), "gemini-2.5-flash").origins

    assert origins.path("contents[0].parts[0]") == "prompt[1]"
    assert origins.path("system_instruction") == "suffix"
    assert origins.path("generation_config.max_output_tokens") == "max_tokens"
    assert origins.path("generation_config.stop_sequences") == "stop"
    assert origins.path("generation_config.thinking_config") is None


@pytest.mark.parametrize("strict", [True, False])
def test_thinking_little_is_the_gateway_s_own_wish_and_never_noted(strict: bool) -> None:
    for model in ("gemini-2.5-pro", "gemini-3-flash-preview", "gemini-2.0-flash", "gemma-3-27b-it"):
        assert translated(conversation(body(prompt="x"), "x", "prompt", strict=strict), model).notes == []


def test_strict_mode_refuses_a_penalty_that_the_model_does_not_take() -> None:
    with pytest.raises(BadRequest) as caught:
        translated(
            conversation(body(prompt="x", presence_penalty=1), "x", "prompt", strict=True),
            "gemini-3-flash-preview",
        )

    assert caught.value.param == "presence_penalty"
