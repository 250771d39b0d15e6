"""Parts of a request that depend on each other, and what Gemini does not take together."""

import json
from typing import Any

import pytest

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.generation import OutputFormat, Sampling
from gateway.conversation.google_options import google_options
from gateway.conversation.modalities import ModalityRequest
from gateway.conversation.parts import Attachment
from gateway.conversation.tools import Choice, ChoiceMode
from gateway.conversation.translation import MOST_TURNS, Translation, TranslationContext, translate
from gateway.errors import BadRequest, UnsupportedParameter
from gateway.gemini.capabilities import Capabilities
from gateway.gemini.wire import Part, SafetySetting, encode_request

NEWEST = Capabilities()
APART = Capabilities(builtins_with_functions=False, json_with_tools=False)
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def said(*, strict: bool = False) -> ConversationBuilder:
    builder = ConversationBuilder("messages", strict=strict)
    builder.turn("user", "hi", "messages[0]")
    return builder


def with_function(builder: ConversationBuilder) -> ConversationBuilder:
    builder.tools.function("f", None, SCHEMA, "tools[0]", "tools[0].parameters")
    return builder


def translated(
    builder: ConversationBuilder, capabilities: Capabilities = NEWEST, **context: Any
) -> Translation:
    return translate(builder, TranslationContext("gemini-x", capabilities, **context))


def body_of(builder: ConversationBuilder, capabilities: Capabilities = NEWEST, **context: Any) -> Any:
    return json.loads(encode_request(translated(builder, capabilities, **context).request))


def test_a_plain_request_has_only_its_turns() -> None:
    assert body_of(said()) == {"contents": [{"parts": [{"text": "hi"}], "role": "user"}]}
    assert translated(said()).notes == []


def test_as_many_turns_as_there_may_be() -> None:
    builder = ConversationBuilder("input")
    for i in range(MOST_TURNS):
        builder.turn("user", "go", f"input[{i}]")
    assert len(translated(builder).request.contents[0].parts or ()) == MOST_TURNS == 10_000

    builder.turn("user", "go", "input[10000]")
    with pytest.raises(BadRequest) as caught:
        translated(builder)
    assert (caught.value.param, caught.value.code) == ("input", "array_above_max_length")
    assert "maximum length 10000, but got an array with length 10001" in caught.value.message


def test_instructions_are_a_system_instruction() -> None:
    builder = said()
    builder.system("Be brief.", "messages[1]")

    assert body_of(builder)["systemInstruction"] == {"parts": [{"text": "Be brief."}]}


def test_a_model_without_instructions_reads_them_first() -> None:
    builder = said()
    builder.system("Be brief.", "messages[1]")

    body = body_of(builder, Capabilities(system=False))

    assert "systemInstruction" not in body
    assert [part["text"] for part in body["contents"][0]["parts"]] == ["Be brief.", "\n\n", "hi"]


def test_a_speech_model_does_not_read_instructions_out() -> None:
    builder = said()
    builder.system("Be brief.", "messages[1]")

    result = translated(builder, Capabilities(system=False, output=("audio",)))

    assert [part.text for part in result.request.contents[0].parts or ()] == ["hi"]
    assert (result.request.system_instruction, result.notes) == (None, ["messages[1]"])


@pytest.mark.parametrize("name", ["system", "location"])
def test_the_users_place_joins_the_instructions(name: str) -> None:
    builder = said()
    if name == "system":
        builder.system("Be brief.", "system")
    builder.locate("tools[0].user_location", ["Paris", None, "France"], "Europe/Paris")

    texts = [part["text"] for part in body_of(builder)["systemInstruction"]["parts"]]

    assert texts == ["Be brief."] * (name == "system") + [
        "The user is located in Paris, France (Europe/Paris)."
    ]


def test_a_models_name_may_ask_for_search() -> None:
    assert body_of(said(), search=True)["tools"] == [{"googleSearch": {}}]
    assert [next(iter(tool)) for tool in body_of(with_function(said()), search=True)["tools"]] == [
        "functionDeclarations",
        "googleSearch",
    ]


@pytest.mark.parametrize(("declared", "at"), [(True, "web_search_options"), (False, "model")])
def test_a_search_that_a_model_cannot_do_is_noted_at_its_field(declared: bool, at: str) -> None:
    builder = said()
    if declared:
        builder.tools.built_in("google_search", {}, "web_search_options")

    result = translated(builder, Capabilities(search=False), search=not declared)

    assert (result.request.tools, result.notes) == (None, [at])


def test_strict_mode_refuses_a_search_that_a_model_cannot_do() -> None:
    builder = said(strict=True)
    builder.tools.built_in("google_search", {}, "web_search_options")

    with pytest.raises(UnsupportedParameter, match=r"gemini.* cannot search") as caught:
        translated(builder, Capabilities(search=False))

    assert caught.value.param == "web_search_options"


