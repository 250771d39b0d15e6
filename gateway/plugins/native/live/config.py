"""Configuration of the Live tunnel: `plugins.native.live`."""

from typing import Annotated

from msgspec import Meta, Struct


class LiveConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of Live sessions, which are WebSockets."""

    sessions: Annotated[
        int,
        Meta(ge=0, le=100_000, description="Live sessions at once, of one address half; 0 serves none."),
    ] = 1000
    per_client: Annotated[
        int,
        Meta(ge=1, le=100_000, description="Live sessions at once of one API key; further ones get a 429."),
    ] = 8
    message: Annotated[
        int,
        Meta(
            ge=2**16,
            le=2**26,
            description="Most bytes of a message of either side; a larger one closes with 1009.",
        ),
    ] = 2**26
    idle: Annotated[
        float,
        Meta(
            gt=0,
            le=86_400,
            description="Seconds without a message of either side after which a session is closed.",
        ),
    ] = 900.0
    total: Annotated[float, Meta(gt=0, le=86_400, description="Seconds after which a session is closed.")] = (
        3600.0
    )
