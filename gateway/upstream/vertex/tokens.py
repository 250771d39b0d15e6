"""Access tokens of a Google Cloud project, fetched by google-auth in a thread and renewed before they expire.

A token's life is measured from the moment at which it arrived, on a clock that nobody sets: the time of this machine
may be wrong. Google's own clock has the last word: a token that it refuses is not used again.
"""

import asyncio
import json
import logging
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

from gateway.config.secret import Secret
from gateway.errors import GatewayError, Unauthorized, UpstreamUnreachable, scrub
from gateway.upstream.vertex.token_request import TokenRequest

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_AHEAD = 300.0
"""Seconds before the end of a token from which on another is fetched, while calls still use it."""
_TOO_SHORT = 10.0
"""Seconds before the end of a token from which on calls wait for another."""
_SHORTEST_LIFE, _LONGEST_LIFE = 60.0, 43_200.0
"""Seconds for which a token is used, at least and at most, whatever its end is by the clock of this machine."""
_USUAL_LIFE = 3600.0
_PAUSE = 5.0
"""Seconds after a failure in which no other token is asked for."""
_MOST_SAID = 300
_NOWHERE = "Your default credentials were not found"
"""google-auth's words where there are no credentials, or the metadata server of the machine has not answered."""
_VALUE = re.compile(r"[\x20-\x7e]+")
_log = logging.getLogger("gateway.vertex")

Load = Callable[[], "Credentials"]


class AccessTokens:
    """Tokens of one project. `load` returns its credentials; it may read files, and is called in a thread."""

    def __init__(self, project: str, load: Load, request: TokenRequest) -> None:
        """`project` is the name in the pool, for the log."""
        self._project = project
        self._load = load
        self._request = request
        self._credentials: Credentials | None = None
        self._headers: Mapping[str, str] = {}
        self._until = 0.0
        """Time at which the token ends, on the monotonic clock."""
        self._renewal: asyncio.Task[None] | None = None
        self._failure: tuple[bool, str] | None = None
        """Whether Google has refused the credentials, and its words; None unless the last renewal has failed."""
        self._not_before = 0.0
        """Time from which on another token may be asked for."""

    def begin(self) -> None:
        """Fetch the first token, so that no call has to wait for it, and the log tells of wrong credentials."""
        if self._renewal is None:
            self._renewal = asyncio.create_task(self._renew())

    async def headers(self) -> Mapping[str, str]:
        """Return the headers of a call. Raises GatewayError if there is no token, and none can be fetched."""
        left = self._until - monotonic()
        if left > _AHEAD:
            return self._headers
        if monotonic() >= self._not_before:
            self.begin()
        if left > _TOO_SHORT:
            return self._headers
        if self._renewal is not None:
            await asyncio.shield(self._renewal)  # others wait for it, too
        if self._failure is not None:
            raise _error(*self._failure)
        return self._headers

    def refuse(self, headers: Mapping[str, str]) -> None:
        """Use a token no more that Google has refused: its end by Google's clock, or its revocation, was earlier."""
        if headers is self._headers:
            self._until = 0.0

    async def close(self) -> None:
        """End a renewal in progress."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)

    async def _renew(self) -> None:
        """Fetch a token. A failure is noted, not raised: nobody may be waiting."""
        try:
            headers, life = await asyncio.to_thread(self._fetch)
        except Exception as error:  # noqa: BLE001 - of google-auth, files and networks
            is_final = _is_final(error, is_loaded=self._credentials is not None)
            self._failure = is_final, scrub(str(error))[:_MOST_SAID]
            self._not_before = monotonic() + _PAUSE
            offset = self._request.clock_offset
            hint = (
                f"; this machine's clock is {offset:+.0f} s off Google's"
                if abs(offset) > _SHORTEST_LIFE
                else ""
            )
            _log.error("project %s: no access token: %s%s", self._project, self._failure[1], hint)
        else:
            self._headers, self._until, self._failure = headers, monotonic() + life, None
        finally:
            self._renewal = None

    def _fetch(self) -> tuple[Mapping[str, str], float]:
        """Return the headers of a new token, and the seconds of its life."""
        if self._credentials is None:
            self._credentials = self._load()
        credentials: Any = self._credentials
        credentials.refresh(self._request)
        headers: dict[str, str] = {}
        credentials.apply(headers)
        _check(headers)
        if credentials.expiry is None:
            return headers, _USUAL_LIFE
        life = (credentials.expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()
        return headers, min(_LONGEST_LIFE, max(_SHORTEST_LIFE, life))


def loader(secret: Secret | None, request: TokenRequest) -> Load:
    """Return what loads the credentials: a service account's, or Application Default Credentials."""

    def service_account() -> "Credentials":
        from google.oauth2.service_account import Credentials  # of the extra `vertex`

        document = json.loads(secret.reveal()) if secret is not None else {}
        credentials: Any = Credentials
        account: Credentials = credentials.from_service_account_info(document, scopes=[SCOPE])
        return account

    def default() -> "Credentials":
        import google.auth  # of the extra `vertex`

        auth: Any = google.auth
        account: Credentials = auth.default(scopes=[SCOPE], request=request)[0]
        return account

    return service_account if secret is not None else default


def _check(headers: Mapping[str, str]) -> None:
    """Raise ValueError for a token that is no header's value (RFC 9110, section 5.5)."""
    if not all(_VALUE.fullmatch(value) for value in headers.values()):
        raise ValueError("the token service has answered with a token that cannot be sent")


def _is_final(error: Exception, *, is_loaded: bool) -> bool:
    """Return whether the credentials are of no use: Google refuses them, or they cannot be loaded.

    Another error of loaded credentials is an answer that is none, such as a proxy's page: the next one may be better.
    So it is with the metadata server of a machine, which may be slow when the machine starts.
    """
    from google.auth.exceptions import RefreshError, TransportError

    if isinstance(error, RefreshError):
        # google-auth raises it, too, for a metadata server that does not answer
        return not error.retryable and not isinstance(error.__cause__, TransportError)
    is_reachable = not isinstance(error, TransportError) and not str(error).startswith(_NOWHERE)
    return is_reachable and not is_loaded


def _error(refused: bool, said: str) -> GatewayError:
    """Return the error for a call without a token. Google has not got the call."""
    error: GatewayError
    if refused:
        error = Unauthorized(f"Incorrect API key provided: {said}", upstream_status=401)
        error.key_fault = "bad"
    else:
        error = UpstreamUnreachable("Google's token service cannot be reached.")
        error.detail = said
    error.sent = False
    return error
