"""Tools: declarations, names and choices as a model takes them."""

from typing import Any

import pytest

from gateway.conversation.notes import Notes
from gateway.conversation.tools import MOST_FUNCTIONS, Choice, ChoiceMode, ToolBox, Tooling, gemini_name
from gateway.errors import BadRequest, UnsupportedParameter
from gateway.gemini.call_names import CallRules
from gateway.gemini.capabilities import Capabilities
from gateway.gemini.schemas.schema_references import InlineBudget
from gateway.gemini.wire import FunctionCallingConfig, FunctionDeclaration, Tool

NEWEST = Capabilities()
OLD = Capabilities(validated=False)
NO_FUNCTIONS = Capabilities(functions=False)
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}


def box_of(*names: str, strict: bool = False) -> ToolBox:
    box = ToolBox(Notes())
    for i, name in enumerate(names):
        box.function(name, None, None, f"tools[{i}].function", f"tools[{i}].function.parameters", strict=strict)  # fmt: skip
    return box


def tooling_of(box: ToolBox, capabilities: Capabilities = NEWEST) -> tuple[Tooling, list[str]]:
    notes = Notes()
    return box.tooling(capabilities, notes, InlineBudget()), notes.distinct()


def choose(
    box: ToolBox,
    mode: ChoiceMode,
    names: tuple[str, ...] | None = None,
    capabilities: Capabilities = NEWEST,
    *,
    built_in: bool = False,
) -> tuple[Tooling, list[str]]:
    box.choice = Choice(mode, "tool_choice", names, built_in)
    return tooling_of(box, capabilities)


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("get_weather", "get_weather"),
        ("a.b:c-d", "a.b:c-d"),
        ("mcp/tool é", "mcp_tool__"),
        ("1tool", "_1tool"),
        ("-x", "_-x"),
        ("_x", "_x"),
        ("a" * 65, "a" * 64),
        ("1" * 64, "_" + "1" * 63),
    ],
)
def test_a_name_becomes_one_that_gemini_takes(name: str, sent: str) -> None:
    assert gemini_name(name) == sent


def test_two_names_that_become_one_are_told_apart() -> None:
    box = box_of("a b", "a_b", "a/b")

    assert box.names == {"a b": "a_b", "a_b": "a_b_2", "a/b": "a_b_3"}
    assert tooling_of(box)[0].rules == CallRules(
        {"a_b": "a b", "a_b_2": "a_b", "a_b_3": "a/b"}, frozenset({"a_b", "a_b_2", "a_b_3"})
    )


def test_a_long_name_keeps_its_number_inside_the_limit() -> None:
    box = box_of("n" * 64, "n" * 70)

    assert list(box.names.values()) == ["n" * 64, "n" * 60 + "_2"]


def test_of_two_functions_with_one_name_the_first_counts() -> None:
    notes = Notes()
    box = ToolBox(notes)
    box.function("f", "first", None, "tools[0]", "tools[0].parameters")
    box.function("f", "second", None, "tools[1]", "tools[1].parameters")

    assert tooling_of(box)[0].functions == [FunctionDeclaration("f", "first")]
    assert notes.distinct() == ["tools[1]"]


def test_a_function_without_a_name_is_refused() -> None:
    with pytest.raises(BadRequest) as caught:
        box_of("f", "")

    assert (caught.value.param, caught.value.code) == ("tools[1].function.name", "missing_required_parameter")


def test_as_many_functions_as_gemini_takes() -> None:
    names = [f"f{i}" for i in range(MOST_FUNCTIONS + 1)]
    assert len(tooling_of(box_of(*names[:-1]))[0].functions) == MOST_FUNCTIONS == 512

    with pytest.raises(BadRequest) as caught:
        tooling_of(box_of(*names))

    assert (caught.value.param, caught.value.code) == ("tools", "array_above_max_length")
    assert caught.value.message.endswith("with maximum length 512, but got an array with length 513 instead.")


def test_a_model_without_functions_takes_none() -> None:
    with pytest.raises(UnsupportedParameter, match="cannot call functions") as caught:
        tooling_of(box_of("f"), NO_FUNCTIONS)

    assert caught.value.param == "tools"
    assert tooling_of(ToolBox(Notes()), NO_FUNCTIONS)[0].functions == []


