"""Requests and answers for the tests that hold the plain ways equal to the long ones: most of them plain, some not."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.plain import PlainConversation
from gateway.conversation.translation import TranslationContext, translate
from gateway.errors import GatewayError
from gateway.gemini.thought_signatures import SignatureKeys
from gateway.gemini.wire import SafetySetting, encode_request
from tests.support.models import TABLE

Json = dict[str, Any]

WORDS = st.sampled_from(
    ["", "hi", "Say hello.", "ä\u2028€", "\U0001f600", '"\\/\n\t', "\x00\x7f", "</s>", " "]
)
TEXTS = WORDS | st.text(max_size=20)
MODELS = [
    *["gemini-2.5-flash", "gemini-3.5-flash", "gemini-3.8-flash"] * 3,
    "gemini-2.5-flash:search",
    "gemini-2.5-flash-preview-tts",
    "gemini-2.5-flash-image",
    "gemma-3-27b-it",
    "models/gemini-2.5-pro",
    "gemini-flash-latest",
    "gpt-4o",
]


def sometimes(strategy: st.SearchStrategy[Any], other: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy whose values are seldom of `other`."""
    return st.integers(0, 19).flatmap(lambda roll: other if roll == 13 else strategy)  # 0 would be frequent


PNG = "iVBORw0KGgo="
_DATA = [PNG, "aWNv", "aWNv" * 3 + "QQ==", "aWN\nv", "a-_v", "QUI", "", "*", "%41", "Q=Q="]
URLS = [f"data:{kind};base64,{data}" for kind in ("image/png", "IMAGE/jpg", "") for data in _DATA] + [
    "DATA:image/png;base64,aWNv", "data:image/svg+xml,%3Csvg/%3E", "data:,", "data:image/png",
    "gs://bucket/a.png", "", "file:///etc/passwd",
]  # fmt: skip
"""Addresses of pictures that are never fetched, most of them with data; some are none."""
_DETAILS_OF_PICTURES = st.sampled_from([{}, {"detail": "auto"}, {"detail": None}, {"detail": "high"}])
CHAT_PICTURES = st.builds(
    lambda url, detail: {"type": "image_url", "image_url": {"url": url, **detail}},
    st.sampled_from(URLS),
    _DETAILS_OF_PICTURES,
) | st.builds(lambda url: {"type": "image_url", "image_url": url}, st.sampled_from(URLS))
RESPONSES_PICTURES = st.builds(
    lambda url, detail: {"type": "input_image", "image_url": url, **detail},
    st.sampled_from(URLS),
    _DETAILS_OF_PICTURES,
)
MESSAGES_PICTURES = st.builds(
    lambda kind, data: {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}},
    st.sampled_from(["image/png", "image/jpg", "", "application/octet-stream"]),
    st.sampled_from(_DATA),
)


def content(kind: str, pictures: st.SearchStrategy[Json]) -> st.SearchStrategy[Any]:
    """Return contents of a turn: a text, texts of one type, pictures, and seldom something else."""
    texts = st.builds(lambda text: {"type": kind, "text": text}, TEXTS)
    part = st.integers(0, 4).flatmap(lambda roll: pictures if roll == 3 else texts)
    other = st.sampled_from(
        [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
            {"type": kind, "text": "x", "cache_control": {"type": "ephemeral"}},
            {"type": kind},
            {"type": "refusal", "refusal": "no"},
            {"text": "without a type"},
        ]
    )
    parts = st.lists(sometimes(part, other), min_size=1, max_size=3)
    return sometimes(TEXTS | parts, st.sampled_from([None, [], 5, {"text": "x"}, ["x"]]))


def turns(roles: list[str], kind: str, pictures: st.SearchStrategy[Json]) -> st.SearchStrategy[list[Json]]:
    """Return histories, most of which begin and end with the user."""
    said = content(kind, pictures)
    turn = st.builds(lambda role, said: {"role": role, "content": said}, st.sampled_from(roles), said)
    extra = sometimes(
        st.just({}),
        st.sampled_from(
            [{"name": "Ann"}, {"refusal": None}, {"tool_calls": []}, {"role": "tool"}, {"role": "x"}]
        ),
    )
    user = st.builds(lambda said: {"role": "user", "content": said}, said)
    inner = st.lists(st.builds(lambda a, b: {**a, **b}, turn, extra), max_size=5)
    return sometimes(st.builds(lambda before, last: [*before, last], inner, user), inner)


