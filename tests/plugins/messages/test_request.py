"""Messages, the request: what golden files cannot show, and the paths of errors and notes."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.conversation.builder import ConversationBuilder
from gateway.errors import BadRequest, UnsupportedParameter
from gateway.gemini.thought_signatures import SignatureKeys
from gateway.gemini.wire import encode_json, encode_request
from gateway.plugins.messages.request import conversation
from gateway.plugins.messages.wire import PLACEHOLDERS, decode_request
from tests.support import goldens
from tests.support.goldens import translated

USER = {"role": "user", "content": "hi"}
ANSWER = {"role": "assistant", "content": "yes"}
MODELS = ("gemini-2.5-flash", "gemini-3-flash-preview", "gemini-2.0-flash", "gemma-3-27b-it")


def built(*, strict: bool = False, counting: bool = False, **fields: Any) -> ConversationBuilder:
    text = json.dumps({"max_tokens": 5, "messages": [USER], **fields})
    body = goldens.decoded(text, decode_request, {} if strict else PLACEHOLDERS)
    return conversation(body, goldens.fields_of(text), strict=strict, counting=counting)


def refused(*, strict: bool = False, **fields: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        translated(built(strict=strict, **fields), fields.get("model", MODELS[0]))
    return caught.value


def test_counting_needs_no_max_tokens() -> None:
    conversation = built(max_tokens=None, counting=True)

    assert translated(conversation, "gemini-2.5-flash").request.generation_config is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ({"output_format": {"type": "xml"}}, "output_format.type"),
        ({"google": {"nope": 1}}, "google.nope"),
        ({"thinking": {"type": "enabled", "budget_tokens": 9}, "model": "gemini-2.0-flash"}, "thinking.budget_tokens"),
        ({"output_config": {"effort": "high"}, "model": "gemini-2.0-flash"}, "output_config.effort"),
    ],
)  # fmt: skip
def test_strict_mode_refuses_what_it_would_note(fields: dict[str, Any], param: str) -> None:
    error = refused(strict=True, **fields)

    assert (type(error), error.param) == (UnsupportedParameter, param)
    assert translated(built(**fields), fields.get("model", MODELS[0])).notes == [param]


def test_more_messages_than_the_limit_are_refused() -> None:
    assert refused(messages=[USER] * 10_001).param == "messages"


def test_more_tools_than_gemini_takes_are_refused() -> None:
    assert refused(tools=[{"name": f"f{i}"} for i in range(513)]).param == "tools"


def test_a_schema_that_is_nested_too_deeply_is_refused_by_its_field() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(200):
        schema = {"type": "object", "properties": {"x": schema}}

    assert refused(tools=[{"name": "f", "input_schema": schema}]).param == "tools.0.input_schema"
    wanted = {"format": {"type": "json_schema", "schema": schema}}
    assert refused(output_config=wanted).param == "output_config.format.schema"
    assert refused(output_format=wanted["format"]).param == "output_format.schema"


def test_a_remote_file_is_fetched_once_and_named_by_its_first_block() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://a.example/x.png"}}
    conversation = built(messages=[{"role": "user", "content": [image, image]}])

    assert conversation.remote_media() == {"https://a.example/x.png": "messages.0.content.0.source.url"}


def test_an_unsigned_call_asks_the_store() -> None:
    call = {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}
    thought = {"type": "thinking", "thinking": "", "signature": "S"}
    keys = SignatureKeys("k")

    unsigned = built(messages=[USER, {"role": "assistant", "content": [call]}])
    assert unsigned.unsigned(keys) == list(keys.call("a", "f", '{"x":1}'))
    signed = built(messages=[USER, {"role": "assistant", "content": [thought, call]}])
    assert signed.unsigned(keys) == []


def test_a_signature_in_an_id_is_taken_from_it() -> None:
    """LiteLLM appends a call's signature to its id."""
    call = {"type": "tool_use", "id": "a__thought__S", "name": "f"}
    request = translated(built(messages=[{"role": "assistant", "content": [call]}]), MODELS[1]).request
    part = request.contents[1].parts[0]  # type: ignore[index]

    assert part.thought_signature == "S"
    assert part.function_call is not None
    assert part.function_call.id == "a"


