"""Output items of the tools that Google runs: searches, pages, maps, files and code, as OpenAI's hosted tools.

The items are those of https://platform.openai.com/docs/api-reference/responses/object. A map's place has no item of its
own at OpenAI, so it is told as a search.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from gateway.gemini.events import CodePart, ServerTool
from gateway.gemini.grounding import Citation, source_urls
from gateway.gemini.wire import GenerateContentRequest, decode_grounding

Object = dict[str, Any]
PREFIXES = {"web_search_call": "ws_", "file_search_call": "fs_", "code_interpreter_call": "ci_"}
"""Item type to the beginning of its id. The rest is Gemini's id of the step, under which its parts are kept."""
_STEP = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""An id of Gemini's that may be a part of an item's id."""
FAILED = "Error: "
"""The beginning of the logs of code that failed."""
_SEARCHES = ("GOOGLE_SEARCH_WEB", "GOOGLE_SEARCH_IMAGE", "GOOGLE_MAPS")
_MOST_QUERIES = 100
"""Queries and pages of one answer that are told. Google's answers have a few."""
_RETRIEVED = "URL_RETRIEVAL_STATUS_SUCCESS"


def is_grounded(request: GenerateContentRequest) -> bool:
    """Return whether a tool is on whose sources come with the end of the answer."""
    return any(tool.google_search is not None or tool.google_maps is not None for tool in request.tools or ())


def called(event: ServerTool) -> list[Object]:
    """Return the items for a call of a tool; a call of several pages is one item a page, and others are one or none.

    Their ids are only Gemini's part of them.
    """
    arguments = _object(event.args)
    if event.kind in _SEARCHES:
        return [search(_texts(arguments, "queries", "query"), step=event.id)]
    if event.kind == "URL_CONTEXT":
        urls = _texts(arguments, "urls", "url")
        return [page(url, event.id if not i else "") for i, url in enumerate(urls or [""])]
    if event.kind == "FILE_SEARCH":
        queries = _texts(arguments, "queries", "query")
        return [{"id": event.id, "type": "file_search_call", "status": "in_progress", "queries": queries,
                 "results": None}]  # fmt: skip
    return []


def search(queries: Sequence[str], sources: Sequence[str] = (), step: str = "") -> Object:
    """Return the item of a search."""
    action: Object = {"type": "search", "query": queries[0] if queries else "", "queries": list(queries)}
    action["sources"] = _sources(sources)
    return {"id": step, "type": "web_search_call", "status": "in_progress", "action": action}


def page(url: str, step: str = "") -> Object:
    """Return the item of a page that the model has opened."""
    action = {"type": "open_page", "url": url or None}
    return {"id": step, "type": "web_search_call", "status": "in_progress", "action": action}


def code(event: CodePart) -> Object:
    """Return the item of code."""
    return {"id": event.id, "type": "code_interpreter_call", "status": "in_progress",
            "container_id": "cntr_gemini", "code": event.source, "outputs": []}  # fmt: skip


def logs(event: CodePart) -> Object:
    """Return the output of code. OpenAI's schema has no mark of a failure, so words say it, as in chat."""
    return {"type": "logs", "logs": f"{FAILED if event.failed else ''}{event.output or ''}"}


def name(item: Object, named: dict[str, Object], new_id: Callable[[str], str]) -> Object:
    """Give an item its id: Gemini's after the prefix, or a new one where there is none or another item has it.

    `named` are the items so far by their id; the item is added.
    """
    prefix, step = PREFIXES[item["type"]], item["id"]
    is_free = _STEP.fullmatch(step) is not None and prefix + step not in named
    item["id"] = prefix + step if is_free else new_id(prefix)
    named[item["id"]] = item
    return item


def steps(kind: str) -> tuple[str, ...]:
    """Return the names of the events between an item's start and its end, in OpenAI's order."""
    return () if kind == "code_interpreter_call" else (f"{kind}.in_progress", f"{kind}.searching")


def annotation(citation: Citation) -> dict[str, Any]:
    """Return the annotation of a citation: of a page, or of a document of a file store, which has no address."""
    if not citation.url:
        name = citation.title
        return {"type": "file_citation", "file_id": name, "filename": name, "index": citation.end}
    return {"type": "url_citation", "start_index": citation.start, "end_index": citation.end,
            "url": citation.url, "title": citation.title}  # fmt: skip


def queries_of(metadata: Raw) -> list[str]:
    """Return the different search queries of groundingMetadata. Gemini 3 may write empty ones."""
    try:
        queries = decode_grounding(metadata).web_search_queries if metadata else None
    except (msgspec.DecodeError, RecursionError):
        return []
    return list(dict.fromkeys(query for query in queries or () if query))[:_MOST_QUERIES]


def sources_of(metadata: Raw) -> list[str]:
    """Return the URLs of the sources of groundingMetadata."""
    try:
        return source_urls(decode_grounding(metadata)) if metadata else []
    except (msgspec.DecodeError, RecursionError):
        return []


def pages_of(metadata: Raw) -> list[tuple[str, bool]]:
    """Return the pages of urlContextMetadata, each with whether it could be read."""
    pages = _object(metadata).get("urlMetadata")
    return [
        (url, entry.get("urlRetrievalStatus") == _RETRIEVED)
        for entry in (pages if isinstance(pages, list) else ())[:_MOST_QUERIES]
        if isinstance(entry, dict) and isinstance(url := entry.get("retrievedUrl"), str) and url
    ]


def add_sources(item: Object, urls: Sequence[str]) -> None:
    """Give a search its sources, which Gemini names with the end of its answer."""
    item["action"]["sources"] = _sources(urls)


def _sources(urls: Sequence[str]) -> list[Object]:
    return [{"type": "url", "url": url} for url in urls]


def _object(raw: Raw) -> Object:
    """Return a JSON object, or an empty one for anything else."""
    try:
        value = msgspec.json.decode(raw) if raw else None
    except (msgspec.DecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _texts(arguments: Object, plural: str, singular: str) -> list[str]:
    """Return the texts of an argument that is a list, or of its sister that is one text."""
    values = arguments.get(plural)
    texts = values if isinstance(values, list) else [arguments.get(singular)]
    return [text for text in texts if isinstance(text, str) and text][:_MOST_QUERIES]
