"""Responses, the request, beyond the golden files: long histories, strict mode, and paths."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.conversation.translation import MOST_TURNS, TranslationContext, translate
from gateway.errors import BadRequest, GatewayError, UnsupportedParameter
from gateway.gemini.thought_signatures import SignatureKeys
from gateway.plugins.responses.content import HISTORY
from gateway.plugins.responses.request import conversation
from gateway.plugins.responses.signatures import seal
from tests.support.models import TABLE
from tests.support.paths import GOLDEN
from tests.support.responses import body_of, gemini_body, translation

F3 = "gemini-3-flash-preview"
FUNCTION = {
    "type": "function",
    "name": "f",
    "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}},
}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"n":1}'}
IMAGE = {"type": "image_generation_call", "result": "iVBORw0KGgo="}
REQUESTS = sorted((GOLDEN / "responses").glob("*.golden"))


def step(number: int) -> list[dict[str, Any]]:
    """Return the items of one agent step: two signed calls, and their outputs in the other order."""
    first, second = f"c{number}a", f"c{number}b"
    return [
        {"type": "reasoning", "summary": [], "encrypted_content": seal(f"S{number}", first)},
        {"type": "function_call", "call_id": first, "name": "f", "arguments": f'{{"n":{number}}}'},
        {"type": "function_call", "call_id": second, "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": second, "output": "b"},
        {"type": "function_call_output", "call_id": first, "output": f'{{"n":{number}}}'},
    ]


def step_in_gemini(number: int) -> list[dict[str, Any]]:
    first, second = f"c{number}a", f"c{number}b"
    return [
        {
            "role": "model",
            "parts": [
                {
                    "functionCall": {"name": "f", "args": {"n": number}, "id": first},
                    "thoughtSignature": f"S{number}",
                },
                {"functionCall": {"name": "f", "args": {}, "id": second}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "f", "response": {"n": number}, "id": first}},
                {"functionResponse": {"name": "f", "response": {"output": "b"}, "id": second}},
            ],
        },
    ]


def test_a_giant_agent_history_keeps_each_call_with_its_output_and_signature() -> None:
    steps = range(1000)
    items = [{"role": "user", "content": "go"}, *(item for number in steps for item in step(number))]

    body = gemini_body({"model": F3, "input": items, "tools": [FUNCTION]})

    contents = [content for number in steps for content in step_in_gemini(number)]
    assert body["contents"] == [{"role": "user", "parts": [{"text": "go"}]}, *contents]
    assert translation({"model": F3, "input": items, "tools": [FUNCTION]}).notes == []


def test_a_stored_history_gives_the_same_request_as_the_items_themselves() -> None:
    items = [{"role": "user", "content": "go"}, *step(1)]
    whole = gemini_body({"model": F3, "input": items, "tools": [FUNCTION]})

    for cut in range(1, len(items)):
        rest = {
            "model": F3,
            "input": items[cut:],
            "tools": [FUNCTION],
            "previous_response_id": "resp_1",
        }
        assert gemini_body(rest, items[:cut]) == whole


@pytest.mark.row("G1")
@pytest.mark.parametrize("strict", [False, True])
def test_g01_the_answer_of_another_agent_is_a_message(strict: bool) -> None:
    content = [
        {"type": "input_text", "text": "Message Type: FINAL_ANSWER"},
        {"type": "encrypted_content", "encrypted_content": "PONG"},
    ]
    items = [
        {"role": "user", "content": "Ask."},
        {"role": "assistant", "content": "I have."},
        {"type": "agent_message", "author": "/root/a", "recipient": "/root", "content": content},
    ]
    result = translation({"model": F3, "input": items}, strict=strict)
    last = result.request.contents[-1]

    assert (last.role, [part.text for part in last.parts or ()]) == (
        "user",
        ["Message Type: FINAL_ANSWER", "PONG"],
    )
    assert list(result.notes) == []


@pytest.mark.row("G1")
def test_g01_what_openai_has_encrypted_is_not_said() -> None:
    opaque = {"type": "encrypted_content", "encrypted_content": "gAAAAAB" + "x" * 90 + "=="}
    items = [
        {"role": "user", "content": "Ask."},
        {"type": "agent_message", "author": "a", "content": [opaque]},
    ]
    result = translation({"model": F3, "input": items})

    assert "gAAAA" not in json.dumps(gemini_body({"model": F3, "input": items}))
    assert any("agent_message" in note or "encrypted_content" in note for note in result.notes)


def test_too_many_items_are_refused() -> None:
    with pytest.raises(BadRequest) as caught:
        translation({"input": [{"role": "user", "content": "x"}] * (MOST_TURNS + 1)})

    assert (caught.value.param, caught.value.code) == ("input", "array_above_max_length")


def test_calls_and_images_without_a_signature_are_looked_up() -> None:
    keys = SignatureKeys("k")
    signed = {"type": "reasoning", "encrypted_content": seal("S", "c0")}
    items = [signed, {**CALL, "call_id": "c0"}, CALL, IMAGE]
    builder = conversation(body_of({"input": items}), [], strict=False)

    wanted = builder.unsigned(keys)
    assert wanted == [*keys.call("c1", "f", '{"n":1}'), *keys.image(IMAGE["result"])]

    context = TranslationContext(F3, TABLE.of(F3), keys=keys, stored={wanted[0]: "CALL", wanted[2]: "IMAGE"})
    model = [part for content in translate(builder, context).request.contents if content.role == "model"
             for part in content.parts or ()]  # fmt: skip
    assert [part.thought_signature for part in model if part.function_call or part.inline_data] == [
        "S",
        "CALL",
        "IMAGE",
    ]


def test_remote_files_are_named_by_their_part() -> None:
    def parts(*urls: str) -> list[dict[str, str]]:
        return [{"type": "input_image", "image_url": url} for url in urls]

    history = [{"role": "user", "content": parts("https://example.com/old.png")}]
    items = [
        {"role": "user", "content": [*parts("https://example.com/a.png"), *parts("data:image/png;base64,iVBORw0KGgo=")]},
        {"role": "user", "content": [{"type": "input_file", "file_url": "https://example.com/b.pdf"}]},
        {"type": "function_call_output", "call_id": "c", "output": parts("https://example.com/c.png")},
    ]  # fmt: skip
    builder = conversation(body_of({"input": items}), history, strict=False)

    assert builder.remote_media() == {
        "https://example.com/old.png": HISTORY,
        "https://example.com/a.png": "input[0].content[0].image_url",
        "https://example.com/b.pdf": "input[1].content[0].file_url",
        "https://example.com/c.png": "input[2].output[0].image_url",
    }


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": "gemini-2.0-flash", "reasoning": {"effort": "low"}}, "reasoning.effort"),
        ({"model": F3, "top_logprobs": 2}, "top_logprobs"),
        ({"model": F3, "include": ["message.output_text.logprobs"]}, "include"),
        ({"google": {"oddity": 1}}, "google.oddity"),
        ({"input": [{**CALL, "arguments": "["}]}, "input[0].arguments"),
        ({"tools": [FUNCTION, {"type": "web_search"}]}, "tools[1]"),
        ({"tools": [FUNCTION], "text": {"format": {"type": "json_object"}}}, "text.format"),
    ],
)
def test_strict_mode_refuses_what_lenient_mode_notes(fields: dict[str, Any], param: str) -> None:
    request = {"model": "gemini-2.5-flash", "input": "x", **fields}
    assert param in translation(request).notes

    with pytest.raises(BadRequest) as caught:
        translation(request, strict=True)

    assert caught.value.param == param


def test_notes_of_unusable_items_and_tools_do_not_refuse_a_strict_request() -> None:
    request = {
        "input": [{"role": "user", "content": "x"}, {"type": "mcp_call"}],
        "tools": [{"type": "mcp"}],
    }

    assert translation(request, strict=True).notes == ["tools[0].type=mcp", "input[1].type=mcp_call"]


def test_objects_that_openai_keeps_are_refused_in_lenient_mode_too() -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        translation({"input": "x", "prompt": {"id": "pmpt_1"}})

    assert caught.value.param == "prompt"


def test_a_refusal_by_gemini_finds_the_clients_field() -> None:
    origins = translation(
        {
            "model": F3,
            "instructions": "Be brief.",
            "input": [{"role": "user", "content": "x"}, CALL, {"type": "function_call_output", "call_id": "c1", "output": "1"}],
            "tools": [FUNCTION],
            "tool_choice": "required",
            "max_output_tokens": 5,
            "reasoning": {"effort": "low"},
            "text": {"format": {"type": "json_object"}},
            "service_tier": "flex",
        },
    ).origins  # fmt: skip

    assert {google: origins.path(google) for google in (
        "contents[0].parts[0].text", "contents[1]", "contents[2]", "system_instruction", "tools[0].function_declarations[0]",
        "tool_config", "generation_config.max_output_tokens", "generation_config.thinking_config.thinking_level",
        "generation_config.response_mime_type", "serviceTier", "generation_config.seed",
    )} == {
        "contents[0].parts[0].text": "input[0]", "contents[1]": "input[1]", "contents[2]": "input[2]",
        "system_instruction": "instructions", "tools[0].function_declarations[0]": "tools", "tool_config": "tool_choice",
        "generation_config.max_output_tokens": "max_output_tokens",
        "generation_config.thinking_config.thinking_level": "reasoning.effort",
        "generation_config.response_mime_type": "text.format", "serviceTier": "service_tier",
        "generation_config.seed": None,
    }  # fmt: skip


def parent_exists(path: str, body: Any) -> bool:
    """Return whether everything but the last step of a path exists in a body."""
    *steps, _ = re.findall(r"[^.\[\]]+|\[\d+\]", path)
    for name in steps:
        try:
            body = body[int(name[1:-1])] if name.startswith("[") else body[name]
        except (KeyError, IndexError, TypeError):
            return False
    return True


@pytest.mark.parametrize("file", REQUESTS, ids=lambda file: file.stem)
def test_errors_and_notes_name_a_place_in_the_clients_request(file: Path) -> None:
    request, *rest = file.read_bytes().decode().split("\n-----\n")
    history = json.loads(rest[0]) if len(rest) > 1 else []
    try:
        paths: list[str | None] = [*translation(request, history).notes]
    except msgspec.ValidationError:
        return  # it names a path of what was decoded
    except GatewayError as error:
        paths = [error.param]

    assert [path for path in paths if path is None or not parent_exists(path, json.loads(request))] == []
