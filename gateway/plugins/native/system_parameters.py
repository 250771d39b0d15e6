"""Query parameters and headers of a request with an issued key.

Google's APIs take system parameters that change the form of an answer or select the fields of it
(https://cloud.google.com/apis/docs/system-parameters). An answer whose token counts are left out, or are in a form that
is not read here, would cost a client nothing. Issued keys may therefore use those that are listed here, and no others.
"""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlencode

from multidict import CIMultiDict

from gateway.errors import BadRequest
from gateway.plugins.native.request import Kind

_ALT = ("alt", "$alt")
_FORMS = ("json", "sse", "json;enum-encoding=int")
"""Forms of an answer whose token counts are read. Google's REST clients ask for `json;enum-encoding=int`."""
_DROPPED = frozenset(
    {"key", "prettyPrint", "$prettyPrint", "quotaUser", "$quotaUser", "$.xgafv", "$xgafv", "$apiClient"}
)
"""Query parameters that clients send and that change nothing that they need."""
_ALLOWED: Mapping[Kind, frozenset[str]] = {
    "model": frozenset(),
    "batch": frozenset(),
    "cache": frozenset(),
    "interaction": frozenset(),
    "stored": frozenset({"stream", "last_event_id", "include_input"}),
    "token": frozenset(),
    "list": frozenset({"pageSize", "pageToken", "page_size", "page_token"}),
    "resource": frozenset({"updateMask", "update_mask"}),
    "upload": frozenset({"upload_id", "upload_protocol", "uploadType", "upload_type"}),
}
_HEADERS = re.compile("x-goog-api-client|x-server-timeout|api-revision", re.IGNORECASE)
_RESOURCE_HEADERS = re.compile(rf"{_HEADERS.pattern}|range", re.IGNORECASE)
_UPLOAD_HEADERS = re.compile(rf"{_HEADERS.pattern}|content-type|x-goog-upload-[a-z-]+", re.IGNORECASE)
_REFUSED_HEADERS = ("x-goog-fieldmask", "x-http-method-override", "x-http-method", "x-method-override")
"""Headers whose effect a client would miss if they were dropped."""


def allowed_query(parameters: Iterable[tuple[str, str]], kind: Kind, path: str) -> tuple[str, list[str]]:
    """Return the query string that Google is sent, and the names of the parameters that are dropped.

    Raises BadRequest for a parameter that an issued key may not use, and for one that is given twice.
    """
    sent: dict[str, str] = {}
    dropped: list[str] = []
    for name, value in parameters:
        if name in _DROPPED:
            dropped += [] if name == "key" else [name]
        elif name in _ALT:
            if value not in _forms(kind, path) or not sent.keys().isdisjoint(_ALT):
                raise _refused(f"query parameter `{name}={value[:40]}`")
            sent[name] = value
        elif name not in _ALLOWED[kind] or (name in sent and name != "upload_id"):
            raise _refused(f"query parameter `{name[:40]}`")
        else:
            sent[name] = value
    return urlencode(sent, safe=";"), dropped


def allowed_headers(headers: Mapping[str, str], kind: Kind) -> CIMultiDict[str]:
    """Return the headers that Google is sent. Raises BadRequest for one that an issued key may not use."""
    for name in _REFUSED_HEADERS:
        if name in headers:
            raise _refused(f"header `{name}`")
    names = {"upload": _UPLOAD_HEADERS, "resource": _RESOURCE_HEADERS}.get(kind, _HEADERS)
    return CIMultiDict({name: value for name, value in headers.items() if names.fullmatch(name)})


def _forms(kind: Kind, path: str) -> tuple[str, ...]:
    return ("media", *_FORMS) if kind == "resource" and path.endswith(":download") else _FORMS


def _refused(what: str) -> BadRequest:
    return BadRequest(
        f"The {what} is not allowed with an API key of this gateway: leave it out.",
        code="unsupported_parameter",
    )