def test_errors_about_all_functions_name_the_field_that_declared_the_first() -> None:
    box = box_of("f")
    box.function("g", None, None, "functions[0]", "functions[0].parameters")

    with pytest.raises(UnsupportedParameter) as caught:
        tooling_of(box, NO_FUNCTIONS)

    assert caught.value.param == "tools"


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        (None, None),
        ({}, None),
        ({"type": "object"}, None),
        ({"type": "object", "properties": {}}, None),
        ({"description": "nothing"}, None),
        (
            {"$ref": "#/$defs/A", "$defs": {"A": SCHEMA}},
            SCHEMA,
        ),
        (
            {"anyOf": [SCHEMA, {"$ref": "#/$defs/A"}], "$defs": {"A": SCHEMA}},
            {"anyOf": [SCHEMA, {"$ref": "#/$defs/A"}], "type": "object", "$defs": {"A": SCHEMA}},
        ),
        (
            {"type": "object", "additionalProperties": {"type": "string"}},
            {"type": "object", "additionalProperties": {"type": "string"}},
        ),
        ({"type": "object", "additionalProperties": False}, None),
        ({"type": ["object", "null"], **SCHEMA}, SCHEMA),
        ({"$ref": "#/nowhere"}, None),
        (SCHEMA, SCHEMA),
        ({"properties": SCHEMA["properties"]}, SCHEMA),
        ({"type": ["object"], "properties": SCHEMA["properties"]}, SCHEMA),
    ],
)
def test_a_function_has_a_schema_only_if_it_has_parameters(schema: Any, sent: Any) -> None:
    box = ToolBox(Notes())
    box.function("f", None, schema, "at", "at.parameters")

    (declaration,) = tooling_of(box)[0].functions

    assert declaration.parameters_json_schema == sent


@pytest.mark.parametrize(
    ("schema", "code"),
    [({"type": "array"}, "invalid_function_parameters"), ({"type": "object", "properties": 1}, "invalid_value")],
)  # fmt: skip
def test_parameters_that_are_no_object_schema_are_refused_at_their_place(schema: Any, code: str) -> None:
    box = ToolBox(Notes())
    box.function("f", None, schema, "at", "at.parameters")

    with pytest.raises(BadRequest) as caught:
        tooling_of(box)

    assert (caught.value.param, caught.value.code) == ("at.parameters", code)


def test_the_order_of_parameters_is_written_down_for_models_that_lose_it() -> None:
    box = ToolBox(Notes())
    box.function("f", None, {"type": "object", "properties": {"b": {}, "a": {}}}, "at", "at")

    (declaration,) = tooling_of(box, Capabilities(ordered=True))[0].functions

    assert (declaration.parameters_json_schema or {})["propertyOrdering"] == ["b", "a"]


@pytest.mark.parametrize(
    ("description", "input_format", "words"),
    [
        (None, None, None),
        ("Runs.", {"type": "text"}, "Runs."),
        ("Runs.", {"type": "grammar", "syntax": "lark", "definition": "x"}, "Runs.\nThe input must match this lark grammar:\nx"),
        (None, {"grammar": {"syntax": "regex", "definition": "y"}}, "\nThe input must match this regex grammar:\ny"),
        ("Runs.", {"grammar": "lark"}, "Runs."),
    ],
)  # fmt: skip
def test_a_custom_tool_is_a_function_of_one_text(
    description: str | None, input_format: Any, words: str | None
) -> None:
    box = ToolBox(Notes())
    box.custom("sh", description, input_format, "tools[0]")

    tooling, _ = tooling_of(box)

    assert tooling.functions == [
        FunctionDeclaration(
            "sh",
            words,
            {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]},
        )
    ]
    assert tooling.rules.custom == {"sh"}


def test_functions_share_a_tool_and_each_built_in_has_its_own() -> None:
    box = box_of("f", "g")
    box.built_in("google_search", {}, "tools[2]")
    box.built_in("url_context", {}, "tools[3]")

    assert tooling_of(box)[0].objects() == [
        Tool(function_declarations=[FunctionDeclaration("f"), FunctionDeclaration("g")]),
        Tool(google_search={}),
        Tool(url_context={}),
    ]
    assert box.built_ins_at == "tools[2]"
    assert tooling_of(ToolBox(Notes()))[0].objects() == []


def test_the_tools_for_one_model_are_no_ones_elses() -> None:
    box = ToolBox(Notes())
    box.built_in("google_search", {}, "tools[0]")

    tooling_of(box)[0].built_ins.clear()

    assert tooling_of(box)[0].built_ins == {"google_search": {}}


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("mode", "sent"), [("auto", "AUTO"), ("none", "NONE"), ("required", "ANY")]
)  # fmt: skip
def test_a_choice_of_all_functions(mode: ChoiceMode, sent: str, strict: bool) -> None:
    """A strict function is validated, where the model can and the call is its own decision."""
    tooling, notes = choose(box_of("f", strict=strict), mode)

    expected = "VALIDATED" if strict and mode == "auto" else sent
    assert (tooling.choice, notes) == (FunctionCallingConfig(expected), [])


@pytest.mark.row("G23")
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("capabilities", "sent", "noted"), [(NEWEST, "VALIDATED", []), (OLD, "AUTO", ["tool_choice"])]
)
def test_g23_a_validated_choice_is_auto_where_the_model_knows_no_other(
    capabilities: Capabilities, sent: str, noted: list[str], strict: bool
) -> None:
    box = box_of("f", strict=strict)
    box.choice = Choice("validated", "tool_choice")
    tooling, notes = tooling_of(box, capabilities)

    assert (tooling.choice, notes) == (FunctionCallingConfig(sent), noted)


