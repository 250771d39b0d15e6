"""The whole configuration: one Struct for each section of the YAML.

Sections of pure parts are defined beside the classes they configure and composed here. The shell's (listening,
the upstream connection, CORS, logging) stand here themselves, because this layer must not import the shell.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from gateway.config.secret import Secret
from gateway.policy.access import AuthConfig
from gateway.policy.admission import LimitsConfig
from gateway.policy.catalog import ModelsConfig
from gateway.policy.hedging import HedgeConfig
from gateway.policy.keypool import PoolConfig
from gateway.policy.ledger import LedgerConfig
from gateway.policy.retry import RetryConfig
from gateway.policy.ssrf import MediaConfig
from gateway.store.key_value import StateConfig
from gateway.store.response_cache import CacheConfig

Seconds = Annotated[float, Meta(gt=0, le=86400)]
Threshold = Literal["BLOCK_NONE", "OFF", "BLOCK_ONLY_HIGH", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_LOW_AND_ABOVE"]
Category = Annotated[str, Meta(pattern="^HARM_CATEGORY_[A-Z_]+$")]

ANCESTOR_SAFETY: dict[str, Threshold] = {
    "HARM_CATEGORY_HATE_SPEECH": "BLOCK_NONE",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT": "BLOCK_NONE",
    "HARM_CATEGORY_DANGEROUS_CONTENT": "BLOCK_NONE",
    "HARM_CATEGORY_HARASSMENT": "BLOCK_NONE",
    "HARM_CATEGORY_CIVIC_INTEGRITY": "BLOCK_NONE",
}


class ListenConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where clients connect. A socket inherited from systemd is used instead, when there is one."""

    host: Annotated[str, Meta(description="Address to listen on; keep loopback behind nginx.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="TCP port; 0 takes a free one.")] = 8080
    unix: Annotated[
        str | None, Meta(description="Path of a unix socket to listen on instead of host and port.")
    ] = None


class TimeoutsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Patience with the upstream, in seconds."""

    connect: Annotated[Seconds, Meta(description="To open a connection, TLS included.")] = 10.0
    idle: Annotated[Seconds, Meta(description="Of silence while an answer is awaited or streamed.")] = 300.0


class UpstreamConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Gemini's own API, and the way to it."""

    base_url: Annotated[
        str,
        Meta(pattern="^https?://[^/?#@]+(/[^?#]*)?$", description="Scheme and host, no API version."),
    ] = "https://generativelanguage.googleapis.com"
    api_version: Annotated[str, Meta(pattern="^v1(alpha|beta)?$", description="v1, v1alpha or v1beta.")] = (
        "v1beta"
    )
    proxy: Annotated[
        Annotated[str, Meta(pattern="^https?://")] | None,
        Meta(description="HTTP proxy for the way to Gemini."),
    ] = None
    timeouts: TimeoutsConfig = TimeoutsConfig()
    retry: RetryConfig = RetryConfig()
    hedge: HedgeConfig = HedgeConfig()


class StreamConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How streams are kept alive, in seconds."""

    first_byte_grace: Annotated[
        Seconds,
        Meta(
            description="Wait this long for real content before answering 200, so that failures keep their status."
        ),
    ] = 25.0
    keep_alive: Annotated[
        Seconds, Meta(description="Silence before a comment is sent to keep proxies patient.")
    ] = 15.0
    write_timeout: Annotated[
        Seconds, Meta(description="A client that reads nothing for this long is cut off.")
    ] = 60.0


class CorsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Which web pages may call the gateway from a browser. Credentials are never allowed."""

    origins: Annotated[
        tuple[str, ...], Meta(description='Origins such as "https://chat.example"; "*" is everybody.')
    ] = ("*",)


class LoggingConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What is written to standard error."""

    exchanges: Annotated[
        bool, Meta(description="One JSON line for each exchange; never a key, never content.")
    ] = True


class ProjectConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One Google project of the operator's, with its keys."""

    name: Annotated[str, Meta(pattern="^[a-z0-9-]{1,40}$", description="How logs and the ledger call it.")]
    keys: Annotated[
        tuple[Secret, ...],
        Meta(min_length=1, description="Where its keys are: {env: NAME} or {credential: NAME}."),
    ]
    models: Annotated[
        tuple[str, ...],
        Meta(description="Patterns of the models it serves, such as gemini-2.5-*; none: all."),
    ] = ()


class PoolSection(PoolConfig, frozen=True, forbid_unknown_fields=True):
    """Google projects whose keys serve the clients that hold a key of the gateway's."""

    projects: tuple[ProjectConfig, ...] = ()


class LedgerSection(LedgerConfig, frozen=True, forbid_unknown_fields=True):
    """Where every call of Gemini is written down, with the clients' keys and budgets."""

    password: Annotated[
        Secret | None, Meta(description="PostgreSQL's password: {env: NAME} or {credential: NAME}.")
    ] = None


class StateSection(StateConfig, frozen=True, forbid_unknown_fields=True):
    """What the gateway remembers between requests."""

    redis: Annotated[
        Annotated[str, Meta(pattern="^rediss?://[^@]*$|^unix://")] | None,
        Meta(description="redis://host:6379/0, shared by all machines; its password is told below."),
    ] = None
    redis_password: Annotated[
        Secret | None, Meta(description="Redis's password: {env: NAME} or {credential: NAME}.")
    ] = None
    machines: Annotated[
        int,
        Meta(
            ge=1,
            le=1000,
            description="Processes that share it: while it fails each has that part of a limit.",
        ),
    ] = 2


class AdminConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A second listener, for who runs the gateway: keys, usage, the pool's state, metrics."""

    token: Annotated[
        Secret | None,
        Meta(
            description="Bearer token of the admin API: {env: NAME} or {credential: NAME}; none: only metrics."
        ),
    ] = None
    host: Annotated[str, Meta(description="Address to listen on; keep it private.")] = "127.0.0.1"
    port: Annotated[
        Annotated[int, Meta(ge=0, le=65535)] | None,
        Meta(description="TCP port; none and no `unix`: no admin listener."),
    ] = None
    unix: Annotated[str | None, Meta(description="Path of a unix socket instead of host and port.")] = None


class GatewayConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything an operator can say; each section has defaults that work."""

    listen: ListenConfig = ListenConfig()
    upstream: UpstreamConfig = UpstreamConfig()
    models: ModelsConfig = ModelsConfig()
    abilities: Annotated[
        dict[str, dict[str, Any]],
        Meta(description="What models can do, by name pattern, over the shipped table (config/models.yaml)."),
    ] = {}
    safety: Annotated[
        dict[Category, Threshold],
        Meta(description="Harm category to threshold, sent with every request; `{}` leaves it to Gemini."),
    ] = field(default_factory=lambda: dict(ANCESTOR_SAFETY))
    compat: Annotated[
        Literal["lenient", "strict"],
        Meta(description="What becomes of fields that cannot be honoured: a note in the answer, or a 400."),
    ] = "lenient"
    limits: LimitsConfig = LimitsConfig()
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
        Seconds, Meta(description="Seconds that requests in progress may take to end after SIGTERM.")
    ] = 300.0
    plugins: Annotated[
        dict[str, Any], Meta(description="What is served: plugin name to its options, in order.")
    ] = field(
        default_factory=lambda: {
            "chat": {},
            "responses": {},
            "messages": {},
            "completions": {},
            "embeddings": {},
            "models": {},
            "native": {},
            "health": {},
            "hello": {},
        }
    )
