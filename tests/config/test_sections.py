"""Bounds and defaults of the sections that are defined beside no policy and no store."""

from typing import Any

import msgspec
import pytest

from gateway.config.sections import DEFAULT_SAFETY, GatewayConfig, StreamConfig
from gateway.config.source import Source
from gateway.errors import ConfigError


def decoded(**sections: Any) -> GatewayConfig:
    return msgspec.convert(sections, GatewayConfig)


def test_an_empty_file_serves_on_the_loopback_address() -> None:
    config = decoded()

    assert (config.listen.host, config.listen.port, config.listen.unix) == ("127.0.0.1", 8080, None)
    assert config.upstream.base_url == "https://generativelanguage.googleapis.com"
    assert (config.upstream.api_version, config.upstream.proxy) == ("v1beta", None)
    assert (config.compat, config.drain, config.cors.origins) == ("lenient", 300.0, ("*",))
    assert (config.admin.port, config.admin.unix, config.admin.token) == (None, None, None)
    assert config.pool.projects == ()


def test_the_default_plugins_serve_every_api_in_the_order_of_their_routes() -> None:
    """`hello` answers every path that is left, so it is the last; `native` takes all of /v1beta."""
    assert list(decoded().plugins) == [
        "chat", "responses", "messages", "completions", "embeddings", "speech", "images", "transcription",
        "models", "files", "batches", "key", "native",
        "health", "hello",
    ]  # fmt: skip


def test_nothing_is_blocked_unless_the_operator_says_so() -> None:
    assert decoded().safety == DEFAULT_SAFETY
    assert set(DEFAULT_SAFETY.values()) == {"BLOCK_NONE"}
    assert decoded(safety={}).safety == {}


def test_two_configurations_share_no_mapping() -> None:
    decoded().safety.clear()
    decoded().plugins.clear()

    assert decoded().safety == DEFAULT_SAFETY
    assert decoded().plugins != {}


PROJECT = {"name": "a", "keys": [{"env": "A"}]}


@pytest.mark.parametrize(
    ("section", "field", "good", "bad"),
    [
        ("listen", "port", [0, 65535], [-1, 65536, "1"]),
        ("upstream", "base_url", ["http://a", "https://a:1/b/"], ["a", "ftp://a", "https://k@a", "https://a?b", "https://"]),
        ("upstream", "api_version", ["v1", "v1alpha", "v1beta"], ["v2", "v1gamma", "beta"]),
        ("upstream", "proxy", ["http://p:1", None], ["socks5://p", "p:1"]),
        ("stream", "first_byte_grace", [0.001, 86400], [0, -1, 86401]),
        ("stream", "keep_alive", [0.001, 86400], [0, -1, 86401]),
        ("stream", "write_timeout", [0.001, 86400], [0, -1, 86401]),
        ("state", "redis", ["redis://h:1/0", "rediss://h", "unix:///run/r"], ["redis://:password@h", "http://h"]),
        ("state", "machines", [1, 1000], [0, 1001]),
        ("admin", "port", [0, 65535, None], [-1, 65536]),
        ("cors", "origins", [[], ["https://a"]], ["*", [1]]),
        ("logging", "exchanges", [True, False], [1, "yes"]),
    ],
)  # fmt: skip
def test_a_value_passes_within_its_bounds(section: str, field: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        decoded(**{section: {field: value}})
    for value in bad:
        with pytest.raises(msgspec.ValidationError, match=rf"\$\.{section}\.{field}"):
            decoded(**{section: {field: value}})


@pytest.mark.parametrize("name", ["connect", "idle"])
def test_a_timeout_is_a_day_at_most(name: str) -> None:
    decoded(upstream={"timeouts": {name: 86400}})
    for value in (0, 86401):
        with pytest.raises(msgspec.ValidationError):
            decoded(upstream={"timeouts": {name: value}})


@pytest.mark.parametrize(("drain", "ok"), [(0.1, True), (86400, True), (0, False), (86401, False)])
def test_the_drain_is_a_day_at_most(drain: float, ok: bool) -> None:
    if ok:
        assert decoded(drain=drain).drain == drain
    else:
        with pytest.raises(msgspec.ValidationError):
            decoded(drain=drain)


@pytest.mark.parametrize(
    "safety", [{"HARM_CATEGORY_x": "OFF"}, {"HATE": "OFF"}, {"HARM_CATEGORY_HATE_SPEECH": "SOME"}]
)
def test_safety_has_googles_names(safety: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        decoded(safety=safety)


@pytest.mark.parametrize(
    "section",
    [
        "listen",
        "upstream",
        "stream",
        "cors",
        "logging",
        "pool",
        "ledger",
        "state",
        "admin",
        "limits",
        "media",
    ],
)
def test_an_unknown_key_is_a_mistake(section: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `oddity`"):
        decoded(**{section: {"oddity": 1}})
    with pytest.raises(msgspec.ValidationError, match="unknown field `oddity`"):
        decoded(oddity=1)


@pytest.mark.row("M3")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ledger: {prices: {gemini-9: {inptu: 3}}}", "unknown key 'inptu' in ledger.prices.gemini-9; did you mean 'input'?"),
        ("ledger: {prices: {gemini-9: [{input: 1}, {outptu: 2}]}}", "unknown key 'outptu' in ledger.prices.gemini-9.1"),
        ("ledger: {prices: {gemini-9: [{from: tomorrow}]}}", "ledger.prices.gemini-9.0.from: expected a day, such as 2026-12-01"),
        ("ledger: {prices: {gemini-9: 3}}", "ledger.prices.gemini-9: expected a mapping or a list, got a whole number"),
        ("ledger: {prices: {gemini-9: {input: -1}}}", "ledger.prices.gemini-9.input: expected a number >= 0"),
        ("ledger: {prices: {gemini-9: {factors: {flx: 1}}}}", "unknown key 'flx' in ledger.prices.gemini-9.factors; did you mean 'flex'?"),
        ("models: {successors: {gemini-9: gemini-8}}", "models.successors.gemini-9: expected a mapping, got a text"),
        ("models: {successors: {gemini-9: {modle: x}}}", "unknown key 'modle' in models.successors.gemini-9; did you mean 'model'?"),
        ("models: {successors: {gemini-9: {from: 2027-01-01}}}", "models.successors.gemini-9 needs 'model'"),
        ("models: {successors: {gemini-9: {model: a/b}}}", "'a/b' is not a model name"),
    ],
)  # fmt: skip
def test_m03_mistakes_in_prices_and_successors_are_told(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Source(text, "g.yaml", {}).decode(GatewayConfig)

    (fault,) = caught.value.faults
    assert message in str(fault)


@pytest.mark.row("G22")
def test_g22_a_stream_waits_15_s_for_content() -> None:
    """Claude Code warns its user after 20 s without a byte."""
    assert StreamConfig().first_byte_grace == 15