def test_functions_win_over_built_in_tools_where_a_model_does_not_take_both() -> None:
    builder = with_function(said())
    builder.tools.built_in("google_search", {}, "tools[1]")

    both, apart = translated(builder), translated(builder, APART)

    assert (len(both.request.tools or ()), both.notes) == (2, [])
    assert (len(apart.request.tools or ()), apart.notes) == (1, ["tools[1]"])
    assert both.request.tool_config is not None
    assert both.request.tool_config.include_server_side_tool_invocations is True
    assert apart.request.tool_config is None


@pytest.mark.row("T10")
@pytest.mark.parametrize(
    ("mode", "capabilities", "sent"),
    [
        (None, Capabilities(), "VALIDATED"),
        ("auto", Capabilities(), "VALIDATED"),
        ("none", Capabilities(), "NONE"),
        ("required", Capabilities(), "ANY"),
        (None, Capabilities(validated=False), None),
        ("auto", Capabilities(validated=False), "AUTO"),
    ],
)
def test_t10_beside_built_in_tools_the_mode_is_validated(
    mode: ChoiceMode | None, capabilities: Capabilities, sent: str | None
) -> None:
    builder = with_function(said())
    builder.tools.built_in("google_search", {}, "tools[1]")
    if mode is not None:
        builder.choose(Choice(mode, "tool_choice"))

    config = translated(builder, capabilities).request.tool_config

    assert config is not None
    calling = config.function_calling_config
    assert (calling.mode if calling is not None else None) == sent
    assert config.include_server_side_tool_invocations is True


def format_of(capabilities: Capabilities, builder: ConversationBuilder) -> tuple[Any, Any, list[str]]:
    """Return generationConfig and the last instruction of a request for JSON, and the notes."""
    builder.format(OutputFormat("response_format", SCHEMA, schema_at="response_format.schema"))
    result = translated(builder, capabilities)
    body = json.loads(encode_request(result.request))
    words = body.get("systemInstruction", {"parts": [{"text": None}]})["parts"][-1]["text"]
    return body.get("generationConfig"), words, result.notes


def test_json_mode_has_the_schema() -> None:
    config = {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}

    assert format_of(NEWEST, said()) == (config, None, [])
    assert format_of(NEWEST, with_function(said())) == (config, None, [])
    assert format_of(APART, said()) == (config, None, [])


@pytest.mark.parametrize("search", [False, True])
def test_json_is_asked_for_in_words_where_there_is_no_mode_for_it(search: bool) -> None:
    builder = said()
    if search:
        builder.tools.built_in("google_search", {}, "tools[0]")

    config, words, notes = format_of(APART if search else Capabilities(json_mode=False), builder)

    assert (config, notes) == (None, ["response_format"])
    assert words.startswith("Answer")
    assert json.dumps(SCHEMA, separators=(",", ":")) in words


def test_beside_functions_only_an_answer_without_a_call_is_json() -> None:
    config, words, notes = format_of(APART, with_function(said()))

    assert (config, notes) == (None, ["response_format"])
    assert words.startswith("When you answer without calling a tool")


def test_strict_mode_refuses_json_in_words() -> None:
    builder = said(strict=True)
    builder.format(OutputFormat("response_format"))

    with pytest.raises(UnsupportedParameter, match="no JSON mode") as caught:
        translated(builder, Capabilities(json_mode=False))

    assert caught.value.param == "response_format"


def test_a_forced_call_is_json_already() -> None:
    builder = with_function(said())
    builder.choose(Choice("required", "tool_choice"))

    assert format_of(NEWEST, builder) == (None, None, [])


def test_json_beside_maps_is_a_response_format() -> None:
    builder = said()
    builder.tools.built_in("google_maps", {}, "tools[0]")

    config, _, _ = format_of(NEWEST, builder)

    assert config == {"responseFormat": {"text": {"mimeType": "APPLICATION_JSON", "schema": SCHEMA}}}


def test_the_native_config_may_ask_for_json_too() -> None:
    builder = said()
    builder.options(google_options({"generationConfig": {"responseMimeType": "application/json"}}))

    result = translated(builder, Capabilities(json_mode=False))

    assert (result.request.generation_config, result.notes) == (None, ["google.generationConfig"])


def test_a_clients_threshold_overrides_the_configured_one_of_its_category() -> None:
    builder = said()
    configured = [SafetySetting("HATE", "LOW"), SafetySetting("HARM", "LOW")]
    assert body_of(builder, safety=configured)["safetySettings"] == [
        {"category": "HATE", "threshold": "LOW"},
        {"category": "HARM", "threshold": "LOW"},
    ]

    builder.safety = [SafetySetting("HARM", "HIGH")]
    builder.options(google_options({"safety_settings": [{"category": "OTHER", "threshold": "OFF"}]}))

    assert body_of(builder, safety=configured)["safetySettings"] == [
        {"category": "HATE", "threshold": "LOW"},
        {"category": "HARM", "threshold": "HIGH"},
        {"category": "OTHER", "threshold": "OFF"},
    ]


