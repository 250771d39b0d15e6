"""Requests for access tokens, by the standard library: google-auth asks in a thread."""

import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPMessage
from typing import IO, Any, NamedTuple, NoReturn

from multidict import CIMultiDict

_SECONDS = 10.0
"""Most seconds of a request, in place of google-auth's 120."""
_MOST_BYTES = 1024 * 1024
_METADATA = "Metadata-flavor"
"""As urllib spells it (https://cloud.google.com/compute/docs/metadata/querying-metadata)."""


class TokenResponse(NamedTuple):
    """An answer, as google-auth reads it (`google.auth.transport.Response`)."""

    status: int
    headers: Mapping[str, str]
    """By names in any case: google-auth asks for the metadata server's `Content-Type` in lower case."""
    data: bytes


class TokenRequest:
    """Makes requests, as google-auth calls it (`google.auth.transport.Request`).

    No redirect is followed: it would take a signed assertion to another host. `proxy` is that of the configuration;
    the environment's are not used. The metadata server is asked without one.
    """

    clock_offset = 0.0
    """Seconds by which this machine's clock is ahead of the last answer's `Date`."""

    def __init__(self, proxy: str | None) -> None:
        self._proxies = {"http": proxy, "https": proxy} if proxy is not None else {}

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: object,
    ) -> TokenResponse:
        """Return the answer, whatever its status. Raises google-auth's TransportError if there is none."""
        from google.auth import exceptions  # of the extra `vertex`

        transport_error: Any = exceptions.TransportError
        data = body.encode() if isinstance(body, str) else body
        if not url.startswith(("https://", "http://")):
            raise transport_error("a token's URL must begin with https://")
        request = urllib.request.Request(url, data, dict(headers or {}), method=method)  # noqa: S310 - checked
        # The metadata server answers its own machine alone, and is asked with this header.
        proxies = {} if request.has_header(_METADATA) else self._proxies
        opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies), _NoRedirects())
        seconds = min(timeout or _SECONDS, _SECONDS)
        try:
            answer = _answer(opener, request, seconds)
        except (OSError, HTTPException) as error:
            raise transport_error(f"{type(error).__name__}: {getattr(error, 'reason', error)}") from error
        self._compare(answer.headers.get("Date"))
        return answer

    def _compare(self, date: str | None) -> None:
        """Compare the clocks, by the header `Date`."""
        if date is not None:
            try:
                now = datetime.now(UTC)
                self.clock_offset = (now - parsedate_to_datetime(date).astimezone(UTC)).total_seconds()
            except (TypeError, ValueError):
                return


def _answer(
    opener: urllib.request.OpenerDirector, request: urllib.request.Request, seconds: float
) -> TokenResponse:
    """Return the answer, whatever its status. Raises OSError and HTTPException, also while it is read."""
    try:
        response = opener.open(request, timeout=seconds)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        headers = CIMultiDict(response.headers.items())
        return TokenResponse(response.status, headers, response.read(_MOST_BYTES))


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> NoReturn:
        raise urllib.error.HTTPError(req.full_url, code, msg, headers, fp)
