"""A conversation becomes calls of Gemini: its model, its choices, its files and its fallbacks."""

import threading
from time import time

import pytest
from msgspec import structs

from gateway.conversation import parts
from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.generation import Sampling
from gateway.conversation.plain import PlainConversation
from gateway.conversation.translation import translate
from gateway.errors import BadRequest, Forbidden
from gateway.exchange.context import RequestContext, dry_context
from gateway.exchange.preparation import PreparedRequest, RequestOptions
from gateway.gemini.wire import Blob, Content, Part
from gateway.plugin import SERVICES, Services
from gateway.policy.clients.access import Client
from gateway.policy.clients.client_rules import Rules
from tests.support.servers import Serve

CLIENT = Client("AQ.key", "f", "scope")
CHAIN = "models: {fallbacks: {gemini-3-*: [gemini-2.5-flash, gemini-2.0-flash]}}"


def said(text: str = "hi") -> ConversationBuilder:
    builder = ConversationBuilder("messages")
    builder.turn("user", text, "messages[0]")
    return builder


async def services_of(serve: Serve, config: str = "") -> Services:
    await serve(config)
    return serve.app[SERVICES]


async def prepared(
    services: Services,
    options: RequestOptions,
    conversation: ConversationBuilder | None = None,
    client: Client = CLIENT,
    cache: float = 0.0,
) -> tuple[PreparedRequest, RequestContext]:
    context = structs.replace(dry_context(client), cache=cache)
    request = await services.preparation.prepare(conversation or said(), options, context)
    return request, context


async def test_the_model_is_the_one_that_the_clients_name_stands_for(serve: Serve) -> None:
    services = await services_of(
        serve, "models: {aliases: {gpt-4o: gemini-2.5-pro}, default: gemini-2.5-flash}"
    )

    alias, context = await prepared(services, RequestOptions("gpt-4o", stream=True))
    unknown, _ = await prepared(services, RequestOptions("claude-5"))

    assert (alias.call.model, alias.call.stream, alias.notes) == ("gemini-2.5-pro", True, [])
    assert (context.report.model, context.report.requested_model) == ("gemini-2.5-pro", "gpt-4o")
    assert context.report.stream is True
    assert (unknown.call.model, unknown.notes) == ("gemini-2.5-flash", ["model"])


async def test_notes_are_in_the_report_if_there_are_any(serve: Serve) -> None:
    services = await services_of(serve)
    conversation = said()
    conversation.notes.add("user")

    noted, context = await prepared(services, RequestOptions("gemini-2.5-flash"), conversation)
    _, silent = await prepared(services, RequestOptions("gemini-2.5-flash"))

    assert noted.notes == context.report.notes == ["user"]
    assert silent.report.notes is None


async def test_each_choice_is_a_call_with_a_seed_of_its_own(serve: Serve) -> None:
    services = await services_of(serve, "limits: {choices: 3}")
    conversation = said()
    conversation.sample(Sampling(seed=5), {})

    several, _ = await prepared(services, RequestOptions("gemini-2.5-flash", choices=3), conversation)
    single, _ = await prepared(services, RequestOptions("gemini-2.5-flash"), conversation)

    seeds = [getattr(choice.call.request.generation_config, "seed", None) for choice in several.choices]
    assert seeds == [5, 6, 7]
    assert [(choice.number, choice.cacheable) for choice in several.choices] == [
        (0, False),
        (1, False),
        (2, False),
    ]
    assert [(choice.number, choice.cacheable) for choice in single.choices] == [(0, True)]


async def test_more_choices_than_allowed_are_refused_at_the_clients_field(serve: Serve) -> None:
    services = await services_of(serve, "limits: {choices: 2}")

    with pytest.raises(BadRequest, match="at most 2 choices, but the request asks for 3") as caught:
        await prepared(services, RequestOptions("m", choices=3, choices_at="best_of"))

    assert (caught.value.param, caught.value.code) == ("best_of", "unsupported_value")


@pytest.mark.parametrize(("choices", "cache", "cached"), [(2, 60.0, "off"), (1, 60.0, None), (2, 0.0, None)])
async def test_several_choices_are_not_cached(
    serve: Serve, choices: int, cache: float, cached: str | None
) -> None:
    services = await services_of(serve)

    _, context = await prepared(services, RequestOptions("gemini-2.5-flash", choices=choices), cache=cache)

    assert context.report.cached == cached


async def test_a_model_that_the_clients_key_must_not_use_is_refused(serve: Serve) -> None:
    services = await services_of(serve)
    client = Client("", "f", "scope", "k", rules=Rules(models=("gemini-2.5-*",)))

    with pytest.raises(Forbidden):
        await prepared(services, RequestOptions("gemini-3-flash-preview"), client=client)


