"""Differences between two configurations."""

import pytest

from gateway.config.diff import changes
from gateway.config.secret import Secret
from gateway.config.sections import GatewayConfig, ProjectConfig
from gateway.config.source import Source


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", []),
        ("drain: 5", "drain: 6", ["drain: 5.0 -> 6.0"]),
        ("models: {aliases: {a: gemini-x}}", "models: {aliases: {b: gemini-x}}",
         ["models.aliases.a: 'gemini-x' -> none", "models.aliases.b: none -> 'gemini-x'"]),
        ("admin: {token: {env: A}}", "admin: {token: {env: B}}", ["admin.token: **** -> ****"]),
        ("", "cors: {origins: [" + "https://a.example, " * 9 + "]}",
         ["cors.origins: ['*'] -> ['https://a.example', 'https://a.example', 'https://a.examp…"]),
        ("safety: {HARM_CATEGORY_X: OFF}", "safety: {}", ["safety.HARM_CATEGORY_X: 'OFF' -> none"]),
    ],
)  # fmt: skip
def test_each_difference_is_a_line_without_secrets(old: str, new: str, expected: list[str]) -> None:
    environ = {"A": "one-secret", "B": "other-secret"}
    first, second = (Source(text, "g.yaml", environ).decode(GatewayConfig) for text in (old, new))
    lines = list(changes(first, second))

    assert lines == expected
    assert "secret" not in "".join(lines)


def test_a_list_is_shown_as_the_yaml_has_it_without_secrets() -> None:
    keys = (Secret("k1", ("env", "A")),)
    lines = list(changes((), (ProjectConfig("blue", keys=keys),), "pool.projects"))

    assert lines == ["pool.projects: [] -> [{'name': 'blue', 'keys': ['****']}]"]
