"""The configuration: one Struct per section of the YAML.

Sections of policies and stores are defined beside what they configure and composed here. Those of higher layers
(listeners, upstream, streams, CORS, logging) are defined here, because the configuration must not import them.
Descriptions, ranges and defaults appear in config/gateway.schema.json and docs/refer/config.md.
"""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from gateway.config.admin import AdminConfig
from gateway.config.secret import Secret
from gateway.config.vertex import VertexConfig
from gateway.policy.clients.access import AuthConfig
from gateway.policy.hedging import HedgeConfig
from gateway.policy.ledger import LedgerConfig
from gateway.policy.load.admission import LimitsConfig
from gateway.policy.models.catalog import ModelsConfig
from gateway.policy.pool.projects import PoolConfig
from gateway.policy.retry import RetryConfig
from gateway.policy.ssrf import MediaConfig
from gateway.store.key_value import StateConfig
from gateway.store.response_cache import CacheConfig

Seconds = Annotated[float, Meta(gt=0, le=86400)]
Threshold = Literal["BLOCK_NONE", "OFF", "BLOCK_ONLY_HIGH", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_LOW_AND_ABOVE"]
DEFAULT_SAFETY: dict[str, Threshold] = {
    "HARM_CATEGORY_HATE_SPEECH": "BLOCK_NONE",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT": "BLOCK_NONE",
    "HARM_CATEGORY_DANGEROUS_CONTENT": "BLOCK_NONE",
    "HARM_CATEGORY_HARASSMENT": "BLOCK_NONE",
    "HARM_CATEGORY_CIVIC_INTEGRITY": "BLOCK_NONE",
}
Category = Annotated[str, Meta(pattern="^HARM_CATEGORY_[A-Z_]+$", examples=list(DEFAULT_SAFETY))]


class ListenConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Address for clients. Sockets inherited from systemd take its place."""

    host: Annotated[
        str, Meta(description="Address to listen on; keep the loopback address behind a reverse proxy.")
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="TCP port; 0 selects a free one.")] = 8080
    unix: Annotated[str | None, Meta(description="Path of a Unix socket, in place of host and port.")] = None


class ConnectionsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of clients' connections, on both listeners. Times are in seconds."""

    header_timeout: Annotated[
        Seconds,
        Meta(
            description="Seconds from a request's first byte, or from the connection, to the end of its headers."
        ),
    ] = 20.0
    body_timeout: Annotated[
        Seconds,
        Meta(
            description="Seconds without any byte while the body of a request is received. An upload, "
            "and a message of a WebSocket, must also bring 32 KiB in this time, on average."
        ),
    ] = 30.0
    idle_timeout: Annotated[
        Seconds,
        Meta(
            description="Seconds for which a connection without a request is kept open; longer than a proxy's own, "
            "which must not use a connection that is being closed. So is a WebSocket without an answer of Gemini's."
        ),
    ] = 75.0
    per_address: Annotated[
        int,
        Meta(
            ge=1,
            description="Most connections of one address, of a /64 for IPv6; further ones are answered 429.",
        ),
    ] = 256
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(
            description="Networks whose connections are not counted per address: they carry requests of many clients. "
            "A Unix socket is never counted."
        ),
    ] = ("127.0.0.0/8", "::1/128")

    def networks(self) -> list[IPv4Network | IPv6Network]:
        """Return the trusted networks. Raises ValueError for one that is none."""
        return [ip_network(text) for text in self.trusted_proxies]


class TimeoutsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Timeouts for Gemini, in seconds."""

    connect: Annotated[Seconds, Meta(description="Seconds to open a connection, including DNS and TLS.")] = (
        10.0
    )
    idle: Annotated[
        Seconds, Meta(description="Seconds without any data while an answer is awaited or streamed.")
    ] = 300.0
    total: Annotated[
        Seconds, Meta(description="Seconds for a whole answer, however steadily its bytes arrive.")
    ] = 3600.0
    write: Annotated[
        Seconds, Meta(description="Seconds in which Gemini must take each 64 KiB of a request.")
    ] = 60.0


class UpstreamConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Gemini's API: address, timeouts, retries and hedging."""

    base_url: Annotated[
        str,
        Meta(
            pattern="^https?://[^/?#@]+(/[^?#]*)?$",
            description="Scheme and host of Gemini's API, without the API version.",
        ),
    ] = "https://generativelanguage.googleapis.com"
    api_version: Annotated[
        str, Meta(pattern="^v1(alpha|beta)?$", description="API version: v1, v1alpha or v1beta.")
    ] = "v1beta"
    proxy: Annotated[
        Annotated[str, Meta(pattern="^https?://")] | None,
        Meta(description="HTTP proxy for calls of Gemini."),
    ] = None
    transport: Annotated[
        Literal["http1", "aiohttp"],
        Meta(
            description="HTTP client for calls of Gemini: the gateway's own, or aiohttp's, which takes twice the "
            "processor time. Uploads, and all calls with a `proxy`, use aiohttp's."
        ),
    ] = "http1"
    private_addresses: Annotated[
        bool,
        Meta(
            description="Accept private addresses in DNS for the host of `base_url`, as for Private Service Connect "
            "or a relay of your own. Otherwise they are refused, because they would receive the keys. Addresses in "
            "`base_url` itself and names such as localhost are always accepted."
        ),
    ] = False
    timeouts: TimeoutsConfig = TimeoutsConfig()
    retry: RetryConfig = RetryConfig()
    hedge: HedgeConfig = HedgeConfig()


class StreamConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Timing of streamed answers, in seconds."""

    first_byte_grace: Annotated[
        Seconds,
        Meta(
            description="Seconds to wait for content before answering 200, so that an early failure has its own status."
        ),
    ] = 15.0
    keep_alive: Annotated[
        Seconds,
        Meta(
            description="Seconds of silence after which a ping, another event or a comment is sent, as the surface "
            "has it, so that proxies keep the connection open and clients wait."
        ),
    ] = 15.0
    write_timeout: Annotated[
        Seconds, Meta(description="Seconds after which a client that reads nothing is disconnected.")
    ] = 60.0


class CorsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Cross-origin requests from browsers. Credentials are never allowed."""

    origins: Annotated[
        tuple[str, ...], Meta(description='Allowed origins, such as "https://chat.example"; "*" allows all.')
    ] = ("*",)


class LoggingConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Log on standard error."""

    exchanges: Annotated[
        bool, Meta(description="Write one JSON line per request, without keys and content.")
    ] = True


class ProjectConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A Google project and its API keys, or its place on Vertex AI. Quotas are per project."""

    name: Annotated[
        str, Meta(pattern="^[a-z0-9-]{1,40}$", description="Name of the project in logs and in the ledger.")
    ]
    keys: Annotated[
        tuple[Secret, ...],
        Meta(
            min_length=1,
            description="API keys of the project, each as {env: NAME} or {credential: NAME}. Left out with "
            "`vertex.project` only.",
        ),
    ] = ()
    models: Annotated[
        tuple[str, ...],
        Meta(description="Patterns of the models it serves, such as gemini-2.5-*; empty: all."),
    ] = ()
    vertex: Annotated[
        VertexConfig | None,
        Meta(description="Call the project on Vertex AI; `{}` for express keys. Else on the Gemini API."),
    ] = None


class PoolSection(PoolConfig, frozen=True, forbid_unknown_fields=True):
    """Google projects that serve clients with issued keys."""

    projects: Annotated[
        tuple[ProjectConfig, ...], Meta(description="Google projects of your own, each with its API keys.")
    ] = ()


class LedgerSection(LedgerConfig, frozen=True, forbid_unknown_fields=True):
    """Database of Gemini calls, issued keys and budgets. Enabled by a URL or by a pool."""

    password: Annotated[
        Secret | None, Meta(description="Password for PostgreSQL, as {env: NAME} or {credential: NAME}.")
    ] = None


class StateSection(StateConfig, frozen=True, forbid_unknown_fields=True):
    """State between requests: thought signatures, stored responses, cached answers, owners of files."""

    redis: Annotated[
        Annotated[str, Meta(pattern="^rediss?://[^@]*$|^unix://")] | None,
        Meta(
            description="Redis that all machines share, such as redis://10.0.0.5:6379/0, without a password."
        ),
    ] = None
    redis_password: Annotated[
        Secret | None, Meta(description="Password for Redis, as {env: NAME} or {credential: NAME}.")
    ] = None
    machines: Annotated[
        int,
        Meta(
            ge=1,
            le=1000,
            description="Processes that share Redis. While it fails, each enforces its fraction of every limit.",
        ),
    ] = 2


class GatewayConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. Every section and key is optional."""

    listen: ListenConfig = ListenConfig()
    upstream: UpstreamConfig = UpstreamConfig()
    models: ModelsConfig = ModelsConfig()
    abilities: Annotated[
        dict[str, dict[str, Any]],
        Meta(
            description="Capabilities of models by name pattern, over the shipped table (gateway/config/models.yaml)."
        ),
    ] = {}
    safety: Annotated[
        dict[Category, Threshold],
        Meta(
            description="Threshold per harm category, unless the client sets its own. "
            "{} leaves all to Gemini's defaults."
        ),
    ] = field(default_factory=lambda: dict(DEFAULT_SAFETY))
    compat: Annotated[
        Literal["lenient", "strict"],
        Meta(
            description="Treatment of request fields that Gemini has no counterpart for: `lenient` notes them in a "
            "header, `strict` answers 400 to those that would change the answer."
        ),
    ] = "lenient"
    limits: LimitsConfig = LimitsConfig()
    connections: ConnectionsConfig = ConnectionsConfig()
    media: MediaConfig = MediaConfig()
    state: StateSection = StateSection()
    cache: CacheConfig = CacheConfig()
    auth: AuthConfig = AuthConfig()
    pool: PoolSection = PoolSection()
    ledger: LedgerSection = LedgerSection()
    admin: AdminConfig = AdminConfig()
    stream: StreamConfig = StreamConfig()
    cors: CorsConfig = CorsConfig()
    logging: LoggingConfig = LoggingConfig()
    drain: Annotated[
        Seconds,
        Meta(description="Seconds for requests in progress to end after SIGTERM, before they are cancelled."),
    ] = 300.0
    plugins: Annotated[
        dict[str, Any],
        Meta(description="Active plugins: name and options of each, in order of registration."),
    ] = field(
        default_factory=lambda: {
            "chat": {},
            "responses": {},
            "messages": {},
            "completions": {},
            "embeddings": {},
            "speech": {},
            "images": {},
            "transcription": {},
            "models": {},
            "files": {},
            "batches": {},
            "key": {},
            "native": {},
            "health": {},
            "hello": {},
        }
    )
