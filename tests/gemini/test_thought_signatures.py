"""Keys of stored signatures: the same for the same call of the same client, and for nothing else."""

import pytest

from gateway.gemini.thought_signatures import SignatureKeys, split_id

KEYS = SignatureKeys("scope")


def test_a_call_has_a_key_by_its_id_and_one_by_its_content() -> None:
    by_id, by_content = KEYS.call("c1", "f", '{"a":1}')

    assert KEYS.call("c2", "f", '{"a":1}')[1] == by_content
    assert KEYS.call("c1", "f", '{"a":2}')[0] == by_id
    assert by_id != by_content
    assert {len(by_id), len(by_content)} == {16}


@pytest.mark.parametrize(
    "arguments", ['{"b": 2, "a": [1, {"d": 4, "c": 3}]}', '{ "a":[1,{"c":3,"d":4}] ,"b":2}']
)
def test_the_content_is_the_same_in_every_order_and_spacing(arguments: str) -> None:
    assert KEYS.call("c", "f", arguments)[1] == KEYS.call("c", "f", '{"a":[1,{"c":3,"d":4}],"b":2}')[1]


def test_no_arguments_are_an_empty_object() -> None:
    assert KEYS.call("c", "f", "")[1] == KEYS.call("c", "f", "{}")[1]


@pytest.mark.parametrize("arguments", ["{bad", "[" * 5000])
def test_arguments_that_are_no_json_count_as_they_are(arguments: str) -> None:
    assert KEYS.call("c", "f", arguments) == KEYS.call("c", "f", arguments)
    assert KEYS.call("c", "f", arguments)[1] != KEYS.call("c", "f", arguments + " ")[1]


def test_keys_differ_by_client_name_kind_and_content() -> None:
    keys = [
        *KEYS.call("c", "f", "{}"),
        *SignatureKeys("other").call("c", "f", "{}"),
        *KEYS.call("c", "g", "{}"),
        KEYS.call("d", "f", "{}")[0],
        KEYS.call("c", "f", '{"a":1}')[1],
        *KEYS.image("c"),
        *KEYS.image("d"),
        *SignatureKeys("other").image("c"),
    ]

    assert len(set(keys)) == len(keys)


def test_words_do_not_run_into_each_other() -> None:
    assert KEYS.call("ab", "c", "{}")[0] != KEYS.call("a", "bc", "{}")[0]


@pytest.mark.parametrize(
    ("call_id", "expected"),
    [
        ("call_1", ("call_1", None)),
        ("call_1__thought__U0lH", ("call_1", "U0lH")),
        ("call_1__thought__", ("call_1", None)),
        ("a__thought__b__thought__c", ("a", "b__thought__c")),
        ("", ("", None)),
    ],
)
def test_litellms_suffix_is_split_from_an_id(call_id: str, expected: tuple[str, str | None]) -> None:
    assert split_id(call_id) == expected
