"""Filters of requests: `status:429 key:ada model:*flash* >5s`, as the console's list and its tail take them."""

import re
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from gateway.errors import BadRequest
from gateway.observability.recent import Recent
from gateway.observability.request_log import RequestLog

Name = Callable[[str], str]
"""Returns the name of an issued key by its id."""
Test = Callable[[Recent, Name], bool]
_RecordTest = Callable[[RequestLog, Name], bool]
_NONE = "none"
"""Finds requests without a key, a project or a status of Google's."""
_MOST = 500
"""Characters of a filter."""
_DURATION = re.compile(r"(first)?([<>])(\d{1,9}(?:\.\d{1,6})?)(ms|s|m)?")
_UNITS = {"ms": 1.0, "s": 1000.0, "m": 60_000.0}
_FIELDS: dict[str, Callable[[RequestLog, Name], list[str]]] = {
    "key": lambda record, name: [record.key, name(record.key)] if record.key else [_NONE],
    "model": lambda record, _: [record.model or "", record.requested_model or ""],
    "surface": lambda record, _: [record.surface],
    "project": lambda record, _: [record.project or _NONE],
    "error": lambda record, _: [record.error or "", *record.failures],
    "path": lambda record, _: [record.path],
    "client": lambda record, _: [record.client or ""],
    "id": lambda record, _: [record.request_id],
    "note": lambda record, _: [*(record.notes or ()), *record.adjusted],
    "cached": lambda record, _: [record.cached or ""],
    "refused": lambda record, _: [record.refused_by or "", (record.refused_by or "").partition(" ")[0]],
    "upstream": lambda record, _: [str(record.upstream_status or _NONE)],
}
"""Fields whose texts are compared with a pattern, without regard to case."""
_WORDS = (*sorted(_FIELDS), "since", "status", "stream", "tries", "until")


def parse(text: str) -> Test:
    """Return a function that tells whether a record passes a filter; an empty one lets all pass. Raises BadRequest."""
    if len(text) > _MOST:
        raise _mistake(f"it is longer than {_MOST} characters")
    try:
        terms = shlex.split(text, posix=True)
    except ValueError:
        raise _mistake("a quotation mark is open") from None
    tests = [_negated(term[1:]) if len(term) > 1 and term[0] == "-" else _term(term) for term in terms]
    return lambda entry, name: all(test(entry, name) for test in tests)


def _negated(term: str) -> Test:
    test = _term(term)
    return lambda entry, name: not test(entry, name)


def _term(term: str) -> Test:
    word, _, value = term.partition(":")
    if word in ("since", "until"):
        at = _time(term, value)
        return lambda entry, _: entry.at >= at if word == "since" else entry.at < at
    test = _of_record(term)
    return lambda entry, name: test(entry.record, name)


def _time(term: str, value: str) -> float:
    """Return a time in seconds since 1970. One without a zone is in UTC."""
    try:
        at = datetime.fromisoformat(value)
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise _mistake(f"{term!r}: expected a time such as 2026-11-26 or 2026-11-26T14:30Z") from None


def _of_record(term: str) -> _RecordTest:
    if term[0] in "<>" or term.startswith(("first<", "first>")):
        return _duration(term)
    field, colon, value = term.partition(":")
    if not colon or field not in _WORDS:
        if colon and field.isalpha():
            raise _mistake(f"{term!r}: unknown word {field!r}. Known: {', '.join(_WORDS)}")
        return _word(term.lower())
    if not value:
        raise _mistake(f"{term!r}: a value is missing")
    if field == "status":
        return _status(term, value)
    if field == "stream":
        if value not in ("yes", "no"):
            raise _mistake(f"{term!r}: expected yes or no")
        return lambda record, _: record.stream == (value == "yes")
    if field == "tries":
        if not value.isdecimal():
            raise _mistake(f"{term!r}: expected a number")
        return lambda record, _: record.attempts >= int(value)
    texts, pattern = _FIELDS[field], value.lower()
    return lambda record, name: any(fnmatchcase(text.lower(), pattern) for text in texts(record, name))


def _status(term: str, value: str) -> _RecordTest:
    if value == "failed":
        return lambda record, _: record.status >= 500 or record.error is not None
    if re.fullmatch(r"[1-5]xx", value):
        return lambda record, _: record.status // 100 == int(value[0])
    if not re.fullmatch(r"\d{3}", value):
        raise _mistake(f"{term!r}: expected a status such as 429, 4xx, or failed")
    return lambda record, _: record.status == int(value)


def _duration(term: str) -> _RecordTest:
    match = _DURATION.fullmatch(term)
    if match is None:
        raise _mistake(f"{term!r}: expected a time such as >5s, <200ms or first>1s")
    first, sign, number, unit = match.groups()
    limit = float(number) * _UNITS[unit or "s"]

    def test(record: RequestLog, _: Name) -> bool:
        value = record.first_byte_ms if first else record.duration_ms
        return value is not None and (value > limit if sign == ">" else value < limit)

    return test


def _word(word: str) -> _RecordTest:
    """Return the test of a word that may be in any of the fields that people look for."""

    def test(record: RequestLog, name: Name) -> bool:
        texts = (
            record.request_id, record.path, record.model, record.requested_model, record.error, record.key,
            name(record.key) if record.key else None,
        )  # fmt: skip
        return any(word in text.lower() for text in texts if text)

    return test


def _mistake(message: str) -> BadRequest:
    return BadRequest(f"Invalid 'filter': {message}.", param="filter", code="invalid_filter")