def test_gemini_s_fields_lead_back_to_anthropic_s() -> None:
    origins = translated(
        built(
            system="s", stop_sequences=["x"], top_k=3, tools=[{"name": "f"}], tool_choice={"type": "any"},
            thinking={"type": "enabled", "budget_tokens": 2000}, messages=[USER, {"role": "assistant", "content": "x"}],
        ),
        "gemini-2.5-flash",
    ).origins  # fmt: skip

    assert origins.path("generation_config.max_output_tokens") == "max_tokens"
    assert origins.path("generation_config.stop_sequences") == "stop_sequences"
    assert origins.path("generation_config.thinking_config.thinking_budget") == "thinking.budget_tokens"
    assert origins.path("system_instruction") == "system"
    assert origins.path("tools[0].function_declarations[0].name") == "tools"
    assert origins.path("tool_config") == "tool_choice"
    assert origins.path("contents[1].parts[0]") == "messages.1"


def exists(path: str, body: Any) -> bool:
    """Return whether a path, or for a missing field its parent, is in a body."""
    steps = re.sub(r"\[(\d+)\]", r".\1", path).split(".")
    value = body
    for i, step in enumerate(steps):
        if isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        elif isinstance(value, dict) and step in value:
            value = value[step]
        else:
            return i > 0 and i == len(steps) - 1
    return True


SOURCES = st.sampled_from([
    {"type": "base64", "media_type": "image/png", "data": "AAAA"}, {"type": "base64", "data": "!"},
    {"type": "base64"}, {"type": "url", "url": "ftp://x"}, {"type": "url"}, {"type": "url", "url": "gs://b/x.png"},
    {"type": "file"}, {"type": "text", "data": "x"}, {"type": "zip"},
    {"type": "content", "content": [{"type": "hologram"}]},
])  # fmt: skip
FLAT_BLOCKS = st.one_of(
    st.sampled_from([
        {"type": "text", "text": "x"}, {"type": "thinking", "thinking": "t", "signature": "S"}, {"type": "image"},
        {"type": "tool_use", "id": "a", "name": "f", "input": {}}, {"type": "tool_use", "id": "b", "name": "g"},
        {"type": "tool_use", "id": "c"}, {"type": "server_tool_use"}, {"type": "web_search_tool_result"},
        {"type": "tool_result", "tool_use_id": "a", "content": "1"}, {"type": "hologram"},
    ]),
    st.builds(lambda kind, source: {"type": kind, "source": source}, st.sampled_from(["image", "document"]), SOURCES),
)  # fmt: skip
BLOCKS = st.one_of(
    FLAT_BLOCKS,
    st.builds(lambda inner: {"type": "tool_result", "tool_use_id": "b", "content": inner}, st.lists(FLAT_BLOCKS)),
)  # fmt: skip
CONTENT = st.one_of(st.just("x"), st.lists(BLOCKS, max_size=4))
TOOLS = st.lists(
    st.sampled_from([
        {"name": "f"}, {"name": "f", "input_schema": {"type": "string"}}, {"name": ""}, {"name": "m", "type": "memory"},
        {"name": "web_search", "type": "web_search_20250305"}, {"name": "bash", "type": "bash_20250124"},
    ]),
    max_size=3,
)  # fmt: skip
OPTIONS = st.fixed_dictionaries({}, optional={
    "system": CONTENT,
    "tools": TOOLS,
    "tool_choice": st.sampled_from([{"type": "any"}, {"type": "tool", "name": "f"}, {"type": "tool"}, {"type": "x"}]),
    "thinking": st.sampled_from([{"type": "enabled", "budget_tokens": 10**6}, {"type": "disabled"}]),
    "output_config": st.sampled_from([
        {"effort": "none"}, {"effort": "x"}, {"format": {"type": "json_schema", "schema": {"type": "object"}}},
        {"format": {"type": "x"}},
    ]),
    "stop_sequences": st.lists(st.just("x"), max_size=6),
    "max_tokens": st.sampled_from([1, 10**6]),
    "google": st.sampled_from([{"nope": 1}, {"tools": [{"nope": 1}]}, {"cached_content": "cachedContents/a"}]),
})  # fmt: skip
MESSAGES = st.lists(
    st.builds(lambda role, content: {"role": role, "content": content},
              st.sampled_from(["user", "assistant", "system"]), CONTENT),
    min_size=1, max_size=4,
)  # fmt: skip


@given(st.sampled_from(MODELS), MESSAGES, OPTIONS, st.booleans())
def test_every_error_and_note_names_a_field_that_was_sent(
    model: str, messages: list[Any], options: dict[str, Any], strict: bool
) -> None:
    body = {"max_tokens": 5, "messages": messages, **options}
    try:
        notes = translated(built(strict=strict, **body), model).notes
    except BadRequest as error:
        notes = [error.param or ""]

    assert [path for path in notes if not exists(path, body)] == []


