"""Which model answers: the operator's aliases, prefixes and default (design.md decision 4 and 1.1, 4)."""

import re
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from msgspec import Meta, Struct

from gateway.errors import BadRequest, NotFound

_SAFE_ID = re.compile(r"(?:tunedModels/)?[A-Za-z0-9][A-Za-z0-9._@-]*")
_NAMESPACES = ("models/", "google/", "gemini/")

PREFIXES = (
    "gemini-",
    "gemma-",
    "learnlm-",
    "imagen-",
    "veo-",
    "lyria-",
    "nano-banana",
    "aqa",
    "embedding-",
    "text-embedding-0",
    "deep-research-",
    "tunedModels/",
)


class ModelsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Which Gemini model answers for which requested name."""

    default: Annotated[str, Meta(description="The chat model for names that match nothing.")] = (
        "gemini-flash-latest"
    )
    embeddings: Annotated[str, Meta(description="The same for embeddings.")] = "gemini-embedding-001"
    prefixes: Annotated[
        tuple[str, ...],
        Meta(description="A name that starts with one of these is a Gemini model, used as it is."),
    ] = PREFIXES
    aliases: Annotated[
        dict[str, str], Meta(description="Other names for models, such as `gpt-4o: gemini-2.5-pro`.")
    ] = {}
    fallbacks: Annotated[
        dict[str, tuple[str, ...]],
        Meta(
            description="Models that are asked instead, in turn, when one is out of quota or fails; by name pattern, "
            "the last that matches counts."
        ),
    ] = {}
    unknown: Annotated[
        Literal["default", "forward", "reject"],
        Meta(description="What a name that matches nothing becomes: the default model, itself, or a 404."),
    ] = "default"

    def __post_init__(self) -> None:
        chains = (name for chain in self.fallbacks.values() for name in chain)
        for name in (self.default, self.embeddings, *self.aliases.values(), *chains):
            if not _SAFE_ID.fullmatch(name):
                raise ValueError(f"{name!r} is not a model name")


_SEARCH = (":search", "-search-preview")
"""The ancestor's suffixes: the same model, with Google Search (translation.md K)."""


class ModelRoute(Struct, frozen=True):
    """The model that will be asked; `substituted` when it is not the one the client named."""

    model: str
    substituted: bool = False
    search: bool = False
    """The name asked for Google Search."""


def alias_fault(config: ModelsConfig, name: str) -> str | None:
    """Why an alias cannot be, or None."""
    target = config.aliases[name]
    if target in config.aliases:
        return f"{target!r} is an alias itself: name the model"
    if not target.startswith(tuple(config.prefixes)) and config.unknown != "forward":
        return f"{target!r} begins with none of models.prefixes, so it is no model of Gemini's"
    return None


def fallback_fault(config: ModelsConfig, pattern: str) -> str | None:
    """Why a chain cannot be, or None."""
    prefixes = tuple(config.prefixes)
    if not _may_match(pattern, prefixes) and config.unknown != "forward":
        return "begins with none of models.prefixes, so no model is called so: aliases are followed before"
    for name in config.fallbacks[pattern]:
        if name == pattern:
            return f"{name!r} names itself"
        if name in config.aliases:
            return f"{name!r} is an alias: name the model"
        if not name.startswith(prefixes) and config.unknown != "forward":
            return f"{name!r} begins with none of models.prefixes, so it is no model of Gemini's"
    return None


def _may_match(pattern: str, prefixes: tuple[str, ...]) -> bool:
    """Whether a pattern can match a name that begins with one of some prefixes."""
    sure = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    return sure.startswith(prefixes) or (sure != pattern and any(one.startswith(sure) for one in prefixes))


class Catalog:
    """Resolves requested names. Read-only; replaced as a whole when the configuration changes."""

    def __init__(self, config: ModelsConfig) -> None:
        self._config = config
        self._prefixes = tuple(config.prefixes)

    def resolve(self, requested: str | None, default: str | None = None) -> ModelRoute:
        """The model for a name, None meaning the default of its kind (chat, when it is not given).

        Raises BadRequest or NotFound, both naming `model`.
        """
        config = self._config
        default = default or config.default
        if not requested:
            return ModelRoute(default)
        if requested in config.aliases:
            return ModelRoute(config.aliases[requested])
        name = _without_namespace(requested)
        for suffix in _SEARCH:
            if name.endswith(suffix):
                return ModelRoute(*self._named(name.removesuffix(suffix), requested, default), search=True)
        return ModelRoute(*self._named(name, requested, default))

    def fallbacks(self, model: str) -> tuple[str, ...]:
        """The models that may answer in place of one, in turn; never itself."""
        chains = [chain for pattern, chain in self._config.fallbacks.items() if fnmatchcase(model, pattern)]
        return tuple(dict.fromkeys(name for name in chains[-1] if name != model)) if chains else ()

    def _named(self, name: str, requested: str, default: str) -> tuple[str, bool]:
        """The model of a bare name, and whether it is another one."""
        config = self._config
        if name in config.aliases:
            return config.aliases[name], False
        if name.startswith(self._prefixes) or config.unknown == "forward":
            return _safe(name), False
        if config.unknown == "reject":
            raise NotFound(
                f"The model `{requested[:80]}` does not exist here; `models.aliases` can give it a meaning.",
                code="model_not_found",
                param="model",
            )
        return default, True


def _without_namespace(name: str) -> str:
    for namespace in _NAMESPACES:
        name = name.removeprefix(namespace)
    return name


def _safe(name: str) -> str:
    """The name, fit for a URL path (translation.md A.1: nothing else may get there)."""
    if not _SAFE_ID.fullmatch(name) or ".." in name:
        raise BadRequest(
            "not a model name: letters, digits and `._@-` only", param="model", code="invalid_value"
        )
    return name
