"""`admin`: the listener for operators, their tokens, and the console that it serves."""

from ipaddress import ip_network
from typing import Annotated, Literal

from msgspec import Meta, Struct

from gateway.config.secret import Secret

May = Literal["write", "read"]
SINGLE = "admin"
"""Name of the operator who holds `admin.token`."""
UNIX = "unix"
"""Word in `admin.trust.proxies` for connections to a Unix socket, which have no address."""


class OperatorConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One operator's token."""

    token: Annotated[Secret, Meta(description="Token, as {env: NAME} or {credential: NAME}.")]
    may: Annotated[
        May, Meta(description="`read` for a screen on the wall: it sees everything and changes nothing.")
    ] = "write"


class TrustConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A proxy that signs operators in (oauth2-proxy, Tailscale, Cloudflare Access)."""

    header: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z][A-Za-z0-9-]{0,60}$",
            description="Header with the operator's name, which the proxy sets and never passes on from a client.",
        ),
    ]
    proxies: Annotated[
        tuple[str, ...],
        Meta(
            min_length=1,
            description="Addresses or networks of the proxy; `unix` for any process that may use the Unix socket.",
        ),
    ] = ("127.0.0.1", "::1")
    may: Annotated[May, Meta(description="What those operators may do.")] = "write"

    def faults(self) -> list[str]:
        """Return a message for each entry of `proxies` that is no network."""
        faults = []
        for entry in self.proxies:
            try:
                if entry != UNIX:
                    ip_network(entry)
            except ValueError as error:
                faults.append(f"{error}; expected an address, a network such as 10.0.0.0/8, or `unix`")
        return faults


class PlaygroundConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The console's playground."""

    enabled: Annotated[bool, Meta(description="Let operators chat in the console.")] = True
    dollars_day: Annotated[
        float,
        Meta(
            ge=0,
            le=1e6,
            description="US dollars a day (UTC) for chats that run as `console` and not as a key.",
        ),
    ] = 1.0


class AdminConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Second listener for operators: the console, issued keys, usage, state of the pool, metrics."""

    token: Annotated[
        Secret | None,
        Meta(
            description="Bearer token, as {env: NAME} or {credential: NAME}. Its operator is called `admin`. Without "
            "this and `tokens`, only /metrics is served."
        ),
    ] = None
    tokens: Annotated[
        dict[Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,39}$")], OperatorConfig],
        Meta(description="Further tokens, each with the name of its operator, which the audit shows."),
    ] = {}
    trust: Annotated[
        TrustConfig | None,
        Meta(
            description="A proxy in front of the admin listener that signs operators in and names them in a header."
        ),
    ] = None
    hosts: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[A-Za-z0-9.\-\[\]:]{1,255}$")], ...],
        Meta(
            description="Names under which browsers may open the console, besides 127.0.0.1, localhost and [::1]: any "
            "other `Host` is refused, against DNS rebinding."
        ),
    ] = ()
    playground: PlaygroundConfig = PlaygroundConfig()
    host: Annotated[str, Meta(description="Address to listen on; keep it private.")] = "127.0.0.1"
    port: Annotated[
        Annotated[int, Meta(ge=0, le=65535)] | None,
        Meta(description="TCP port. Without `port` and `unix` there is no admin listener."),
    ] = None
    unix: Annotated[str | None, Meta(description="Path of a Unix socket, in place of host and port.")] = None

    def secrets(self) -> dict[tuple[str, ...], Secret]:
        """Return each operator's token by the path of the setting that names it."""
        named: dict[tuple[str, ...], Secret] = {}
        if self.token is not None:
            named["admin", "token"] = self.token
        return named | {
            ("admin", "tokens", name, "token"): entry.token for name, entry in self.tokens.items()
        }
