"""One endpoint of the admin API, as it is routed and as docs/refer describes it."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal, NamedTuple

from aiohttp import web
from msgspec import Struct

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Access = Literal["everybody", "operator"]


class Query(NamedTuple):
    """A parameter of the query."""

    name: str
    meaning: str


class Endpoint(Struct, frozen=True):
    """An endpoint. Reading ones are GET; all others need an operator who may write."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    handler: Handler
    summary: str
    """One sentence, in the imperative."""
    query: tuple[Query, ...] = ()
    body: type[Struct] | None = None
    answer: Any = None
    """Type of the answer's JSON; None for one that `summary` describes."""
    status: int = 200
    media: str = "application/json"
    access: Access = "operator"


class Done(Struct, frozen=True):
    """The change was made."""

    done: bool = True
