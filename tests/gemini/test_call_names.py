"""The client's names for called functions."""

import pytest

from gateway.gemini.call_names import NO_CALLS, CallRules

RULES = CallRules({"get_weather": "get weather"}, frozenset({"get_weather", "f"}))


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("get_weather", "get weather"),
        ("f", "f"),
        ("default_api.f", "f"),
        ("default_api:get_weather", "get weather"),
        ("default_api.g", "default_api.g"),
        ("default_apif", "default_apif"),
    ],
)
def test_a_called_name_is_the_clients_again(called: str, name: str) -> None:
    assert RULES.own_name(called) == name


def test_a_declared_name_keeps_its_prefix() -> None:
    rules = CallRules({}, frozenset({"f", "default_api.f"}))

    assert rules.own_name("default_api.f") == "default_api.f"


def test_without_tools_names_stay() -> None:
    assert NO_CALLS.own_name("default_api.f") == "default_api.f"