def numbers(**usual: list[Any]) -> st.SearchStrategy[Json]:
    """Return some of the numeric options, most of them in their range."""
    odd = st.sampled_from([-1, 2.5, 3, 2**31, -(2**31) - 1, True, "1", 1e308, 5.0, 65_537])
    values = {name: sometimes(st.none() | st.sampled_from(some), odd) for name, some in usual.items()}
    return st.fixed_dictionaries({}, optional=values)


def extras(*fields: Json) -> st.SearchStrategy[Json]:
    """Return seldom a field that no plain request has."""
    return sometimes(
        st.just({}), st.sampled_from([{"unknown": 1}, {"metadata": {"a": "b"}}, {"user": None}, *fields])
    )


def encoded(body: Json, cut: int, position: int) -> bytes:
    """Return a body as JSON; seldom one that is damaged: cut, with a byte that is no UTF-8, or with a field twice."""
    data = json.dumps(body, ensure_ascii=bool(cut % 2)).encode("utf-8", "surrogatepass")
    at = position % (len(data) + 1)
    match cut:
        case 0:
            return data[:at]
        case 2:
            return data[:at] + b"\xff" + data[at:]
        case 4:
            return data[:-1] + b',"messages":[{"role":"user","content":"last"}],"temperature":1e999}'
        case 6:
            return data[:-1] + b',"temperature":1.' + b"0" * 500 + b"}"
    return data


def damaged(bodies: st.SearchStrategy[Json]) -> st.SearchStrategy[bytes]:
    """Return bodies as a client sends them."""
    return st.builds(encoded, bodies, st.integers(0, 60), st.integers(0, 10_000))


def merged(*parts: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    """Return objects with the fields of several ones."""
    return st.builds(lambda *values: {name: v for value in values for name, v in value.items()}, *parts)


_CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def _function(name: str, schema: Any = _CITY, **fields: Any) -> Json:
    return {"type": "function", "function": {"name": name, "parameters": schema, **fields}}


_TOOLS = st.sampled_from(
    [
        *[[_function("weather"), _function("a b", {}, description="Look it up.")]] * 4,
        [_function("weather", strict=True)],
        [_function("weather"), _function("weather")],
        [_function("tree", {"$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}}},
                            "$ref": "#/$defs/n"})],
        [_function("lost", {**_CITY, "not": {"type": "null"}, "propertyNames": {"pattern": "a"}})],
        [_function("list", {"type": "array"})],
        [{"type": "custom", "custom": {"name": "patch", "description": "Write a patch."}}],
        [{"type": "google_search"}],
        [_function("weather"), {"type": "web_search"}],
        [{"name": "weather", "description": "As Anthropic has it.", "input_schema": _CITY}],
        [{"type": "function", "function": {"name": ""}}], [{"type": "nothing"}], [5], [], None, "x",
    ]
)  # fmt: skip
_CHOICES = st.sampled_from(
    ["auto", "none", "required", None, {"type": "function", "function": {"name": "weather"}},
     {"type": "function", "function": {"name": "nobody"}}, {"type": "any"}, "sometimes",
     {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "name": "weather"}]}}]
)  # fmt: skip
_FORMATS = st.sampled_from(
    [{"type": "text"}, {"type": "json_object"}, None, {"type": "x"}, {"type": "json_schema"},
     {"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": _CITY}},
     {"type": "json_schema", "json_schema": {"description": "A place.", "schema": {**_CITY, "patternProperties": {}}}}]
)  # fmt: skip
CHAT_DECLARED: list[Json] = [
    {"tools": [_function("weather"), _function("a b", {}, description="Look it up.")]},
    {"tools": [_function("weather")], "tool_choice": "auto", "parallel_tool_calls": False},
    {"tools": [_function("weather", strict=True)], "tool_choice": "required", "parallel_tool_calls": True},
    {"tools": [_function("weather")], "tool_choice": {"type": "function", "function": {"name": "weather"}}},
    {"tools": [_function("weather")], "response_format": {"type": "json_object"}},
    {"tools": [{"type": "custom", "custom": {"name": "patch"}}]},
    {"tools": [], "tool_choice": "auto"},
    {"response_format": {"type": "json_schema", "json_schema": {"description": "A place.", "schema": _CITY}}},
    {"response_format": {"type": "text"}},
]
"""Declarations without a note."""
CHAT_DECLARATIONS: st.SearchStrategy[Json] = (
    st.just({})
    | st.sampled_from(CHAT_DECLARED)
    | st.fixed_dictionaries(
        {},
        optional={
            "tools": _TOOLS,
            "tool_choice": _CHOICES,
            "parallel_tool_calls": st.sampled_from([True, False, None]),
            "response_format": _FORMATS,
        },
    )
)
"""Tools, the choice among them, and the format of the answer."""

