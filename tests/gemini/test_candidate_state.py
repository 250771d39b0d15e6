"""State of a candidate, and the citations of its text."""

from msgspec import Raw

from gateway.gemini.candidate_state import CandidateState
from gateway.gemini.wire import CitationMetadata, CitationSource


def test_citations_count_characters_of_the_whole_text() -> None:
    state = CandidateState()
    state.text.extend(["Zü", "rich"])
    state.citations = (CitationMetadata([CitationSource(0, 3, "https://a.example")]),)
    state.grounding = (Raw(b"[1]"), Raw(b'{"groundingChunks":[{"web":{"uri":"https://b.example"}}]}'))
    cited, left_out = state.cited(2)

    assert [(c.start, c.end, c.url) for c in cited.citations] == [
        (0, 0, "https://b.example"),
        (0, 2, "https://a.example"),
    ]
    assert (cited.index, left_out) == (2, 0)
    assert cited.metadata == state.grounding[1]


def test_a_call_is_no_content_but_not_nothing() -> None:
    state = CandidateState()
    assert state.is_empty
    assert not state.has_sources

    state.call_ids["c"] = None
    assert not state.is_empty
