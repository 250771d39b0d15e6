"""The section `admin`: tokens, the trusted proxy, and mistakes in them."""

import pytest

from gateway.config.consistency import contradictions
from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.errors import ConfigError

ENVIRON = {"A": "first-token", "B": "second-token", "ISSUED": "sk-gw-abcdefgh", "GOOGLE": "AQ.abcdefgh"}


def faults(text: str) -> list[str]:
    """Return the faults of a configuration, with their places."""
    try:
        source = Source(text, "g.yaml", ENVIRON)
        return list(map(str, contradictions(source.decode(GatewayConfig), source)))
    except ConfigError as error:
        return list(map(str, error.faults))


def test_operators_have_names_and_tokens_of_their_own() -> None:
    text = """admin:
  token: {env: A}
  tokens:
    wall: {token: {env: B}, may: read}
  trust: {header: X-Forwarded-User, proxies: [10.0.0.0/8, unix]}
  hosts: [console.example.com]
"""
    config = Source(text, "g.yaml", ENVIRON).decode(GatewayConfig)

    assert faults(text) == []
    assert [".".join(path) for path in config.admin.secrets()] == ["admin.token", "admin.tokens.wall.token"]
    assert "token" in str(config.admin)
    assert "first" not in str(config.admin)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{token: {env: A}, tokens: {ada: {token: {env: A}}}}", "admin.tokens.ada.token is the same as admin.token"),
        ("{tokens: {ada: {token: {env: A}}, bob: {token: {env: A}}}}", "bob.token is the same as admin.tokens.ada.token"),
        ("{token: {env: A}, tokens: {admin: {token: {env: B}}}}", "admin.tokens.admin: this is the name of the operator"),
        ("{tokens: {ada: {token: {env: ISSUED}}}}", "admin.tokens.ada.token begins with sk-gw-"),
        ("{tokens: {ada: {}}}", "admin.tokens.ada needs 'token'"),
        ("{tokens: {ada: {token: {env: NONE}}}}", "the environment variable 'NONE' is not set"),
        ("{tokens: {ada: {token: {env: A}, may: all}}}", "one of read, write"),
        ("{tokens: {'a b': {token: {env: A}}}}", "admin.tokens"),
        ("{trust: {header: X-User, proxies: [nowhere]}}", "admin.trust.proxies: 'nowhere' does not appear to be"),
        ("{trust: {header: 'X User'}}", "admin.trust.header"),
        ("{trust: {proxies: [unix]}}", "admin.trust needs 'header'"),
        ("{hosts: ['http://x/']}", "admin.hosts"),
    ],
)  # fmt: skip
def test_a_mistake_is_a_fault_with_its_place(text: str, fault: str) -> None:
    (shown,) = faults(f"admin: {text}\n")

    assert shown.startswith("g.yaml:1:")
    assert fault in shown


def test_a_key_of_the_pool_is_no_token() -> None:
    text = "admin: {tokens: {ada: {token: {env: GOOGLE}}}}\npool: {projects: [{name: a, keys: [{env: GOOGLE}]}]}\n"

    assert [
        fault for fault in faults(text) if "admin.tokens.ada.token is also a key of pool.projects" in fault
    ]
