"""Messages, tools that Google runs: their calls and results as Anthropic's server tool blocks.

A search is a `server_tool_use` with a `web_search_tool_result`, a page that was read one with a
`web_fetch_tool_result`, and code one with a `code_execution_tool_result`
(https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/web-search-tool#response).
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from gateway.gemini.events import Citations, CodePart, ServerTool
from gateway.gemini.grounding import sources
from gateway.gemini.wire import GroundingMetadata, decode_grounding

Object = dict[str, Any]
PREFIX = "srvtoolu_"
OWN = f"{PREFIX}g_"
"""The beginning of ids that Google has not given: the store has no part of them."""
SEARCH, FETCH, CODE = "web_search", "web_fetch", "code_execution"
KINDS = {SEARCH: "GOOGLE_SEARCH_WEB", FETCH: "URL_CONTEXT"}
"""Name of Anthropic's tool to Google's toolType. Every other kind is a search of something."""
_MOST_QUERIES = 100
"""Searches and pages of one answer that get blocks."""


class _UrlMetadata(Struct, rename="camel"):
    retrieved_url: str = ""
    url_retrieval_status: str | int = ""


class _UrlContext(Struct, rename="camel"):
    url_metadata: list[_UrlMetadata] = []


_decode_urls = msgspec.json.Decoder(_UrlContext).decode
_URL_OK = ("URL_RETRIEVAL_STATUS_SUCCESS", 1)


class ServerBlocks:
    """Makes the blocks of one message. `stem` makes their ids unique.

    Google names the sources of a search with the end of the answer. Results of searches wait for them.
    """

    def __init__(self, stem: str) -> None:
        self._stem = stem
        self._number = 0
        self.searches = self.fetches = 0
        """Requests that blocks tell of."""
        self._has_parts = False
        """Google has given parts of its searches and pages."""
        self._waiting: list[ServerTool] = []
        self._grounding: GroundingMetadata | None = None
        self._urls: list[_UrlMetadata] = []
        self._code_id = ""
        self._is_grounded = False

    def code(self, event: CodePart) -> list[Object]:
        """Return the blocks of code or of its result. A result that comes without its code gets an empty one."""
        blocks = []
        if event.source is not None or not self._code_id:
            self._code_id = self._id(event.id)
            blocks.append(_use(self._code_id, CODE, {"code": event.source or ""}))
        if event.source is None:
            output = event.output or ""
            result = {
                "type": "code_execution_result",
                "stdout": "" if event.failed else output,
                "stderr": output if event.failed else "",
                "return_code": int(event.failed),
                "content": [],
            }
            tool_use_id = f"{PREFIX}{event.id}" if event.id else self._code_id
            blocks.append(
                {"type": "code_execution_tool_result", "tool_use_id": tool_use_id, "content": result}
            )
        return blocks

    def call(self, event: ServerTool) -> Object:
        """Return the block of a call."""
        self._has_parts = True
        args = _object(event.args)
        name = FETCH if event.kind == KINDS[FETCH] else SEARCH
        if name == FETCH:
            urls = _texts(args, "urls", "url")
            self.fetches += max(1, len(urls))
            value: Object = {"url": urls[0] if urls else "", **args}
        else:
            queries = _texts(args, "queries", "query")
            self.searches += max(1, len(queries))
            value = {"query": "; ".join(queries), **args}
        if event.kind != KINDS[name]:
            value["tool_type"] = event.kind
        return _use(f"{PREFIX}{event.id}", name, value)

    def result(self, event: ServerTool) -> Object | None:
        """Return the block of a result, or None for one that waits for its sources."""
        self._has_parts = True
        if event.kind == KINDS[FETCH]:
            return _fetched(f"{PREFIX}{event.id}", _first_url(event), ok=True)
        if not self._is_grounded:
            self._waiting.append(event)
            return None
        return self._results(f"{PREFIX}{event.id}")

    def waiting(self) -> list[tuple[Object, str | None]]:
        """Return the blocks of results that waited for their sources, each with its thought signature."""
        waiting, self._waiting = self._waiting, []
        return [(self._results(f"{PREFIX}{event.id}"), event.signature) for event in waiting]

    def ground(self, event: Citations) -> None:
        """Take the sources of an answer."""
        if self._is_grounded:
            return
        self._is_grounded = True
        if event.metadata:
            try:
                self._grounding = decode_grounding(event.metadata)
            except (msgspec.DecodeError, RecursionError):
                self._grounding = None  # an unknown shape costs the blocks, not the answer
        if event.url_context:
            try:
                self._urls = _decode_urls(event.url_context).url_metadata
            except (msgspec.DecodeError, RecursionError):
                self._urls = []

    def of_metadata(self) -> list[Object]:
        """Return the blocks of searches and pages that Google tells of in the answer's metadata alone.

        Google does not say which search has found a source: the first has all.
        """
        blocks: list[Object] = []
        if self._has_parts or not self._is_grounded:
            return blocks
        self._has_parts = True  # they are told once
        queries = self._queries()
        for query in queries[:_MOST_QUERIES]:
            self.searches += 1
            use_id = self._id("")
            blocks += [_use(use_id, SEARCH, {"query": query}), self._results(use_id)]
        for page in self._urls[:_MOST_QUERIES]:
            self.fetches += 1
            use_id = self._id("")
            ok = page.url_retrieval_status in _URL_OK
            blocks += [
                _use(use_id, FETCH, {"url": page.retrieved_url}), _fetched(use_id, page.retrieved_url, ok=ok)
            ]  # fmt: skip
        return blocks

    def _queries(self) -> list[str]:
        """Return the different queries; an unnamed one for sources without any."""
        grounding = self._grounding
        if grounding is None:
            return []
        queries = list(dict.fromkeys(query for query in grounding.web_search_queries or () if query))
        return queries or ([""] if grounding.grounding_chunks else [])

    def _results(self, use_id: str) -> Object:
        """Return the result of a search with all sources, which the next gets no more."""
        grounding, self._grounding = self._grounding, None
        content = [
            {
                "type": "web_search_result",
                "url": url,
                "title": title,
                "encrypted_content": "",
                "page_age": None,
            }
            for url, title in (sources(grounding) if grounding is not None else ())
        ]
        return {"type": "web_search_tool_result", "tool_use_id": use_id, "content": content}

    def _id(self, google_id: str) -> str:
        if google_id:
            return f"{PREFIX}{google_id}"
        self._number += 1
        return f"{OWN}{self._stem}_{self._number}"


def _use(use_id: str, name: str, value: Object) -> Object:
    return {"type": "server_tool_use", "id": use_id, "name": name, "input": value}


def _fetched(use_id: str, url: str, *, ok: bool) -> Object:
    """Return the result of a page. Google gives its text to the model only."""
    if not ok:
        content: Object = {"type": "web_fetch_tool_result_error", "error_code": "url_not_accessible"}
    else:
        source = {"type": "text", "media_type": "text/plain", "data": ""}
        document = {"type": "document", "source": source, "title": None, "citations": None}
        content = {"type": "web_fetch_result", "url": url, "retrieved_at": None, "content": document}
    return {"type": "web_fetch_tool_result", "tool_use_id": use_id, "content": content}


def _first_url(event: ServerTool) -> str:
    response = _object(event.response)
    return next(iter(_texts(response, "urls", "url")), "")


def _object(raw: Raw) -> Object:
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _texts(fields: Object, *names: str) -> list[str]:
    """Return the texts of the first of some fields, which holds one text or several."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, str):
            return [value] if value else []
        if isinstance(value, list):
            return [text for text in value[:_MOST_QUERIES] if isinstance(text, str) and text]
    return []
