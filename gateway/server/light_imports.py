"""Imports of aiohttp without what only takes memory: 1.6 MB of an idle process."""

import gc
import mimetypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_IN_PYTHON = "FROZENLIST_NO_EXTENSIONS"
"""frozenlist's own switch. Its extension loads the C++ library; aiohttp has a few such lists, none of which the gateway
asks in a request."""


@contextmanager
def light_imports() -> Iterator[None]:
    """Let frozenlist be in Python, and `mimetypes` not read the system's table. Meant for the import of aiohttp.

    aiohttp copies that table twice, for static files. The first call of `mimetypes.guess_type` reads it all the same.
    """
    before = os.environ.get(_IN_PYTHON)
    os.environ[_IN_PYTHON] = before or "1"
    was_read, mimetypes.inited = mimetypes.inited, True
    try:
        yield
        gc.collect()  # attrs makes each class twice, and leaves the first one in a cycle
    finally:
        mimetypes.inited = was_read
        if before is None:
            del os.environ[_IN_PYTHON]
        else:
            os.environ[_IN_PYTHON] = before