PNG = "iVBORw0KGgo="
LOOKUP = "mcp__tracker__lookup_ticket"


def said(**fields: Any) -> list[dict[str, Any]]:
    """Return the contents for a request, as JSON."""
    request = translated(built(**fields), MODELS[0]).request
    contents: list[dict[str, Any]] = json.loads(encode_request(request))["contents"]
    return contents


def searched(*content: dict[str, Any]) -> list[dict[str, Any]]:
    use = {"type": "tool_use", "id": "toolu_1", "name": "ToolSearch", "input": {"query": f"select:{LOOKUP}"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": list(content)}
    answer = {"role": "user", "content": [result, {"type": "text", "text": "Tool loaded."}]}
    return [USER, {"role": "assistant", "content": [use]}, answer]


@pytest.mark.row("G5")
@pytest.mark.parametrize(
    ("block", "text"),
    [
        ({"type": "tool_reference", "tool_name": LOOKUP}, f"The tool '{LOOKUP}' is available."),
        ({"type": "search_result", "source": "https://a.example", "title": "T", "content": [{"type": "text", "text": "x"}]},
         "T\nhttps://a.examplex"),
        ({"type": "browser_state", "tabs": [{"tab_id": "1", "url": "https://a.example"}]},
         '[browser_state] {"tabs":[{"tab_id":"1","url":"https://a.example"}]}'),
        ({"type": "zork", "depth": 1}, '[zork] {"depth":1}'),
    ],
)  # fmt: skip
def test_g05_an_unknown_block_in_a_tool_result_is_told(block: dict[str, Any], text: str) -> None:
    contents = said(messages=searched(block))

    assert contents[2]["parts"][0]["functionResponse"]["response"] == {"output": text}
    assert contents[3]["parts"] == [{"text": "Tool loaded."}]
    notes = translated(built(messages=searched(block)), MODELS[0]).notes
    assert notes[0] == f"messages.2.content.0.content.0.type={block['type']}"
    strict = (
        refused(messages=searched(block), strict=True)
        if block["type"] in ("tool_reference", "zork")
        else None
    )
    assert strict is None or strict.param == "messages.2.content.0.content.0.type"


@pytest.mark.row("G5")
def test_g05_an_unknown_block_of_an_answer_is_told_in_its_place() -> None:
    answer = [{"type": "text", "text": "a"}, {"type": "zork", "depth": 1}, {"type": "text", "text": "b"}]
    contents = said(messages=[USER, {"role": "assistant", "content": answer}, USER])

    assert contents[1]["parts"] == [{"text": "a"}, {"text": '[zork] {"depth":1}'}, {"text": "b"}]


@pytest.mark.row("G5")
@pytest.mark.parametrize(
    ("block", "text"),
    [
        ({"type": "container_upload", "file_id": "file_011CNha8"}, "[container_upload] file_id: file_011CNha8"),
        ({"type": "document", "source": {"type": "file", "file_id": "file_011CNha8"}}, "[document] file_id: file_011CNha8"),
    ],
)  # fmt: skip
def test_g05_a_file_that_anthropic_keeps_is_told(block: dict[str, Any], text: str) -> None:
    assert said(messages=[{"role": "user", "content": [block]}, ANSWER, USER])[0]["parts"] == [{"text": text}]


def test_a_file_for_a_container_is_refused_in_the_last_message() -> None:
    block = {"type": "container_upload", "file_id": "file_011CNha8"}
    text = {"type": "text", "text": "Sum the column."}

    error = refused(messages=[USER, ANSWER, {"role": "user", "content": [text, block]}])

    assert (error.status, error.param) == (400, "messages.2.content.1.type")
    assert "`document`" in error.message


@pytest.mark.row("G5")
def test_g05_a_thought_of_the_users_is_left_out() -> None:
    content = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "x"}]

    assert said(messages=[{"role": "user", "content": content}])[0]["parts"] == [{"text": "x"}]


@pytest.mark.row("G5")
def test_g05_a_toolset_without_a_name_is_noted() -> None:
    conversation = built(tools=[{"type": "mcp_toolset", "mcp_server_name": "x"}, {"name": "f"}])

    assert translated(conversation, MODELS[0]).notes == ["tools.0.type=mcp_toolset"]


