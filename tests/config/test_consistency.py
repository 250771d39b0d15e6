"""Values that are valid alone and contradict each other."""

import pytest

from gateway.config.consistency import contradictions
from gateway.config.sections import GatewayConfig
from gateway.config.source import Source


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("", []),
        ("models: {aliases: {a: gemini-x}, fallbacks: {gemini-x: [gemini-y]}}", []),
        ("models: {aliases: {a: b, b: gemini-x}}", ["1:23"]),
        ("models: {fallbacks: {gemini-x: [gemini-x]}}", ["1:32"]),
        ("upstream: {base_url: 'http://x/v1beta/'}", ["1:22"]),
        ("upstream: {base_url: 'http://x/gemini'}", []),
        ("admin: {port: 8080}", ["1:15"]),
        ("admin: {port: 8080, host: 10.0.0.1}", []),
        ("admin: {port: 8080, unix: /run/x}", []),
        ("listen: {unix: /run/x}\nadmin: {port: 8080}", []),
        ("pool: {projects: [{name: a, keys: [{env: A}]}]}\nadmin: {token: {env: B}}", []),
        ("pool: {projects: [{name: a, keys: [{env: A}]}]}\nadmin: {token: {env: A}}", ["2:16"]),
        ("admin: {token: {env: I}}", ["1:16"]),
        ("models: {successors: {gemini-a: {model: gemini-b, from: 2027-01-01}}}", []),
        ("models: {successors: {gemini-2.5-pro: {model: gemini-2.5-pro}}}", []),
        (
            "models: {successors: {gemini-a: {model: gemini-b}, gemini-b: {model: gemini-a}}}",
            ["1:33", "1:62"],
        ),
        (
            "models: {successors: {gemini-3.8-flash: {model: gemini-3.7-flash}}}",
            ["1:41"],
        ),  # and shipped: the other way
        ("models: {successors: {gpt-4o: {model: gemini-a}}}", ["1:31"]),
        ("models: {successors: {gemini-a: {model: gpt-4o}}}", ["1:33"]),
        ("models: {aliases: {gpt: gemini-a}, successors: {gpt: {model: gemini-b}}}", ["1:54"]),
        ("models: {default: gemni-2.5-pro}", ["1:19"]),
        ("models: {embeddings: gemni}", ["1:22"]),
        ("models: {default: mine, unknown: forward}", []),
        ("models: {default: mine-1, prefixes: [mine-], embeddings: mine-2}", []),
        ("models: {image: gemini-2.5-flash-image, live: gemini-3.8-live-extended-thinking}", []),
        ("models: {image: gemini-2.5-flash, speech: gemni-tts}", ["1:17", "1:43"]),
        ("models: {image: gemini-9-paint}", ["1:17"]),
        ("models: {image: gemini-9-paint}\nabilities: {gemini-9-*: {kind: image}}", []),
        (
            "models: {image: gemini-9-paint}\nabilities: {gemini-9-*: {kind: picture}}",
            [],
        ),  # a fault of its own
        ("models: {successors: {mine: {model: yours}}, unknown: forward}", []),
        ("ledger: {prices: {gemini-a: [{input: 1}, {from: 2027-01-01, input: 2}]}}", []),
        ("ledger: {prices: {gemini-a: [{input: 1}, {input: 2}]}}", ["1:29"]),
        ("ledger: {prices: {gemini-a: [{from: 2027-01-02}, {from: 2027-01-01}]}}", ["1:29"]),
        ("ledger: {prices: {gemini-a: []}}", ["1:29"]),
        ("ledger: {prices: {gpt-4o: {input: 1}}}", ["1:27"]),
        ("ledger: {prices: {'*': {input: 1}}}", []),
    ],
)
def test_each_contradiction_has_its_place(text: str, places: list[str]) -> None:
    source = Source(text, "g.yaml", {"A": "AQ.a", "B": "AQ.b", "I": "sk-gw-x"})
    faults = contradictions(source.decode(GatewayConfig), source)

    assert [f"{fault.line}:{fault.column}" for fault in faults] == places
