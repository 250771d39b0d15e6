"""Names and ids of issued keys on the command line."""

import pytest

from gateway.cli.key_names import UnknownKey, key_named, keys_named
from gateway.policy.clients.access import ClientKey
from gateway.policy.clients.client_rules import Rules


def key(key_id: str, name: str, revoked: float | None = None) -> ClientKey:
    return ClientKey(key_id, name, "", 1.0, None, revoked, Rules())


KEYS = [
    key("key_1", "ada"),
    key("key_2", "Carla"),
    key("key_3", "bob", 1.0),
    key("key_4", "bob"),
    key("key_5", "eve"),
    key("key_6", "eve"),
]


def test_o15_both_are_accepted() -> None:
    assert [entry.id for entry in keys_named(KEYS, "key_2")] == ["key_2"]
    assert [entry.id for entry in keys_named(KEYS, "bob")] == ["key_3", "key_4"]
    assert key_named(KEYS, "bob").id == "key_4"
    assert key_named(KEYS, "key_3").id == "key_3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("carl", "no key has the name or id 'carl'; did you mean 'Carla'?"),
        ("key_22", "did you mean 'key_2'?"),
        ("nobody-at-all", "there are ada, Carla, bob, eve"),
    ],
)
def test_o15_a_mistake_gets_a_suggestion(text: str, message: str) -> None:
    with pytest.raises(UnknownKey) as caught:
        keys_named(KEYS, text)

    assert message in str(caught.value)


def test_a_name_that_several_keys_have_is_not_guessed() -> None:
    with pytest.raises(UnknownKey, match="2 keys have the name 'eve': name one by its id, key_5, key_6"):
        key_named(KEYS, "eve")
    with pytest.raises(UnknownKey, match="all keys with the name 'x' have been revoked"):
        key_named([key("1", "x", 1.0), key("2", "x", 1.0)], "x")
    with pytest.raises(UnknownKey, match="no key has been issued: gateway keys add NAME"):
        keys_named([], "x")