@pytest.mark.parametrize(
    ("asked", "native", "sent"),
    [
        ("flex", None, "flex"),
        ("fast", None, "priority"),
        ("default", None, None),
        ("auto", None, None),
        ("flex", "priority", "priority"),
        (None, "flex", "flex"),
        (None, "standard", None),
    ],
)
def test_the_service_tier(asked: str | None, native: str | None, sent: str | None) -> None:
    builder = said()
    builder.service_tier = asked
    if native:
        builder.options(google_options({"service_tier": native}))

    assert body_of(builder).get("serviceTier") == sent


def test_labels_and_store_pass() -> None:
    builder = said()
    builder.options(google_options({"labels": {"a": "b"}, "store": False}))

    body = body_of(builder)

    assert (body["labels"], body["store"]) == ({"a": "b"}, False)


def test_cached_content_replaces_instruction_and_tools() -> None:
    builder = with_function(said())
    builder.system("Be brief.", "messages[1]")
    builder.choose(Choice("required", "tool_choice"))
    builder.options(google_options({"cachedContent": "abc"}))

    result = translated(builder)

    assert result.request.cached_content == "cachedContents/abc"
    assert (result.request.system_instruction, result.request.tools, result.request.tool_config) == (
        None,
        None,
        None,
    )
    assert result.notes == ["messages[1]", "tools", "tool_choice"]


def test_native_options_win_over_the_dialects_own_fields() -> None:
    builder = said()
    builder.sample(Sampling(top_k=1, temperature=0.1, seed=5), {})
    builder.think("effort", effort="low")
    builder.options(
        google_options(
            {
                "topK": 2,
                "thinkingConfig": {"thinkingBudget": 7},
                "mediaResolution": "low",
                "generationConfig": {"temperature": 0.9, "mediaResolution": "MEDIA_RESOLUTION_HIGH"},
            }
        )
    )

    assert body_of(builder)["generationConfig"] == {
        "topK": 2,
        "temperature": 0.9,
        "seed": 5,
        "thinkingConfig": {"thinkingBudget": 7},
        "mediaResolution": "MEDIA_RESOLUTION_HIGH",
    }


def test_native_tools_follow_the_clients_and_their_config_wins() -> None:
    builder = with_function(said())
    builder.options(
        google_options(
            {
                "tools": [{"googleSearch": {}}],
                "tool_config": {"function_calling_config": {"mode": "NONE"}},
            }
        )
    )

    body = body_of(builder)

    assert [next(iter(tool)) for tool in body["tools"]] == ["functionDeclarations", "googleSearch"]
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "NONE"}}


def test_the_resolution_of_images_is_the_requests_where_parts_have_none() -> None:
    builder = said()
    image = Attachment(Part(text="image"), resolution="MEDIA_RESOLUTION_LOW")
    builder.turn("user", [image, Attachment(Part(), resolution="MEDIA_RESOLUTION_HIGH")], "messages[1]")

    by_part = body_of(builder)
    whole = body_of(builder, Capabilities(part_resolution=False))

    assert "generationConfig" not in by_part
    assert by_part["contents"][0]["parts"][1]["mediaResolution"] == {"level": "MEDIA_RESOLUTION_LOW"}
    assert whole["generationConfig"] == {"mediaResolution": "MEDIA_RESOLUTION_HIGH"}


@pytest.mark.parametrize(("thinking", "shown"), [("budget", True), ("level", True), ("none", False)])
def test_the_gateway_may_ask_for_thoughts_by_itself(thinking: Any, shown: bool) -> None:
    body = body_of(said(), Capabilities(thinking=thinking), show_thoughts=True)

    assert body.get("generationConfig") == ({"thinkingConfig": {"includeThoughts": True}} if shown else None)


def test_a_clients_wish_about_thoughts_wins_over_the_gateways() -> None:
    builder = said()
    builder.think("effort", effort="low", show=False)

    assert body_of(builder, show_thoughts=True)["generationConfig"] == {
        "thinkingConfig": {"includeThoughts": False, "thinkingLevel": "LOW"}
    }


def test_speech_models_speak_and_say_in_which_format() -> None:
    speech = Capabilities(output=("audio",))
    builder = said()
    builder.modalities = ModalityRequest(("audio",), has_audio=True, audio_format="pcm16")

    assert body_of(said(), speech)["generationConfig"]["responseModalities"] == ["AUDIO"]
    assert [translated(builder, model).audio_format for model in (speech,)] == ["pcm16"]
    assert translated(said()).audio_format is None


def test_notes_of_the_builder_and_of_the_translation_are_listed_in_order() -> None:
    builder = said()
    builder.options(google_options({"oddity": 1}))
    builder.sample(Sampling(presence_penalty=1.0), {})

    assert translated(builder).notes == ["google.oddity", "presence_penalty"]
    assert translated(builder).notes == ["google.oddity", "presence_penalty"]
