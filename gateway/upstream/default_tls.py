"""aiohttp's own TLS contexts, which read the system's certificates when they are first used.

aiohttp makes two contexts when it is imported (`aiohttp.connector`), each with all authorities of the system: 35 ms and
5 MB. The gateway's connections have a context of their own (`upstream.transport`), so that only plugins with plain
sessions of aiohttp use the first one, and the second one verifies nothing.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class LateContext(ssl.SSLContext):
    """The context of `ssl.create_default_context` for clients; it reads the authorities before its first connection."""

    _is_loaded = False

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        self._load()
        return super().wrap_bio(*arguments, **options)

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        self._load()
        return super().wrap_socket(*arguments, **options)

    def _load(self) -> None:
        if not self._is_loaded:
            self._is_loaded = True
            self.load_default_certs(ssl.Purpose.SERVER_AUTH)


@contextmanager
def late_certificates() -> Iterator[None]:
    """Let contexts that are made meanwhile read no certificates. Meant for the import of aiohttp."""
    default, paths = ssl.create_default_context, ssl.SSLContext.set_default_verify_paths

    def create(*_: Any, **__: Any) -> ssl.SSLContext:
        context = LateContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificates and names
        # as the default one of Python 3.13 and later
        context.verify_flags |= getattr(ssl, "_DEFAULT_VERIFY_FLAGS", ssl.VerifyFlags(0))
        return context

    ssl.create_default_context = create
    ssl.SSLContext.set_default_verify_paths = lambda _: None  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        ssl.create_default_context = default
        ssl.SSLContext.set_default_verify_paths = paths  # type: ignore[method-assign]
