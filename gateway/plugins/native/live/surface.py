"""Sessions of the Live API: permission, key and project, and the connection to Google.

`/ws/google.ai.generativelanguage.{version}.GenerativeService.{method}` as Google's SDKs open it.
"""

import asyncio
from functools import partial
from time import time

import msgspec
from aiohttp import WSMsgType, web
from msgspec import structs
from multidict import CIMultiDict

from gateway.errors import (
    BadRequest,
    Forbidden,
    GatewayError,
    MethodNotAllowed,
    RateLimited,
    Unauthorized,
    UpstreamError,
)
from gateway.exchange.calls.accounting import Target
from gateway.exchange.calls.attempt import Attempt
from gateway.exchange.context import RequestContext
from gateway.exchange.hooks import HookName
from gateway.exchange.incoming.websocket_frames import check_origin
from gateway.exchange.replies.delivery import ERROR_RENDERER
from gateway.exchange.replies.unserved import wants_websocket
from gateway.gemini.wire import encode_json
from gateway.plugin import KEY_HEADERS, KNOWN_CLIENT, Services
from gateway.plugins.native import interactions
from gateway.plugins.native.issued_keys import TokenRequest
from gateway.plugins.native.live.closing import error_of, passed_on
from gateway.plugins.native.live.config import LiveConfig
from gateway.plugins.native.live.events import model_of_event, read_events
from gateway.plugins.native.live.messages import Setup, check_message, read_setup
from gateway.plugins.native.live.pins import Minted, Pins, decode_token, token_of, until_of
from gateway.plugins.native.live.sessions import Sessions
from gateway.plugins.native.live.tunnel import TO_BEGIN, ClosedError, Link, Session
from gateway.plugins.native.live.turns import TURN, Turns
from gateway.plugins.native.query_keys import google_key, refuse_issued_keys
from gateway.plugins.native.request import passed_on as passed_headers
from gateway.plugins.native.response import render_error
from gateway.plugins.native.system_parameters import allowed_headers
from gateway.policy.api_paths import GOOGLE
from gateway.policy.clients.access import Client, digest
from gateway.policy.pool import call_outcome
from gateway.store.file_owners import absent
from gateway.upstream.aiohttp_transport import UpstreamSocket

SURFACE = "realtime"
"""Of Live sessions in the ledger and the log."""
PATH = (
    r"/ws/{service:google\.ai\.generativelanguage\.v1(?:beta|alpha)?\.GenerativeService"
    r"\.Bidi(?:GenerateContent|GenerateContentConstrained|GenerateMusic)}"
)
_MUSIC = "BidiGenerateMusic"
_INTERACTIONS = "/interactions/live"
_KEYS = ("key", "$key", "access_token")
_HOOKS: tuple[HookName, ...] = ("on_request", "on_call", "on_event")
"""Hooks that would have to see what a session says."""
_ATTEMPTS = 2
"""Projects that are asked before a session begins."""


