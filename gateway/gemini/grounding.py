"""Sources of an answer: Gemini's grounding and citation metadata as citations of the text.

Gemini's segments are byte offsets of the UTF-8 text (https://ai.google.dev/api/generate-content#Segment); citations
here count code points, as OpenAI's `url_citation` does.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw, Struct, structs

from gateway.gemini.usage import TokenCounts
from gateway.gemini.wire import (
    CitationMetadata,
    GroundingChunk,
    GroundingMetadata,
    Segment,
    decode_grounding,
)

_BACKWARDS = 200
"""Bytes before a segment's start from which its text is searched for, if the offsets are wrong."""
_MOST_SEARCHED = 2**21
"""Bytes of one answer that such searches may read. Later segments keep their offsets."""
_BLOCK = 512
"""Bytes of the text between two counts of its code points."""
_CONTINUATION = bytes(range(0x80, 0xC0))
"""UTF-8's bytes that continue a character (RFC 3629, section 3)."""


_MOST_CITATIONS = 1000
"""Citations of one candidate. Google's answers have tens; each costs 1 KB and more in an answer, and an upstream can
ask for 1,000 of them in 4 KB, because a support names its sources by number."""
_MOST_OF_SUPPORT = 50
"""Sources of one support that are cited."""
_REPEATED = 20
"""Times that each citation may come, on average."""
_MOST_NAMED = 512 * 1024
"""Characters of the URLs and titles of all citations: each citation repeats those of its source."""


class Citation(Struct, frozen=True, gc=False):
    """A source and the code points of the text that it supports, the end exclusive; 0, 0 for none in particular.

    A document of a file store has a title and no URL.
    """

    start: int
    end: int
    url: str
    title: str


class ToolUses(NamedTuple):
    """Uses of Google's tools in one answer that are billed beside its tokens."""

    searches: int = 0
    """Different queries of Google's search."""
    maps: int = 0
    """1 if places of Google Maps ground the answer: the prompt is billed, not the query
    (https://ai.google.dev/gemini-api/docs/maps-grounding)."""

    def without(self, earlier: Sequence[TokenCounts]) -> "ToolUses":
        """Return the uses that are not in the counts of earlier calls."""
        searches, maps = (sum(counts.searches for counts in earlier), sum(counts.maps for counts in earlier))
        return ToolUses(max(0, self.searches - searches), max(0, self.maps - maps))


def tool_uses(metadata: Iterable[Raw]) -> ToolUses:
    """Return the uses of search and Maps in the groundingMetadata of an answer.

    Where places are all its sources, `webSearchQueries` are what Maps was asked, as in the answer on that page.
    """
    queries: set[str] = set()
    maps = 0
    for raw in metadata:
        try:
            grounding = decode_grounding(raw)
        except (msgspec.DecodeError, RecursionError):
            continue
        places = [chunk.maps is not None for chunk in grounding.grounding_chunks or ()]
        if any(places):
            maps = 1
        if not places or not all(places):
            queries.update(grounding.web_search_queries or ())
    return ToolUses(len(queries - {""}), maps)


class Citations:
    """Different citations of one candidate, in order, up to a bound of their number and size."""

    def __init__(self, offsets: "Offsets", most: int = _MOST_CITATIONS) -> None:
        self._offsets = offsets
        self._most = most
        self._named = self._read = 0
        self._citations: dict[Citation, None] = {}
        self.left_out = 0
        """Citations above a bound, repetitions included."""

    @property
    def all(self) -> list[Citation]:
        """The citations."""
        return list(self._citations)

    def add_grounding(self, metadata: GroundingMetadata) -> None:
        """Add a citation for each pair of support and source, in their order."""
        sources = [_source(chunk) for chunk in metadata.grounding_chunks or ()]
        if not metadata.grounding_supports:
            for source in sources:
                if source is not None:
                    self._add(0, 0, source)
            return
        for support in metadata.grounding_supports:
            indices = support.grounding_chunk_indices or ()
            if self._is_full:
                self.left_out += len(indices)
                continue
            start, end = self._offsets.of(support.segment)
            for source in _cited(islice(indices, _MOST_OF_SUPPORT), sources):
                self._add(start, end, source)
            self.left_out += max(0, len(indices) - _MOST_OF_SUPPORT)

    def add_recitation(self, metadata: CitationMetadata) -> None:
        """Add the citations of recited text. The unit of their offsets is not documented; bytes are assumed."""
        for source in metadata.citation_sources or metadata.citations or ():
            if not source.uri:
                continue
            if self._is_full:
                self.left_out += 1
                continue
            self._add(
                *self._offsets.of(Segment(source.start_index, source.end_index)), (_quoted(source.uri), "")
            )

    @property
    def _is_full(self) -> bool:
        return len(self._citations) >= self._most or self._read >= self._most * _REPEATED

    def _add(self, start: int, end: int, source: tuple[str, str]) -> None:
        self._read += 1
        citation = Citation(start, end, *source)
        if citation in self._citations:
            return
        size = len(citation.url) + len(citation.title)
        if self._is_full or self._named + size > _MOST_NAMED:
            self.left_out += 1
            return
        self._named += size
        self._citations[citation] = None


