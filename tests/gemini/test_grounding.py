"""Grounding and recitation as citations, and the number of billed searches."""

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from gateway.gemini.grounding import (
    Citation,
    Citations,
    Offsets,
    is_of_domain,
    of_grounding,
    of_recitation,
    of_texts,
    source_urls,
    tool_uses,
)
from gateway.gemini.usage import TokenCounts
from gateway.gemini.wire import CitationMetadata, GroundingChunk, GroundingMetadata, Segment, Source

TEXT = "Zürich is sunny. Oslo is not."
WEB = [{"web": {"uri": "https://z.example/a b", "title": "Z"}}, {"maps": {"uri": "https://o.example/x"}}]


def grounding(
    supports: list[dict[str, Any]] | None, chunks: list[dict[str, Any]] | None = None
) -> GroundingMetadata:
    fields = {"groundingChunks": WEB if chunks is None else chunks, "groundingSupports": supports}
    return msgspec.convert(fields, GroundingMetadata)


def support(start: int, end: int, *indices: int, text: str = "") -> dict[str, Any]:
    segment = {"startIndex": start, "endIndex": end, "text": text}
    return {"segment": segment, "groundingChunkIndices": list(indices)}


def test_byte_offsets_become_code_points() -> None:
    second = support(18, 30, 1, text="Oslo is not.")
    citations = of_grounding(grounding([support(0, 17, 0), second]), Offsets(TEXT))

    assert [TEXT[citation.start : citation.end] for citation in citations] == [
        "Zürich is sunny.",
        "Oslo is not.",
    ]
    assert [citation.url for citation in citations] == ["https://z.example/a%20b", "https://o.example/x"]
    assert [citation.title for citation in citations] == ["Z", "o.example"]


def test_a_text_that_is_not_at_its_offsets_is_searched_for() -> None:
    (right,) = of_grounding(grounding([support(3, 9, 0, text="Oslo")]), Offsets(TEXT))
    (begin,) = of_grounding(grounding([support(3, 9, 0, text="Zürich")]), Offsets(TEXT))
    (unknown,) = of_grounding(grounding([support(0, 17, 0, text="Bergen")]), Offsets(TEXT))

    assert TEXT[right.start : right.end] == "Oslo"
    assert (begin.start, begin.end) == (0, 6)
    assert (unknown.start, unknown.end) == (0, 16)


def test_each_support_has_a_citation_for_each_of_its_sources() -> None:
    citations = of_grounding(grounding([support(0, 17, 0, 1, 7, -1)]), Offsets(TEXT))

    assert [citation.title for citation in citations] == ["Z", "o.example"]


def test_without_supports_each_source_counts_once_for_nothing_in_particular() -> None:
    chunks = [*WEB, WEB[0], {"web": {"uri": ""}}, {}, {"retrievedContext": {"uri": "http://[", "title": ""}}]

    assert of_grounding(grounding(None, chunks), Offsets(TEXT)) == [
        Citation(0, 0, "https://z.example/a%20b", "Z"),
        Citation(0, 0, "https://o.example/x", "o.example"),
        Citation(0, 0, "http://[", ""),
    ]


def test_a_support_without_a_segment_is_for_nothing_in_particular() -> None:
    (citation,) = of_grounding(grounding([{"groundingChunkIndices": [0]}]), Offsets(TEXT))

    assert (citation.start, citation.end) == (0, 0)


def test_recited_text_is_cited_with_its_place() -> None:
    sources = [{"startIndex": 0, "endIndex": 7, "uri": "https://r.example/a b"}, {"endIndex": 3}]
    citations = of_recitation(msgspec.convert({"citationSources": sources}, CitationMetadata), Offsets(TEXT))

    assert citations == [Citation(0, 6, "https://r.example/a%20b", "")]
    assert of_recitation(CitationMetadata(), Offsets(TEXT)) == []


@pytest.mark.parametrize(
    ("metadata", "number"),
    [
        ([], 0),
        ([b"{}"], 0),
        ([b'{"webSearchQueries":["a","b","a",""]}', b'{"webSearchQueries":["b","c"]}'], 3),
        ([b'{"webSearchQueries":5}', b'{"webSearchQueries":["a"]}'], 1),
    ],
)
def test_different_searches_are_counted(metadata: list[bytes], number: int) -> None:
    assert tool_uses(map(Raw, metadata)) == (number, 0)


MAPS = b'{"groundingChunks":[{"maps":{"uri":"https://maps.google.com/?cid=1"}}],"webSearchQueries":["food near me"]}'
BOTH = b'{"groundingChunks":[{"maps":{}},{"web":{"uri":"https://a.example"}}],"webSearchQueries":["a","b"]}'


@pytest.mark.parametrize(
    ("metadata", "uses"),
    [([MAPS], (0, 1)), ([MAPS, MAPS], (0, 1)), ([BOTH], (2, 1)), ([MAPS, BOTH], (2, 1)), ([b'{"groundingChunks":[]}'], (0, 0))],
)  # fmt: skip
def test_a_prompt_that_maps_grounds_is_counted_once_and_its_queries_are_no_searches(
    metadata: list[bytes], uses: tuple[int, int]
) -> None:
    assert tool_uses(map(Raw, metadata)) == uses


def test_uses_of_earlier_calls_are_not_counted_again() -> None:
    earlier = [TokenCounts(searches=1), TokenCounts(maps=1)]

    assert tool_uses([Raw(BOTH)]).without(earlier) == (1, 0)
    assert tool_uses([Raw(MAPS)]).without(earlier) == (0, 0)


