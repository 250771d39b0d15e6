"""The name of this process among those of a site."""

import os
import socket
from functools import cache
from pathlib import Path

CONTROL = "GATEWAY_CONTROL"
"""Environment variable of the unit with the path of a socket, whose name is that of the instance."""


@cache
def instance() -> str:
    """Return the name of this process: of the machine, and of the unit's instance (blue, green)."""
    control = os.environ.get(CONTROL, "")
    return socket.gethostname() + (f"/{Path(control).stem}" if control else "")