async def test_a_remote_file_is_fetched_before_the_translation(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = await services_of(serve)
    asked: list[dict[str, str]] = []

    async def fetch(urls: dict[str, str], _: object) -> dict[str, Blob]:
        asked.append(urls)
        return dict.fromkeys(urls, Blob("image/png", "AAAA"))

    monkeypatch.setattr(services.media, "fetch", fetch)
    conversation = ConversationBuilder("messages")
    conversation.turn("user", [parts.at_url("https://x.example/a.png", "here")], "messages[0]")

    request, _ = await prepared(services, RequestOptions("gemini-2.5-flash"), conversation)
    await prepared(services, RequestOptions("gemini-2.5-flash"))

    assert asked == [{"https://x.example/a.png": "here"}]
    assert (request.call.request.contents[0].parts or [])[0].inline_data == Blob("image/png", "AAAA")


async def test_fallbacks_are_those_that_the_key_may_use(serve: Serve) -> None:
    services = await services_of(serve, CHAIN)
    client = Client("", "f", "scope", "k", rules=Rules(models=("gemini-3-*", "gemini-2.0-*")))

    free, _ = await prepared(services, RequestOptions("gemini-3-flash-preview"))
    limited, _ = await prepared(services, RequestOptions("gemini-3-flash-preview"), client=client)
    other, _ = await prepared(services, RequestOptions("gemini-2.5-pro"))

    plans = [request.choices[0].fallbacks for request in (free, limited, other)]
    assert [plan.models if plan is not None else None for plan in plans] == [
        ["gemini-2.5-flash", "gemini-2.0-flash"],
        ["gemini-2.0-flash"],
        None,
    ]


async def test_a_fallback_is_translated_for_its_own_model(serve: Serve) -> None:
    services = await services_of(serve, CHAIN)
    conversation = said()
    conversation.think("effort", effort="low")

    request, _ = await prepared(services, RequestOptions("gemini-3-flash-preview"), conversation)
    plan = request.choices[0].fallbacks
    assert plan is not None
    budget, none = [await plan.translate(model) for model in plan.models]

    assert budget is not None
    assert none is not None
    config = budget.call.request.generation_config
    assert config is not None
    assert config.thinking_config is not None
    assert config.thinking_config.thinking_budget == 1024
    assert (budget.notes, none.notes) == ([], ["effort"])


async def test_a_fallback_that_cannot_be_asked_the_same_is_left_out(serve: Serve) -> None:
    services = await services_of(
        serve, "models: {fallbacks: {gemini-3-*: [gemma-3-27b-it, gemini-2.5-flash]}}"
    )
    conversation = said()
    conversation.tools.function("f", None, None, "tools[0]", "tools[0]")

    request, _ = await prepared(services, RequestOptions("gemini-3-flash-preview"), conversation)
    plan = request.choices[0].fallbacks

    assert plan is not None
    assert await plan.translate("gemma-3-27b-it") is None
    assert await plan.translate("gemini-2.5-flash") is not None


async def test_an_issued_keys_file_binds_the_call_to_its_project(serve: Serve) -> None:
    services = await services_of(serve)
    client = Client("", "f", "scope", "k")
    await services.file_owners.keep(client.scope, ["files/abc"], "p1", time())

    conversation = ConversationBuilder("messages")
    conversation.turn("user", [parts.file_id("files/abc", "at", "text/csv")], "messages[0]")
    own, _ = await prepared(services, RequestOptions("gemini-2.5-flash"), conversation, client)
    none, _ = await prepared(services, RequestOptions("gemini-2.5-flash"), client=client)

    assert (own.call.project, none.call.project) == ("p1", "")


async def test_a_heavy_request_is_translated_all_the_same(serve: Serve) -> None:
    services = await services_of(serve)

    heavy, _ = await prepared(services, RequestOptions("gemini-2.5-flash", heavy=True, cache_key="c"))
    light, _ = await prepared(services, RequestOptions("gemini-2.5-flash"))

    assert heavy.call.request == light.call.request
    assert (heavy.call.heavy, heavy.call.cache_key) == (True, "c")


@pytest.mark.row("A3", "A4")
@pytest.mark.parametrize(("references", "heavy"), [(4, False), (60, True)])
async def test_a04_a_small_body_that_inlines_much_is_translated_in_a_thread(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, references: int, heavy: bool
) -> None:
    services = await services_of(serve)
    threads: list[str] = []

    def watched(*arguments: object) -> object:
        threads.append(threading.current_thread().name)
        return translate(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("gateway.exchange.preparation.translate", watched)
    conversation = said()
    target = {"type": "object", "properties": {f"k{i}": {} for i in range(100)}}
    schema = {
        "type": "object",
        "$defs": {"T": target},
        "properties": {f"p{i}": {"$ref": "#/$defs/T", "title": ""} for i in range(references)},
    }
    conversation.tools.function("f", None, schema, "tools[0]", "tools[0].parameters")
    request, _ = await prepared(services, RequestOptions("gemini-2.5-flash"), conversation)

    main = threading.main_thread().name
    assert [name == main for name in threads] == ([True, False] if heavy else [True])
    assert request.call.heavy is heavy
    tools = request.call.request.tools or []
    declared = (tools[0].function_declarations or [])[0].parameters_json_schema or {}
    assert len(declared["properties"][f"p{references - 1}"]["properties"]) == 100


PLAIN = PlainConversation([Content([Part("hi")], "user")], None, said)


async def test_a_plain_conversation_is_prepared_at_once_as_by_the_long_way(serve: Serve) -> None:
    services = await services_of(serve)
    options, context = RequestOptions("claude-5", stream=True), dry_context(CLIENT)

    plain = services.preparation.prepare_plain(PLAIN, options, context)
    long, long_context = await prepared(services, options)

    assert plain is not None
    assert (plain.call.path, plain.call.encode()) == (long.call.path, long.call.encode())
    assert (plain.notes, plain.rules, plain.keys) == (long.notes, long.rules, long.keys)
    assert plain.notes
    assert context.report == long_context.report


@pytest.mark.parametrize(
    ("model", "thoughts", "config"),
    [("gemini-2.5-flash:search", False, ""), ("gemini-2.5-flash", True, ""), ("gemini-3-pro", False, CHAIN)],
)
async def test_what_needs_more_than_a_plain_call_is_left_to_the_long_way(
    serve: Serve, model: str, thoughts: bool, config: str
) -> None:
    services = await services_of(serve, config)
    options = RequestOptions(model, show_thoughts=thoughts)

    plain = services.preparation.prepare_plain(PLAIN, options, dry_context(CLIENT))
    whole = await services.preparation.prepare(PLAIN, options, dry_context(CLIENT))
    long, _ = await prepared(services, options)

    assert plain is None
    assert whole.call.encode() == long.call.encode()