@given(st.text(), st.integers(-5, 50), st.integers(-5, 50), st.text(max_size=3))
def test_any_segment_lies_in_the_text(text: str, start: int, end: int, words: str) -> None:
    (citation,) = of_grounding(grounding([support(start, end, 0, text=words)]), Offsets(text))

    assert 0 <= citation.start <= len(text)
    assert 0 <= citation.end <= len(text)


@given(st.text(alphabet="aé\u20ac\U0001f600", max_size=400), st.lists(st.integers(0, 1700), max_size=20))
def test_an_offset_counts_the_whole_characters_before_it(text: str, offsets: list[int]) -> None:
    data, by = text.encode() * 3, Offsets(text * 3)
    for offset in offsets:
        segment = Segment(offset, offset + 1)

        assert by.of(segment) == tuple(
            len(data[:end].decode(errors="ignore")) for end in (offset, offset + 1)
        )


@pytest.mark.row("A4")
def test_a04_thousands_of_supports_read_the_text_once() -> None:
    """Each support decoded the whole text before it: 20,000 of them in 2 MB took a minute."""
    text = "é" * 1_000_000
    supports = [support(i * 90, i * 90 + 2, 0) for i in range(20_000)]
    began = time.thread_time()
    citations = of_grounding(grounding(supports), Offsets(text), most=20_000)

    assert citations[100].start == 4500
    assert len(citations) == 20_000
    assert time.thread_time() - began < 3


@pytest.mark.row("A4")
def test_a04_segments_that_are_nowhere_are_not_searched_for_without_end() -> None:
    text = "a" * 1_000_000
    supports = [support(i, i + 2, 0, text="b" * 50) for i in range(20_000)]
    began = time.thread_time()
    citations = of_grounding(grounding(supports), Offsets(text), most=20_000)

    assert len(citations) == 20_000
    assert time.thread_time() - began < 3


@pytest.mark.row("A5")
def test_a05_sources_named_by_number_do_not_become_an_answer_of_a_gigabyte() -> None:
    """3,000 supports of 300 sources each are 4.8 MB of JSON and were 900,000 citations, 1.6 GB."""
    chunks = [{"web": {"uri": f"http://x/{i}", "title": "t"}} for i in range(3000)]
    supports = [support(i, i + 3, *range(300)) for i in range(3000)]
    citations = Citations(Offsets("h\u00e9llo " * 20_000))
    citations.add_grounding(grounding(supports, chunks))

    assert len(citations.all) == 1000
    assert citations.left_out == 900_000 - 1000
    assert [citation.url for citation in citations.all[49:51]] == ["http://x/49", "http://x/0"]


@pytest.mark.row("A5")
def test_a05_a_long_url_is_not_repeated_without_end() -> None:
    chunks = [{"web": {"uri": "http://x/" + "y" * 100_000, "title": "t"}}]
    citations = Citations(Offsets("a" * 900))
    citations.add_grounding(grounding([support(i, i + 1, 0) for i in range(900)], chunks))

    assert (len(citations.all), citations.left_out) == (5, 895)


@pytest.mark.row("A5")
def test_a05_recited_sources_are_bounded_with_the_others() -> None:
    sources = [{"startIndex": i, "endIndex": i + 1, "uri": "http://x"} for i in range(1200)]
    citations = Citations(Offsets("a" * 2000))
    citations.add_grounding(grounding([support(0, 1, 0)]))
    citations.add_recitation(msgspec.convert({"citationSources": sources}, CitationMetadata))

    assert (len(citations.all), citations.left_out) == (1000, 201)


@pytest.mark.row("A4")
def test_a04_one_citation_repeated_is_not_read_without_end() -> None:
    citations = Citations(Offsets("abc"))
    citations.add_grounding(grounding([support(0, 1, *[0] * 50)] * 2000))

    assert (len(citations.all), citations.left_out) == (1, 80_000)


@pytest.mark.row("T5")
def test_t05_each_text_has_its_own_citations_and_offsets() -> None:
    first, second, across, nowhere = (
        Citation(start, end, "u", "t") for start, end in ((0, 5), (5, 11), (3, 8), (0, 0))
    )

    assert of_texts([first, second, across, nowhere], [5, 11]) == [
        [Citation(0, 5, "u", "t"), Citation(3, 5, "u", "t")],
        [Citation(0, 6, "u", "t"), Citation(0, 3, "u", "t"), Citation(0, 0, "u", "t")],
    ]
    assert of_texts([first], []) == []
    assert of_texts([Citation(9, 99, "u", "t")], [5, 11]) == [[], [Citation(4, 6, "u", "t")]]


def test_urls_of_sources_come_once() -> None:
    chunk = GroundingChunk(web=Source("https://a.example/", "a"))

    assert source_urls(GroundingMetadata([chunk, chunk, GroundingChunk()])) == ["https://a.example/"]


@pytest.mark.parametrize(
    ("url", "title", "expected"),
    [
        ("https://sub.a.org/x", "t", True),
        ("https://redirect.example/x", "A.org", True),
        ("https://nota.org/", "t", False),
    ],
)
def test_a_page_belongs_to_a_domain_by_its_host_or_title(url: str, title: str, expected: bool) -> None:
    assert is_of_domain(Citation(0, 0, url, title), ["a.org"]) is expected


@pytest.mark.row("T10")
def test_t10_a_document_without_an_address_is_cited_by_its_title() -> None:
    chunks = [
        {"retrievedContext": {"title": "handbook.pdf", "text": "x"}},
        {"retrievedContext": {"text": "y"}},
    ]

    cited = of_grounding(grounding([support(0, 16, 0, 1)], chunks), Offsets(TEXT))

    assert cited == [Citation(0, 15, "", "handbook.pdf")]
    assert source_urls(grounding(None, chunks)) == []
