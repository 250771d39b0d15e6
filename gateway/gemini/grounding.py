"""Sources of an answer: Gemini's grounding and citation metadata as citations of the text.

Gemini's segments are byte offsets of the UTF-8 text (https://ai.google.dev/api/generate-content#Segment); citations
here count code points, as OpenAI's `url_citation` does.
"""

from collections.abc import Iterable
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw, Struct

from gateway.gemini.wire import (
    CitationMetadata,
    GroundingChunk,
    GroundingMetadata,
    Segment,
    decode_grounding,
)

_BACKWARDS = 200
"""Bytes before a segment's start from which its text is searched for, if the offsets are wrong."""


class Citation(Struct, frozen=True, gc=False):
    """A source and the code points of the text that it supports, the end exclusive; 0, 0 for none in particular."""

    start: int
    end: int
    url: str
    title: str


def searches(metadata: Iterable[Raw]) -> int:
    """Return the number of different Google searches in groundingMetadata; they are billed beside the tokens."""
    queries: set[str] = set()
    for raw in metadata:
        try:
            queries.update(decode_grounding(raw).web_search_queries or ())
        except (msgspec.DecodeError, RecursionError):
            continue
    return len(queries - {""})


def of_grounding(metadata: GroundingMetadata, text: str) -> list[Citation]:
    """Return a citation for each pair of support and source, in their order."""
    sources = [_source(chunk) for chunk in metadata.grounding_chunks or ()]
    if not metadata.grounding_supports:
        return [Citation(0, 0, *source) for source in dict.fromkeys(sources) if source is not None]
    offsets = _Offsets(text)
    return [
        Citation(*offsets.of(support.segment), *source)
        for support in metadata.grounding_supports
        for source in _cited(support.grounding_chunk_indices or (), sources)
    ]


def of_recitation(metadata: CitationMetadata, text: str) -> list[Citation]:
    """Return the citations of recited text. The unit of their offsets is not documented; bytes are assumed."""
    offsets = _Offsets(text)
    return [
        Citation(*offsets.of(Segment(source.start_index, source.end_index)), _quoted(source.uri), "")
        for source in metadata.citation_sources or ()
        if source.uri
    ]


def _source(chunk: GroundingChunk) -> tuple[str, str] | None:
    """Return the URL and title of a chunk, or None for one without a URL."""
    source = chunk.web or chunk.maps or chunk.retrieved_context
    if source is None or not source.uri:
        return None
    return _quoted(source.uri), source.title or _host(source.uri)


def _cited(indices: Iterable[int], sources: list[tuple[str, str] | None]) -> Iterable[tuple[str, str]]:
    """Yield the sources at some indices, without those that do not exist."""
    for index in indices:
        source = sources[index] if 0 <= index < len(sources) else None
        if source is not None:
            yield source


def _quoted(uri: str) -> str:
    return uri.replace(" ", "%20")


def _host(uri: str) -> str:
    try:
        return urlsplit(uri).hostname or ""
    except ValueError:
        return ""


class _Offsets:
    """Byte offsets of one text as code points."""

    def __init__(self, text: str) -> None:
        self._data = text.encode(errors="surrogatepass")

    def of(self, segment: Segment | None) -> tuple[int, int]:
        """Return start and end; if the segment's text is not at its offsets, those where it is."""
        if segment is None:
            return 0, 0
        start, end = max(0, segment.start_index), max(0, segment.end_index)
        text = segment.text.encode(errors="surrogatepass")
        if text and self._data[start:end] != text:
            position = self._data.find(text, max(0, start - _BACKWARDS))
            if position >= 0:
                start, end = position, position + len(text)
        return self._characters(start), self._characters(end)

    def _characters(self, offset: int) -> int:
        return len(self._data[:offset].decode(errors="ignore"))
