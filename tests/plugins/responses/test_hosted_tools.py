"""Hosted tools in a request: each option is carried, told in words or noted, and strict mode refuses what is not."""

from typing import Any

import pytest

from gateway.errors import UnsupportedParameter
from tests.plugins.responses.test_hosted_items import WAYS, answered, chunk, grounding
from tests.support.responses import gemini_body, translation

PLACE = {"type": "approximate", "country": "DE", "city": "Berlin", "timezone": "Europe/Berlin"}


def search(**options: Any) -> dict[str, Any]:
    return {"input": "x", "tools": [{"type": "web_search", **options}]}


@pytest.mark.row("G15")
@pytest.mark.parametrize("kind", ["web_search", "web_search_preview", "web_search_2025_08_26"])
def test_g15_the_location_of_a_search_is_told_in_words(kind: str) -> None:
    request = {"input": "x", "tools": [{"type": kind, "user_location": PLACE}]}

    assert gemini_body(request)["systemInstruction"]["parts"] == [
        {"text": "The user is located in Berlin, DE (Europe/Berlin)."}
    ]
    assert translation(request).notes == []


@pytest.mark.row("G15")
def test_g15_domains_are_asked_for_in_words_and_noted() -> None:
    request = search(
        filters={"allowed_domains": ["example.org", "a.example"], "blocked_domains": ["b.example"]}
    )

    assert [part["text"] for part in gemini_body(request)["systemInstruction"]["parts"]] == [
        "Search and use only pages of: example.org, a.example.", "Do not use pages of: b.example.",
    ]  # fmt: skip
    assert translation(request).notes == ["tools[0].filters"]
    with pytest.raises(UnsupportedParameter) as refused:
        translation(request, strict=True)
    assert refused.value.param == "tools[0].filters"


@pytest.mark.row("G15")
@WAYS
def test_g15_sources_of_other_domains_are_not_cited(*, streamed: bool) -> None:
    chunks = [
        {"web": {"uri": "https://vertexaisearch.example/1", "title": title}}
        for title in ("a.org", "b.com", "x.A.org")
    ]
    supports = [{"segment": {"endIndex": 1, "text": "x"}, "groundingChunkIndices": [0, 1, 2]}]
    response, _ = answered(
        search(filters={"allowed_domains": ["a.org"]})["tools"],
        chunk({"text": "x"}, groundingMetadata=grounding(groundingChunks=chunks, groundingSupports=supports)),
        streamed=streamed,
    )

    assert [a["title"] for a in response["output"][0]["content"][0]["annotations"]] == ["a.org", "x.A.org"]


@pytest.mark.row("G15")
@pytest.mark.parametrize(
    ("request_", "note"),
    [
        (search(search_context_size="high"), "tools[0].search_context_size"),
        (search(search_content_types=["image"]), "tools[0].search_content_types"),
        (search(external_web_access=False), "tools[0].external_web_access"),
        (search(user_location={"type": "approximate", "planet": "Mars"}), "tools[0].user_location"),
        ({"input": "x", "text": {"verbosity": "low"}}, "text.verbosity"),
        ({"input": "x", "include": ["reasoning.encrypted_content", "web_search_call.results"]}, "include[1]"),
        ({"input": "x", "web_search_options": {"search_context_size": "low"}},
         "web_search_options.search_context_size"),
        ({"input": "x", "tools": [{"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["f"]}}]},
         "tools[0].container.file_ids"),
        ({"input": "x", "tools": [{"type": "code_interpreter", "container": {"memory_limit": "1g"}}]},
         "tools[0].container.memory_limit"),
        ({"input": "x", "tools": [{"type": "code_interpreter", "container": "cntr_1"}]}, "tools[0].container"),
    ],
)  # fmt: skip
def test_g15_an_option_that_no_tool_of_gemini_has_is_noted(request_: dict[str, Any], note: str) -> None:
    assert translation(request_).notes == [note]


@pytest.mark.row("G15")
@WAYS
def test_g15_a_search_has_its_sources(*, streamed: bool) -> None:
    response, _ = answered(
        [{"type": "web_search"}],
        chunk({"text": "Gold."}, groundingMetadata=grounding((0, 5, "Gold."))),
        streamed=streamed,
        include=["web_search_call.action.sources"],
    )

    assert response["output"][1]["action"]["sources"] == [{"type": "url", "url": "https://k.example/x"}]


def test_what_asks_for_nothing_is_not_noted() -> None:
    request = search(user_location=None, filters=None, search_context_size=None, external_web_access=True)

    assert translation({**request, "text": {"verbosity": "medium"}}).notes == []