CHAT_REQUESTS = damaged(
    merged(
        st.builds(lambda model: {"model": model}, st.sampled_from(MODELS)),
        st.builds(
            lambda messages: {"messages": messages}, turns(["system", "developer", "user", "assistant"], "text", CHAT_PICTURES)
        ),
        numbers(temperature=[0, 0.5, 1, 2.0], top_p=[0, 0.25, 1], top_k=[1, 40], max_tokens=[1, 8192, 65_536],
                max_completion_tokens=[1, 8192], seed=[0, -1, 2**31 - 1], n=[1], presence_penalty=[0, 0.0],
                frequency_penalty=[0, -0.0]),
        CHAT_DECLARATIONS,
        extras(
            {"stop": "x"},
            {"instructions": "Be brief."},
            {"max_output_tokens": 5},
            {"stream_options": {"include_usage": True}},
            {"stream_options": {"include_obfuscation": False}},
        ),
    )
)  # fmt: skip
"""Bodies of `POST /v1/chat/completions` without `stream`."""

MESSAGES_REQUESTS = damaged(
    merged(
        st.builds(lambda model: {"model": model}, st.sampled_from(MODELS)),
        st.builds(lambda messages: {"messages": messages}, turns(["system", "user", "assistant"], "text", MESSAGES_PICTURES)),
        sometimes(st.just({"max_tokens": 100}), st.just({})),
        st.fixed_dictionaries({}, optional={"system": sometimes(st.none() | TEXTS, content("text", CHAT_PICTURES))}),
        numbers(temperature=[0, 0.5, 1, 2.0], top_p=[0, 0.25, 1], top_k=[1, 40], max_tokens=[1, 8192, 65_536]),
        extras({"stop_sequences": ["x"]}, {"thinking": {"type": "disabled"}}, {"tools": []}, {"stream": False},
               {"instructions": "Be brief."}, {"max_completion_tokens": 5}),
    )
)  # fmt: skip
"""Bodies of `POST /v1/messages`."""

RESPONSES_REQUESTS = damaged(
    merged(
        st.builds(lambda model: {"model": model}, st.sampled_from(MODELS)),
        st.builds(
            lambda said: {"input": said},
            TEXTS | turns(["system", "developer", "user", "assistant"], "input_text", RESPONSES_PICTURES)
            | turns(["user", "assistant"], "output_text", RESPONSES_PICTURES),
        ),
        st.fixed_dictionaries({}, optional={"instructions": sometimes(st.none() | TEXTS, content("input_text", CHAT_PICTURES))}),
        numbers(temperature=[0, 0.5, 1, 2.0], top_p=[0, 0.25, 1], max_output_tokens=[1, 8192, 65_536]),
        extras({"store": False}, {"store": True}, {"stream": False}, {"tools": []}, {"previous_response_id": None},
               {"reasoning": {"effort": "low"}}, {"system": "Be brief."}, {"text": {"format": {"type": "text"}}}),
    )
)  # fmt: skip
"""Bodies of `POST /v1/responses`."""

SAFETY = [SafetySetting("HARM_CATEGORY_HARASSMENT", "OFF")]
CONTEXTS = st.builds(
    lambda model, safety, roll: TranslationContext(
        model, TABLE.of(model), safety, roll == 7, roll == 11, SignatureKeys("k")
    ),
    st.sampled_from(MODELS),
    st.sampled_from([[], SAFETY]),
    st.integers(0, 19),
)
"""Models, thresholds, and seldom a search or thoughts that the gateway asks for."""
_PATHS = ["contents[0].parts[0]", "contents[2]", "system_instruction", "generation_config.temperature",
          "generation_config.max_output_tokens", "generation_config.seed", "tools[0]", "safety_settings"]  # fmt: skip


