"""Model names: aliases, prefixes, defaults and chains of fallbacks."""

from typing import Literal

import pytest

from gateway.errors import BadRequest, Forbidden, NotFound
from gateway.policy.clients.client_rules import Rules
from gateway.policy.models.catalog import Catalog, ModelRoute, ModelsConfig, alias_fault, fallback_fault

ALIASES = {"gpt-4o": "gemini-2.5-pro"}


@pytest.mark.parametrize(
    ("requested", "route"),
    [
        (None, ModelRoute("gemini-flash-latest")),
        ("", ModelRoute("gemini-flash-latest")),
        ("gemini-2.5-pro", ModelRoute("gemini-2.5-pro")),
        ("models/gemini-2.5-flash", ModelRoute("gemini-2.5-flash")),
        ("google/gemini-2.5-flash", ModelRoute("gemini-2.5-flash")),
        ("tunedModels/mine-1", ModelRoute("tunedModels/mine-1")),
        ("gpt-4o", ModelRoute("gemini-2.5-pro")),
        ("models/gpt-4o", ModelRoute("gemini-2.5-pro")),
        ("gpt-5", ModelRoute("gemini-flash-latest", substituted=True)),
        ("../../x", ModelRoute("gemini-flash-latest", substituted=True)),
    ],
)
def test_a_name_becomes_the_operators_model(requested: str | None, route: ModelRoute) -> None:
    assert Catalog(ModelsConfig(aliases=ALIASES)).resolve(requested) == route


@pytest.mark.parametrize("name", ["gemini-../x", "gemini-a/b", "gemini-%2e", "gemini-a?key=1", "gemini-a..b"])
def test_nothing_unsafe_gets_into_a_url(name: str) -> None:
    with pytest.raises(BadRequest) as caught:
        Catalog(ModelsConfig()).resolve(name)
    assert caught.value.param == "model"


def test_unknown_names_can_be_forwarded_or_rejected() -> None:
    assert Catalog(ModelsConfig(unknown="forward")).resolve("gpt-5") == ModelRoute("gpt-5")
    with pytest.raises(NotFound) as caught:
        Catalog(ModelsConfig(unknown="reject")).resolve("gpt-5")
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")


def test_the_default_and_aliases_must_be_names() -> None:
    with pytest.raises(ValueError, match="not a model name"):
        ModelsConfig(default="a b")


@pytest.mark.parametrize(
    ("requested", "route"),
    [
        ("gemini-2.5-pro:search", ModelRoute("gemini-2.5-pro", search=True)),
        ("gpt-4o-search-preview", ModelRoute("gemini-2.5-pro", search=True)),
        ("gpt-5-search-preview", ModelRoute("gemini-flash-latest", substituted=True, search=True)),
    ],
)
def test_a_suffix_asks_for_google_search(requested: str, route: ModelRoute) -> None:
    assert Catalog(ModelsConfig(aliases=ALIASES)).resolve(requested) == route


def test_the_default_depends_on_the_kind_of_model() -> None:
    catalog = Catalog(ModelsConfig())

    assert catalog.resolve(None, "gemini-embedding-001") == ModelRoute("gemini-embedding-001")
    assert catalog.resolve("text-embedding-ada-002", "gemini-embedding-001").substituted


def test_of_the_patterns_that_match_the_last_counts_and_no_model_follows_itself() -> None:
    chains = {"gemini-3-*": ("gemini-2.5-pro",), "gemini-3-pro*": ("gemini-3-pro-x", "gemini-2.5-flash")}
    catalog = Catalog(ModelsConfig(fallbacks=chains))

    assert catalog.fallbacks("gemini-3-flash") == ("gemini-2.5-pro",)
    assert catalog.fallbacks("gemini-3-pro-x") == ("gemini-2.5-flash",)
    assert catalog.fallbacks("gemini-2.5-pro") == ()


@pytest.mark.parametrize(
    ("aliases", "unknown", "fault"),
    [
        ({"a": "gemini-2.5-pro"}, "default", None),
        ({"a": "b", "b": "gemini-2.5-pro"}, "default", "'b' is an alias itself; name the model"),
        (
            {"a": "gpt-9"},
            "default",
            "'gpt-9' begins with none of models.prefixes, so it is not a Gemini model",
        ),
        ({"a": "gpt-9"}, "forward", None),
    ],
)
def test_faults_of_an_alias(aliases: dict[str, str], unknown: str, fault: str | None) -> None:
    assert alias_fault(ModelsConfig(aliases=aliases, unknown=unknown), "a") == fault  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pattern", "chain", "fault"),
    [
        ("gemini-3-*", ("gemini-2.5-pro",), None),
        ("g*", ("gemini-2.5-pro",), None),
        ("*", ("gemini-2.5-pro",), None),
        ("gpt-4o", ("gemini-2.5-pro",), "begins with none of models.prefixes, so it matches no model"),
        ("gpt-*", ("gemini-2.5-pro",), "begins with none of models.prefixes, so it matches no model"),
        ("gemini-3", ("gemini-3",), "'gemini-3' is its own fallback"),
        ("gemini-3", ("fast",), "'fast' is an alias; name the model"),
        ("gemini-3", ("gpt-9",), "'gpt-9' begins with none of models.prefixes, so it is not a Gemini model"),
    ],
)
def test_faults_of_a_chain(pattern: str, chain: tuple[str, ...], fault: str | None) -> None:
    config = ModelsConfig(aliases={"fast": "gemini-2.5-flash"}, fallbacks={pattern: chain})
    result = fallback_fault(config, pattern)

    assert result is fault is None or str(result).startswith(str(fault))


@pytest.mark.row("A5")
@pytest.mark.parametrize("unknown", ["default", "forward", "reject"])
@pytest.mark.parametrize(
    "name",
    [
        "gemini-" + "a" * 250,
        "x" * 257,
        "models/" * 40,
        "/" * 5_000_000,
        "é" * 257,
        "gemini-" + "a" * 243 + ":search",
    ],
)
def test_a05_a_name_that_is_longer_than_any_models_is_refused(
    name: str, unknown: Literal["default", "forward", "reject"]
) -> None:
    catalog = Catalog(ModelsConfig(unknown=unknown))
    for resolve in (catalog.resolve, lambda name: catalog.route(Rules(), name, issued=True)):
        with pytest.raises(BadRequest) as caught:
            resolve(name)
        assert (caught.value.param, caught.value.code) == ("model", "string_above_max_length")
        assert len(caught.value.message) < 200
    assert catalog.resolve("gemini-" + "a" * 249).model == "gemini-" + "a" * 249


@pytest.mark.parametrize("name", ["tunedModels/mine", "models/tunedModels/mine", "tunedModels/mine:search"])
def test_a_tuned_model_is_reached_with_an_issued_key_by_aliases_only(name: str) -> None:
    catalog = Catalog(ModelsConfig(aliases={"ours": "tunedModels/ours"}))
    own = Rules(aliases={"fast": "tunedModels/mine"})

    assert catalog.route(Rules(), name, issued=False).model == "tunedModels/mine"
    assert catalog.route(Rules(), "ours", issued=True).model == "tunedModels/ours"
    assert catalog.route(own, "fast", issued=True).model == "tunedModels/mine"
    with pytest.raises(Forbidden, match="of your own") as error:
        catalog.route(Rules(), name, issued=True)
    assert (error.value.code, error.value.param) == ("not_for_issued_keys", "model")
