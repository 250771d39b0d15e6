"""Where an answer's text comes from: Gemini's byte offsets as code points of the message (translation.md C.10)."""

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
"""Bytes before the told place where a segment that is not there is looked for."""


class Citation(Struct, frozen=True, gc=False):
    """Code points of the text, the end exclusive; a source that supports nothing in particular has 0, 0."""

    start: int
    end: int
    url: str
    title: str


def searches(found: Iterable[Raw]) -> int:
    """How many different searches the grounding of an answer tells of: they are billed beside its tokens."""
    queries: set[str] = set()
    for raw in found:
        try:
            queries.update(decode_grounding(raw).web_search_queries or ())
        except (msgspec.DecodeError, RecursionError):
            continue
    return len(queries - {""})


def of_grounding(metadata: GroundingMetadata, text: str) -> list[Citation]:
    """One citation for each support and source, in their order."""
    sources = [_source(chunk) for chunk in metadata.grounding_chunks or ()]
    place = _Places(text)
    found = [
        Citation(*place.of(support.segment), *source)
        for support in metadata.grounding_supports or ()
        for source in _cited(support.grounding_chunk_indices or (), sources)
    ]
    if not metadata.grounding_supports:
        found = [Citation(0, 0, *source) for source in dict.fromkeys(sources) if source is not None]
    return found


def of_recitation(metadata: CitationMetadata, text: str) -> list[Citation]:
    """Text recited from elsewhere; the unit of these offsets is not documented, and taken for bytes."""
    place = _Places(text)
    return [
        Citation(*place.of(Segment(source.start_index, source.end_index)), _quoted(source.uri), "")
        for source in metadata.citation_sources or ()
        if source.uri
    ]


def _source(chunk: GroundingChunk) -> tuple[str, str] | None:
    """(url, title), or None for a chunk without an address."""
    source = chunk.web or chunk.maps or chunk.retrieved_context
    if source is None or not source.uri:
        return None
    return _quoted(source.uri), source.title or _host(source.uri)


def _cited(indices: Iterable[int], sources: list[tuple[str, str] | None]) -> Iterable[tuple[str, str]]:
    found = (sources[i] for i in indices if 0 <= i < len(sources))
    return (source for source in found if source is not None)


def _quoted(uri: str) -> str:
    return uri.replace(" ", "%20")


def _host(uri: str) -> str:
    try:
        return urlsplit(uri).hostname or ""
    except ValueError:
        return ""


class _Places:
    """Byte offsets of one text as code points."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._data = text.encode(errors="surrogatepass")

    def of(self, segment: Segment | None) -> tuple[int, int]:
        """(start, end); where the told bytes are not the told text, where that text stands."""
        if segment is None:
            return 0, 0
        start, end = max(0, segment.start_index), max(0, segment.end_index)
        told = segment.text.encode(errors="surrogatepass")
        if told and self._data[start:end] != told:
            found = self._data.find(told, max(0, start - _BACKWARDS))
            if found >= 0:
                start, end = found, found + len(told)
        return self._characters(start), self._characters(end)

    def _characters(self, offset: int) -> int:
        return len(self._data[:offset].decode(errors="ignore"))