class Live:
    """The Live sessions of the plugin."""

    def __init__(self, services: Services, config: LiveConfig) -> None:
        self._services = services
        self._config = config
        self._sessions = Sessions(config, services.statistics, services.draining)
        self.pins: Pins
        """Set when the stores are open."""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve a handshake, and the session to its end."""
        request[ERROR_RENDERER] = render_error
        if not wants_websocket(request):
            raise MethodNotAllowed(frozenset())
        services, task = self._services, asyncio.current_task()
        check_origin(request, services.config.cors.origins)
        token = token_of(request.headers, request.query)
        minted = await self._identify(request, token)
        is_interaction = request.path.endswith(_INTERACTIONS)
        entry = services.enter(request, interactions.METHOD if is_interaction else SURFACE, reads_body=False)
        async with entry as context:  # the place is left at once: a session may last for an hour
            self._check(request, context)
            session = Session(request, services, self._config, context)
            self._sessions.enter(session)
            give_back = entry.hand_over()
        client = context.client
        assert task is not None  # noqa: S101 - a handler always runs in one
        services.access.begin(client, task)
        try:
            return await session.run(_Ways(self, request, context, token, minted))
        finally:
            services.access.end(client, task)
            self._sessions.leave(session)
            await give_back()

    async def minted(self, answer: bytes, wish: TokenRequest, client: Client, project: str) -> bytes:
        """Return Google's answer to the creation of a token, with a token of the gateway's. Raises UpstreamError."""
        try:
            fields = decode_token(answer)
        except msgspec.DecodeError as error:
            raise UpstreamError("The upstream named no token.", code="upstream_bad_response") from error
        now = time()
        minted = Minted(fields["name"], client.scope, project, wish.model)
        fields["name"] = await self.pins.mint(minted, until_of(wish.expires, now), now)
        return encode_json(fields)

    async def _identify(self, request: web.Request, token: str) -> Minted | None:
        """Take the client from its token, or from the key in the query. Raises Unauthorized, and BadRequest."""
        if not token:
            own = request.headers.get("x-goog-api-key", "")
            key = google_key(request.query.items(), own)
            request[KEY_HEADERS] = request.headers
            if key != own:
                request[KEY_HEADERS] = headers = CIMultiDict(request.headers)
                headers["x-goog-api-key"] = key
            return None
        minted = await self.pins.minted(token, time())
        if minted is not None:
            request[KNOWN_CLIENT] = self._services.holder(minted.scope)
        elif self._services.config.auth.passthrough:
            refuse_issued_keys([token])
            scope = digest(token)
            request[KNOWN_CLIENT] = Client("", scope[:8], scope)
        else:
            raise Unauthorized("Incorrect API key provided.")
        return minted

    def _check(self, request: web.Request, context: RequestContext) -> None:
        """Raise GatewayError if this client may not open a session."""
        pairs = [(name, value) for name, value in request.query.items() if name not in _KEYS]
        refuse_issued_keys(text for pair in pairs for text in pair)
        path = request.path.removeprefix(GOOGLE)
        for plugin in self._services.plugins.values():
            plugin.check_native(request.method, path, context)
        hooks = self._services.hooks
        if hooks is not None and any(hooks.by_name[name] for name in _HOOKS):
            raise Forbidden(
                "Live sessions are not served: plugins of this gateway check prompts or answers, and would not see"
                " those of a session.",
                code="not_checked",
            )
        if context.client.id and path.endswith((_MUSIC, _INTERACTIONS)):
            raise Forbidden(
                "This method needs a Gemini API key of your own: what it costs has no bound, or is not told.",
                code="not_for_issued_keys",
            )


class _Ways:
    """The way of one session to Google."""

    def __init__(
        self, live: Live, request: web.Request, context: RequestContext, token: str, minted: Minted | None
    ) -> None:
        services = live._services  # noqa: SLF001 - of this module
        self._exchange = services.exchange
        self._holder = services.holder
        self._owners = services.file_owners
        self._largest = live._config.message  # noqa: SLF001
        self._pins = live.pins
        self._path = request.rel_url.raw_path.removeprefix(GOOGLE)
        self._is_interaction = self._path.endswith(_INTERACTIONS)
        self._context = context
        self._client = context.client
        self._minted = minted
        self._target = Target("")
        headers = (
            allowed_headers(request.headers, "model") if self._client.id else passed_headers(request.headers)
        )
        headers.pop("Content-Type", None)
        self._headers = headers
        if token and self._is_interaction:
            self._headers["x-goog-api-key"] = token  # as google-genai sends it there
        elif token:
            self._headers["Authorization"] = f"Token {token if minted is None else minted.google}"

    async def connect(self, data: bytes, kind: WSMsgType) -> Link:
        """Connect with the client's first message, to another project if the first is busy."""
        if self._is_interaction:
            target = Target(model_of_event(data))
        else:
            target = await self._checked(read_setup(data, issued=bool(self._client.id)))
        self._target = target
        self._context.report.describe(target.model or None, None, stream=True)
        for attempt in range(1, _ATTEMPTS + 1):
            turn = self._exchange.attempt(self._context, target)
            await turn.__aenter__()
            socket: UpstreamSocket | None = None
            try:
                socket = await self._exchange.websocket(self._path, self._keyed(turn), self._largest)
                return await self._linked(socket, turn, data, kind)
            except BaseException as error:
                failure = error.error if isinstance(error, ClosedError) else error
                if socket is not None:
                    await socket.close()
                await turn.__aexit__(type(failure), failure, None)
                again, shown = self._judge(failure)
                if again and attempt < _ATTEMPTS:
                    continue
                if shown is not None:
                    raise shown from None
                raise
        raise AssertionError("the last attempt returns or raises")

    async def _checked(self, setup: Setup) -> Target:
        """Return the target of a session. Raises Forbidden and NotFound."""
        client, names = self._client, setup.names
        if not client.id:
            return Target(setup.model)
        model = setup.model
        client.rules.check(model)
        if self._minted is not None and self._minted.model:
            model = self._minted.model
            client.rules.check(model)
        project = await self._owners.project(client.scope, names, time())
        pinned = {project} if project else set()
        if setup.handle:
            kept = await self._pins.project(client.scope, setup.handle, time())
            if not kept:
                raise absent("The session of this handle")
            pinned.add(kept)
        if self._minted is not None:
            pinned.add(self._minted.project)
        if len(pinned) > 1:
            raise BadRequest("Files, handle and token of a session belong to different Google projects.")
        return Target(model, TURN, client.scope.encode(), next(iter(pinned), ""), feature="live")

    def _keyed(self, turn: Attempt) -> CIMultiDict[str]:
        headers = CIMultiDict(self._headers)
        if "Authorization" not in headers and turn.key:
            headers["x-goog-api-key"] = turn.key
        return headers

    async def _linked(self, socket: UpstreamSocket, turn: Attempt, data: bytes, kind: WSMsgType) -> Link:
        """Send the first message, and wait for Google's answer. Raises ClosedError, and UpstreamError."""
        renewed = self._renewed if self._client.id else None
        turns = Turns(self._exchange, self._context, self._target, renewed)
        turns.adopt(turn)
        try:
            async with asyncio.timeout(TO_BEGIN):
                await socket.send_frame(data, kind)
                if self._is_interaction:  # which need not answer at once
                    turn.answered(101)
                    return Link(socket, turns, read=read_events)
                answer = await socket.receive()
        except (TimeoutError, ConnectionError) as error:
            raise UpstreamError("Google has not answered `setup`.", code="upstream_timeout") from error
        if answer.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            ending = passed_on(
                socket.close_code, str(answer.extra or "") if answer.type is WSMsgType.CLOSE else ""
            )
            raise ClosedError(ending, error_of(ending))
        turn.answered(101)
        if not self._client.id:
            return Link(socket, turns, answer)
        project = self._context.report.project or ""
        keep = partial(self._keep, project)
        return Link(socket, turns, answer, check=self._check_message, keep=keep)

    def _renewed(self) -> RequestContext:
        """Return the context with the key's rules of now. Raises Unauthorized for a key that has ended."""
        return structs.replace(self._context, client=self._holder(self._client.id))

    async def _check_message(self, data: bytes) -> None:
        names = check_message(data)
        if not names:
            return
        client, project = self._client, self._context.report.project
        if await self._owners.project(client.scope, names, time()) != project:
            raise BadRequest("A file belongs to another Google project than the session. Upload it again.")

    async def _keep(self, project: str, handle: str) -> None:
        await self._pins.keep(self._client.scope, handle, project, time())

    def _judge(self, error: BaseException) -> tuple[bool, GatewayError | None]:
        """Return whether another project may be asked, and the error in place of Google's words."""
        if not isinstance(error, GatewayError) or not self._is_pools(error):
            return False, None
        return self._exchange.accounting.probe_pool(error, self._client, self._target)

    def shown(self, error: GatewayError) -> GatewayError | None:
        """Return the pool's own error in place of Google's words about a key or a project of the pool."""
        if not self._is_pools(error):
            return None
        if isinstance(error, RateLimited):
            return RateLimited(
                "Rate limit reached in the Google project of this session. Please open another one."
            )
        return UpstreamError("Google has ended the session: it refuses the project's key.")

    def _is_pools(self, error: GatewayError) -> bool:
        kinds = (call_outcome.Limited, call_outcome.Rejected)
        return bool(self._client.id) and isinstance(call_outcome.outcome(error), kinds)