@pytest.mark.row("G12")
@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"},
        {"inlineData": {"mimeType": "image/png", "data": PNG}},
    ],
)
def test_g12_a_picture_of_another_dialect(part: dict[str, Any]) -> None:
    (content,) = said(messages=[{"role": "user", "content": [{"type": "input_text", "text": "look"}, part]}])

    assert content["parts"][0] == {"text": "look"}
    assert content["parts"][1]["inlineData"]["data"] == PNG


@pytest.mark.row("G12")
@pytest.mark.parametrize("field", ["messages", "input"])
def test_g12_openais_messages_and_tools(field: str) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    messages = [
        {"role": "system", "content": "be"},
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "42"},
    ]
    tools = [
        {
            "type": "function",
            "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {}}}},
        }
    ]
    fields: dict[str, Any] = {"messages": None, field: messages, "tools": tools, "tool_choice": "auto"}
    request = json.loads(encode_request(translated(built(**fields), MODELS[0]).request))

    assert request["systemInstruction"]["parts"] == [{"text": "be"}]
    assert request["contents"][1]["parts"][0]["functionCall"] == {"name": "f", "args": {"a": 1}, "id": "c"}
    assert request["contents"][2]["parts"][0]["functionResponse"]["response"] == {"output": "42"}
    assert request["tools"][0]["functionDeclarations"][0]["name"] == "f"


@pytest.mark.row("G12")
def test_g12_a_picture_in_the_instruction_is_said_by_the_user() -> None:
    system = [{"type": "text", "text": "be"}, {"type": "image", "source": {"type": "base64", "data": PNG}}]
    contents = said(system=system)

    assert contents[0]["parts"][0]["inlineData"]["data"] == PNG


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


@pytest.mark.row("G14")
@pytest.mark.parametrize(
    "fields",
    [
        {"output_format": {"type": "json_schema", "schema": SCHEMA}},
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        {
            "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
            "output_format": {"type": "xml"},
        },
        {"output_config": {"effort": None}, "output_format": {"type": "json_schema", "schema": SCHEMA}},
    ],
)
def test_g14_the_older_name_of_the_format_is_read(fields: dict[str, Any]) -> None:
    translation = translated(built(**fields), "gemini-2.5-flash")

    config = translation.request.generation_config
    assert config is not None
    assert config.response_mime_type == "application/json"
    assert config.response_json_schema == SCHEMA
    assert translation.notes == []


PNG_SOURCE = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
IMAGE = {"type": "image", "source": PNG_SOURCE}
FAILED = [
    USER,
    {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "shot", "input": {}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "is_error": True,
                                  "content": [{"type": "text", "text": "boom"}, IMAGE]}]},
]  # fmt: skip


def parts_of(message: dict[str, Any], model: str = "gemini-2.5-pro") -> tuple[list[Any], list[str]]:
    """Return the parts of the only message, and the notes."""
    translation = translated(built(messages=[message]), model)
    parts = json.loads(encode_json(translation.request.contents))[0]["parts"]
    return parts, translation.notes


@pytest.mark.row("G15")
@pytest.mark.parametrize("model", ["gemini-2.5-pro", "gemini-3-flash-preview"])
@pytest.mark.parametrize("error", [True, False])
def test_g15_a_failed_tools_image_goes_as_any_result_s(model: str, error: bool) -> None:
    messages = json.loads(json.dumps(FAILED))
    messages[2]["content"][0]["is_error"] = error
    translation = translated(built(messages=messages, tools=[{"name": "shot", "input_schema": {}}]), model)
    sent = encode_json(translation.request.contents).decode()

    assert '{"error":"boom"}' in sent if error else '{"output":"boom"}' in sent
    assert "iVBORw0KGgo=" in sent


@pytest.mark.row("G15")
def test_g15_title_and_context_of_a_document_stand_before_it() -> None:
    document = {"type": "document", "title": "Report", "context": "Written in May.", "source": PNG_SOURCE}
    parts, notes = parts_of({"role": "user", "content": [document]})

    assert parts[0] == {"text": "Document title: Report\nDocument context: Written in May.\n"}
    assert parts[1]["inlineData"]["data"] == "iVBORw0KGgo="
    assert notes == []