def source_urls(metadata: GroundingMetadata) -> list[str]:
    """Return the different URLs of the sources, as many as citations may name."""
    urls: dict[str, None] = {}
    size = 0
    for chunk in metadata.grounding_chunks or ():
        source = _source(chunk)
        if source is None or not source[0] or source[0] in urls:
            continue
        size += len(source[0])
        if len(urls) == _MOST_CITATIONS or size > _MOST_NAMED:
            break
        urls[source[0]] = None
    return list(urls)


def of_texts(citations: Iterable[Citation], ends: Sequence[int]) -> list[list[Citation]]:
    """Return the citations of each text of an answer that has several, with offsets in that text.

    `ends` are the code points of all texts to the end of each. A citation of several texts is given to each of them,
    and one of no text in particular to the last.
    """
    texts: list[list[Citation]] = [[] for _ in ends]
    for cited in citations if texts else ():
        if cited.end <= cited.start:
            texts[-1].append(structs.replace(cited, start=0, end=0))
            continue
        i = min(bisect_right(ends, cited.start), len(ends) - 1)
        while i < len(ends):
            begin = ends[i - 1] if i else 0
            if begin >= cited.end:
                break
            start, end = max(cited.start, begin) - begin, min(cited.end, ends[i]) - begin
            if end > start:
                texts[i].append(structs.replace(cited, start=start, end=end))
            i += 1
    return texts


def of_grounding(
    metadata: GroundingMetadata, offsets: "Offsets", most: int = _MOST_CITATIONS
) -> list[Citation]:
    """Return the different citations of grounding metadata."""
    citations = Citations(offsets, most)
    citations.add_grounding(metadata)
    return citations.all


def of_recitation(metadata: CitationMetadata, offsets: "Offsets") -> list[Citation]:
    """Return the different citations of recited text."""
    citations = Citations(offsets)
    citations.add_recitation(metadata)
    return citations.all


def sources(metadata: GroundingMetadata) -> list[tuple[str, str]]:
    """Return URL and title of the different sources, as many as citations may name."""
    named: dict[str, str] = {}
    size = 0
    for chunk in metadata.grounding_chunks or ():
        source = _source(chunk)
        if source is None or not source[0] or source[0] in named:
            continue
        size += len(source[0]) + len(source[1])
        if len(named) == _MOST_CITATIONS or size > _MOST_NAMED:
            break
        named[source[0]] = source[1]
    return list(named.items())


def _source(chunk: GroundingChunk) -> tuple[str, str] | None:
    """Return the URL and title of a chunk, or None for one without either.

    Chunks of File Search name a document and have no address (https://ai.google.dev/gemini-api/docs/file-search).
    """
    source = chunk.web or chunk.maps or chunk.retrieved_context
    if source is None or not (source.uri or source.title):
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


class Offsets:
    """Byte offsets of one text as code points. The text is read once, whatever the number of offsets."""

    def __init__(self, text: str) -> None:
        self._data = text.encode(errors="surrogatepass")
        self._is_ascii = len(self._data) == len(text)
        self._counts: list[int] = []
        """Code points that begin before each block; empty until an offset is asked for."""
        self._searched = 0

    def of(self, segment: Segment | None) -> tuple[int, int]:
        """Return start and end; if the segment's text is not at its offsets, those where it is."""
        if segment is None:
            return 0, 0
        start, end = max(0, segment.start_index), max(0, segment.end_index)
        text = segment.text.encode(errors="surrogatepass")
        if text and self._data[start:end] != text and self._searched < _MOST_SEARCHED:
            begin = max(0, start - _BACKWARDS)
            position = self._data.find(text, begin)
            self._searched += (position if position >= 0 else len(self._data)) - begin + len(text)
            if position >= 0:
                start, end = position, position + len(text)
        return self._characters(start), self._characters(end)

    def _characters(self, offset: int) -> int:
        """Return the whole characters before an offset."""
        offset = min(offset, len(self._data))
        if self._is_ascii:
            return offset
        if not self._counts:
            self._counts = list(accumulate(map(_begun, self._blocks()), initial=0))
        block = offset // _BLOCK
        count = self._counts[block] + _begun(self._data[block * _BLOCK : offset])
        inside = 0 < offset < len(self._data) and 0x80 <= self._data[offset] < 0xC0
        return count - inside  # a character that is cut in two does not count

    def _blocks(self) -> Iterator[bytes]:
        return (self._data[i : i + _BLOCK] for i in range(0, len(self._data), _BLOCK))


def _begun(data: bytes) -> int:
    """Return the characters that begin in a piece of UTF-8."""
    return len(data.translate(None, _CONTINUATION))


def is_of_domain(citation: Citation, domains: Iterable[str]) -> bool:
    """Return whether a cited page belongs to one of the domains, or to a subdomain.

    Google's URLs lead over a page of its own, and their title is the page's domain.
    """
    hosts = {_host(citation.url).lower(), citation.title.strip().lower()}
    return any(
        host == domain or host.endswith(f".{domain}") for host in hosts for domain in map(str.lower, domains)
    )
