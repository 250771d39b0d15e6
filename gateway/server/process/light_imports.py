"""Imports of aiohttp and httptools without what only takes memory: 3 MB of an idle process."""

import gc
import mimetypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_IN_PYTHON = "FROZENLIST_NO_EXTENSIONS"
"""frozenlist's own switch. Its extension loads the C++ library; aiohttp has a few such lists, none of which the gateway
asks in a request."""
_ZSTD = "backports.zstd"
_LATE = {
    "email.policy": ("HTTP",),  # for types of content that the gateway does not ask for
    "idna": ("encode", "decode"),  # for names of hosts that are not ASCII
    "httptools.parser.url_parser": ("parse_url",),
    "urllib.request": ("getproxies", "proxy_bypass"),  # for sessions that trust the environment
    "html.entities": ("html5",),  # for html.unescape, while aiohttp only escapes
    _ZSTD: ("ZstdDecompressor",),  # for bodies in that coding
}
"""Names that aiohttp, yarl and httptools take from modules, for work that the gateway rarely has."""


def _has_zstd() -> bool:
    """Return whether the package is installed. aiohttp does without it."""
    return find_spec("backports") is not None and find_spec(_ZSTD) is not None


class Late:
    """A name of a module, which is imported when the name is first used."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._value(), name)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._value()(*arguments, **options)

    def _value(self) -> Any:
        return getattr(import_module(self._module), self._name)


@contextmanager
def light_imports() -> Iterator[None]:
    """Let rare modules be imported later, frozenlist be in Python, and `mimetypes` not read the system's table.

    Meant for the import of httptools, and of aiohttp, which copies that table twice, for static files. The first call
    of `mimetypes.guess_type` reads it all the same.
    """
    before = os.environ.get(_IN_PYTHON)
    os.environ[_IN_PYTHON] = before or "1"
    was_read, mimetypes.inited = mimetypes.inited, True
    late = [name for name in _LATE if name not in sys.modules and (name != _ZSTD or _has_zstd())]
    for name in late:
        sys.modules[name] = module = ModuleType(name)
        for member in _LATE[name]:
            setattr(module, member, Late(name, member))
    if "html" not in sys.modules:
        late.append("html")  # the one that aiohttp imports has no entities
    try:
        yield
        gc.collect()  # attrs makes each class twice, and leaves the first one in a cycle
    finally:
        for name in late:
            sys.modules.pop(name, None)
        mimetypes.inited = was_read
        if before is None:
            del os.environ[_IN_PYTHON]
        else:
            os.environ[_IN_PYTHON] = before
