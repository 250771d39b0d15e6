"""A JSON response whose headers stay a dict until somebody looks at them.

Nearly every answer is sent with the headers that it was made with. For those, `server.response_headers` writes head and
body at once. A response that a plugin has changed is an ordinary one of aiohttp's.
"""

from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web
from aiohttp.compression_utils import MAX_SYNC_CHUNK_SIZE
from multidict import CIMultiDict

_OK = 200
JSON_TYPE = {"Content-Type": "application/json"}
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class JsonResponse(web.Response):
    """A response like `web.Response(body=…, headers=…)`, with a body of JSON."""

    is_sent = False
    """Whether it was written whole, on a connection that stays open."""
    _zlib_executor_size = MAX_SYNC_CHUNK_SIZE
    _zlib_executor = None
    _changeable: CIMultiDict[str] | None = None
    """The headers, once somebody has looked at them."""

    def __init__(self, body: bytes, headers: Mapping[str, str], status: int = 200) -> None:
        # All that aiohttp's constructors set. They take five times as long.
        self._state = {}
        self._status = status
        self._reason = _REASONS.get(status, "")
        self._body = body
        self.made_with = headers
        """The headers until somebody looks at `headers`, without the type unless it is another one than JSON."""

    @property
    def _headers(self) -> CIMultiDict[str]:  # type: ignore[override]  # aiohttp's is an attribute
        headers = self._changeable
        if headers is None:
            headers = self._changeable = CIMultiDict({**JSON_TYPE, **self.made_with})
        return headers

    @property
    def usual_body(self) -> bytes | None:
        """The body of a 200; None if somebody has looked at the headers, or has changed anything but the body."""
        body = self._body
        return (
            body
            if type(body) is bytes
            and self._status == _OK
            and self._changeable is None
            and self._reason == "OK"
            and self._keep_alive is None
            and self._cookies is None
            and not self._compression
            else None
        )

    def sent(self) -> None:
        """Note that the response was written whole, on a connection that stays open."""
        self._keep_alive = self._eof_sent = self.is_sent = True
