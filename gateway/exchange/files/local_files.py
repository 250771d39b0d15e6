"""Interface of the files that the gateway keeps, for calls that name them."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.errors import BadRequest, GatewayError
from gateway.exchange.context import RequestContext
from gateway.gemini.call import GeminiCall
from gateway.gemini.wire import FileData
from gateway.policy.clients.kept_files import FileCopy


class LocalFiles(Protocol):
    """Files that the gateway keeps, in the project that a call asks (`file_copies.FileCopies`)."""

    async def named(self, addresses: Mapping[str, str], scope: str) -> Mapping[str, FileData]:
        """Return files by address. Raises BadRequest for one that is not this client's, naming its path."""

    async def localized(self, call: GeminiCall, context: RequestContext, project: str) -> GeminiCall:
        """Return the call with the copies of its files in a project; missing ones are made. Raises GatewayError."""

    async def placed(self, call: GeminiCall, context: RequestContext) -> GeminiCall:
        """Return the same for a call outside an attempt, bound to a project that has the copies then."""

    async def forgotten(self, error: GatewayError, call: GeminiCall, context: RequestContext) -> bool:
        """Forget the copies if Google says that they do not exist. Return whether it says so."""

    async def delete(self, copies: Sequence[FileCopy], context: RequestContext) -> None:
        """Delete copies. A failure is logged."""


def not_kept(at: str) -> BadRequest:
    """Return the error for a file that does not exist, has expired, or is another client's."""
    return BadRequest(
        "No such file: it was deleted, has expired, or was uploaded with another API key.",
        param=at,
        code="file_not_found",
    )