def outcome(
    said: Callable[[], ConversationBuilder | PlainConversation], context: TranslationContext
) -> tuple[Any, ...]:
    """Return all that a translation says, or its error."""
    try:
        translation = translate(said(), context)
    except GatewayError as error:
        return error.status, error.code, error.param, error.message
    origins = translation.origins
    paths = [origins.path(path) for path in _PATHS], origins.of(["temperature", "contents", "tools"])
    request = encode_request(translation.request)
    return request, translation.notes, translation.rules, translation.audio_format, paths


_COUNTS = st.sampled_from([None, 0, 1, 7, 2**31 - 1])
_ODD_COUNTS = st.sampled_from([-1, 2**31, 10**450, "3", 1.5])
_DETAILS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "modality": st.sampled_from(["TEXT", "IMAGE", "AUDIO", "DOCUMENT", "x"]),
            "tokenCount": _COUNTS,
        },
    ),
    max_size=2,
)
_USAGE = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            (
                "promptTokenCount",
                "candidatesTokenCount",
                "totalTokenCount",
                "thoughtsTokenCount",
                "cachedContentTokenCount",
                "toolUsePromptTokenCount",
            ),
            sometimes(_COUNTS, _ODD_COUNTS),
        ),
        "promptTokensDetails": st.none() | _DETAILS,
        "candidatesTokensDetails": st.none() | _DETAILS,
        "serviceTier": st.sampled_from(["standard", "priority", "FLEX", None, ""]),
        "trafficType": st.just("ON_DEMAND"),
        "other": sometimes(st.just(1), st.just(None)),
    },
)
_PARTS = st.lists(
    sometimes(
        st.fixed_dictionaries(
            {"text": TEXTS}, optional={"thoughtSignature": st.sampled_from([None, "", "c2ln", "c2lnMg=="])}
        ),
        st.sampled_from(
            [
                {"text": "a", "thought": True},
                {"text": "a", "thought": False},
                {"functionCall": {"name": "f", "args": {}}},
                {"inlineData": {"mimeType": "image/png", "data": "aWNv"}},
                {},
                {"text": 5},
            ]
        ),
    ),
    max_size=3,
)
_CANDIDATE = merged(
    st.builds(lambda parts: {"content": {"parts": parts, "role": "model"}}, _PARTS),
    st.builds(
        lambda reason: {"finishReason": reason},
        sometimes(
            st.sampled_from(["STOP", "MAX_TOKENS"]),
            st.sampled_from([None, "SAFETY", 1, "OTHER", "MALFORMED_FUNCTION_CALL"]),
        ),
    ),
    st.fixed_dictionaries({}, optional={"index": sometimes(st.just(0), st.sampled_from([1, None, -1, 9]))}),
    sometimes(
        st.just({}),
        st.sampled_from(
            [
                {"avgLogprobs": -0.5},
                {"citationMetadata": {}},
                {"safetyRatings": []},
                {"finishMessage": "m"},
                {"groundingMetadata": {"webSearchQueries": ["q"]}},
                {"content": {}},
                {"continuationToken": "t"},
            ]
        ),
    ),
)
ANSWERS = damaged(
    merged(
        st.builds(
            lambda candidates: {"candidates": candidates},
            sometimes(st.lists(_CANDIDATE, min_size=1, max_size=1), st.lists(_CANDIDATE, max_size=2)),
        ),
        st.fixed_dictionaries(
            {},
            optional={
                "usageMetadata": _USAGE,
                "modelVersion": st.sampled_from(["gemini-2.5-flash", "models/gemini-x", "a b", "", None]),
                "responseId": st.sampled_from(["abc", "", None]),
                "createTime": st.just("2026-11-26T00:00:00Z"),
            },
        ),
        sometimes(st.just({}), st.sampled_from(
            [{"promptFeedback": {"blockReason": "SAFETY"}}, {"error": {"code": 503, "message": "m"}}, {"other": 1}]
        )),
    )
)  # fmt: skip
"""Bodies of whole answers of Gemini's."""