def test_g23_a_validated_choice_without_functions_is_no_mistake() -> None:
    box = box_of()
    box.choice = Choice("validated", "tool_choice")

    assert tooling_of(box)[1] == []


@pytest.mark.parametrize(
    ("strict", "capabilities", "sent"),
    [(True, NEWEST, FunctionCallingConfig("VALIDATED")), (True, OLD, None), (False, NEWEST, None)],
)
def test_without_a_choice_only_strict_functions_set_a_mode(
    strict: bool, capabilities: Capabilities, sent: FunctionCallingConfig | None
) -> None:
    assert tooling_of(box_of("f", strict=strict), capabilities)[0].choice == sent


def test_a_chosen_function_is_called_by_the_name_that_was_sent() -> None:
    tooling, _ = choose(box_of("a b", "f"), "required", ("a b",))

    assert tooling.choice == FunctionCallingConfig("ANY", ["a_b"])
    assert [function.name for function in tooling.functions] == ["a_b", "f"]


def test_a_choice_of_an_undeclared_function_is_refused() -> None:
    with pytest.raises(BadRequest, match="no tool is named 'g'") as caught:
        choose(box_of("f"), "required", ("g",))

    assert caught.value.param == "tool_choice"


def test_allowed_functions_are_named_or_are_the_only_ones_declared() -> None:
    newest, _ = choose(box_of("f", "g", "h"), "allowed", ("f", "h"))
    old, _ = choose(box_of("f", "g", "h"), "allowed", ("f", "h"), OLD)

    assert newest.choice == FunctionCallingConfig("VALIDATED", ["f", "h"])
    assert old.choice == FunctionCallingConfig("AUTO")
    assert [[function.name for function in tooling.functions] for tooling in (newest, old)] == [
        ["f", "g", "h"],
        ["f", "h"],
    ]


def test_a_built_in_tool_cannot_be_forced() -> None:
    box = box_of("f")
    box.built_in("google_search", {}, "tools[1]")

    tooling, notes = choose(box, "required", built_in=True)

    assert (tooling.choice, notes) == (FunctionCallingConfig("AUTO"), ["tool_choice"])


@pytest.mark.parametrize("mode", ["auto", "none"])
def test_a_free_choice_without_functions_is_left_out(mode: ChoiceMode) -> None:
    tooling, notes = choose(ToolBox(Notes()), mode)

    assert (tooling.choice, notes) == (None, [])


@pytest.mark.parametrize(("mode", "built_in"), [("required", False), ("allowed", False), ("auto", True)])
def test_a_forced_choice_without_functions_needs_a_built_in_tool(mode: ChoiceMode, built_in: bool) -> None:
    with pytest.raises(BadRequest, match="only allowed when 'tools' are specified") as caught:
        choose(ToolBox(Notes()), mode, built_in=built_in)
    assert caught.value.param == "tool_choice"

    searching = ToolBox(Notes())
    searching.built_in("google_search", {}, "tools[0]")
    tooling, notes = choose(searching, mode, built_in=built_in)
    assert (tooling.choice, notes) == (None, ["tool_choice"])


def test_the_rules_for_the_answer_say_how_the_client_takes_calls() -> None:
    box = box_of("f")
    box.legacy, box.single = True, True

    assert tooling_of(box)[0].rules == CallRules({}, frozenset({"f"}), frozenset(), legacy=True, single=True)


def test_a_box_is_true_when_it_holds_anything() -> None:
    searching, choosing = ToolBox(Notes()), ToolBox(Notes())
    searching.built_in("google_search", {}, "at")
    choosing.choice = Choice("auto", "at")

    assert [bool(box) for box in (ToolBox(Notes()), box_of("f"), searching, choosing)] == [
        False,
        True,
        True,
        True,
    ]


@pytest.mark.row("T3")
def test_t03_what_a_functions_schema_loses_is_noted_and_refused_in_strict_mode() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/No"}}, "required": ["a", "b"]}
    box = ToolBox(Notes())
    box.function("f", None, schema, "tools[0]", "tools[0].parameters")

    assert list(tooling_of(box)[1]) == [
        "tools[0].parameters.properties.a.$ref",
        "tools[0].parameters.required",
    ]
    with pytest.raises(UnsupportedParameter) as caught:
        box.tooling(Capabilities(), Notes(strict=True), InlineBudget())
    assert caught.value.param == "tools[0].parameters.properties.a.$ref"


@pytest.mark.row("T3")
def test_t03_a_root_that_is_no_object_is_refused() -> None:
    box = ToolBox(Notes())
    box.function("f", None, {"$ref": "#/$defs/A", "$defs": {"A": {"type": "string"}}}, "at", "at.parameters")

    with pytest.raises(BadRequest, match='type: "object"'):
        tooling_of(box)