@pytest.mark.row("G15")
@pytest.mark.parametrize("beside", [[], [{"type": "text", "text": "t"}]])
@pytest.mark.parametrize("result", ["toolu_1", "of no call", None])
def test_g15_an_image_inside_a_document_goes(beside: list[Any], result: str | None) -> None:
    document = {"type": "document", "source": {"type": "content", "content": [*beside, IMAGE]}}
    content = (
        [{"type": "tool_result", "tool_use_id": result, "content": [document]}] if result else [document]
    )
    messages = [USER, FAILED[1], {"role": "user", "content": content}]
    translation = translated(built(messages=messages), "gemini-2.5-pro")

    assert "iVBORw0KGgo=" in encode_json(translation.request.contents).decode()


@pytest.mark.row("G15")
def test_g15_citations_of_documents_are_noted() -> None:
    document = {"type": "document", "source": {"type": "text", "data": "x"}, "citations": {"enabled": True}}
    assert parts_of({"role": "user", "content": [document]})[1] == ["messages.0.content.0.citations"]

    off = {**document, "citations": {"enabled": False}}
    assert parts_of({"role": "user", "content": [off]})[1] == []


@pytest.mark.row("G15")
def test_g15_options_of_the_search_are_carried_or_noted() -> None:
    tool = {
        "type": "web_search_20250305", "name": "web_search", "max_uses": 8, "allowed_domains": ["a.example"],
        "user_location": {"type": "approximate", "city": "Berlin", "region": None, "country": "DE",
                          "timezone": "Europe/Berlin"},
    }  # fmt: skip
    translation = translated(built(tools=[tool]), "gemini-2.5-flash")

    system = translation.request.system_instruction
    assert system is not None
    assert system.parts is not None
    assert system.parts[0].text == "The user is located in Berlin, DE (Europe/Berlin)."
    assert translation.notes == ["tools.0.allowed_domains", "tools.0.max_uses"]
    assert refused(strict=True, tools=[tool]).param == "tools.0.allowed_domains"


@pytest.mark.row("G15")
@pytest.mark.parametrize(
    ("option", "asks", "neutral"),
    [
        ("max_uses", 1, None),
        ("max_content_tokens", 5, None),
        ("allowed_callers", ["code_execution_20250825"], ["direct"]),
        ("citations", {"enabled": True}, {"enabled": False}),
        ("defer_loading", True, False),
        ("response_inclusion", "excluded", "full"),
        ("url_sources", {"x": 1}, None),
        ("use_cache", False, True),
    ],
)
@pytest.mark.parametrize(
    "tool", [{"name": "f", "input_schema": SCHEMA}, {"type": "web_fetch_20260318", "name": "web_fetch"}]
)
def test_g15_options_of_tools_without_effect_are_noted(
    option: str, asks: object, neutral: object, tool: dict[str, Any]
) -> None:
    assert translated(built(tools=[{**tool, option: asks}]), MODELS[0]).notes == [f"tools.0.{option}"]
    assert translated(built(tools=[{**tool, option: neutral}]), MODELS[0]).notes == []


@pytest.mark.row("G15")
def test_g15_examples_of_the_input_are_told_in_the_description() -> None:
    tool = {
        "name": "f",
        "description": "Find.",
        "input_schema": SCHEMA,
        "input_examples": [{"city": "Oslo"}, {"city": "Rome"}],
    }
    sent = translated(built(tools=[tool]), MODELS[0]).request.tools
    assert sent is not None
    assert sent[0].function_declarations is not None
    (function,) = sent[0].function_declarations
    assert function.description == 'Find.\nExamples of the input:\n{"city":"Oslo"}\n{"city":"Rome"}'


@pytest.mark.row("G15")
@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, None),
        ({"thinking": {"type": "adaptive", "display": "summarized"}}, True),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"}}, None),
        ({"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "low"}}, None),
    ],
)
def test_g15_thoughts_that_are_to_be_hidden_are_not_asked_for(
    fields: dict[str, Any], shown: bool | None
) -> None:
    config = translated(built(**fields), MODELS[0]).request.generation_config

    assert config is not None
    thinking = config.thinking_config
    assert bool(thinking is not None and thinking.include_thoughts) is bool(shown)


@pytest.mark.row("G12")
@pytest.mark.parametrize("field", ["max_completion_tokens", "max_output_tokens"])
def test_g12_a_limit_in_another_surfaces_field(field: str) -> None:
    fields: dict[str, Any] = {"max_tokens": None, field: 7}
    config = translated(built(**fields), MODELS[0]).request.generation_config

    assert config is not None
    assert config.max_output_tokens == 7
    assert refused(strict=True, **fields).param == "max_tokens"
