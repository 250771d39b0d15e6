"""Options of the plugin `caching`."""

from typing import Annotated

from msgspec import Meta, Struct


class CachingConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Options of `plugins.caching`."""

    least: Annotated[
        int,
        Meta(
            ge=1024,
            le=1_000_000,
            description="Tokens of the shortest beginning, roughly. Google's least is 4096.",
        ),
    ] = 8192
    asks: Annotated[
        int, Meta(ge=2, le=100, description="How often a beginning must come, each time within `ttl`.")
    ] = 2
    ttl: Annotated[
        float,
        Meta(
            ge=60,
            le=86_400,
            description="Seconds for which Google keeps a cache; put off while it is in use.",
        ),
    ] = 600.0
    most: Annotated[int, Meta(ge=1, le=1000, description="Most caches of one client at a time.")] = 8
    dollars: Annotated[
        float,
        Meta(ge=0, le=100_000, description="US dollars a day for the caches of one client; 0: none is made."),
    ] = 1.0
    own_keys: Annotated[
        bool,
        Meta(description="Make caches for clients with a Gemini key of their own, too: Google bills them."),
    ] = False
