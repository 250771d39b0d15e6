"""Model catalog: which Gemini model answers for a requested name, by the operator's aliases, prefixes and default."""

import re
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

from gateway.errors import BadRequest, Forbidden, NotFound, scrub
from gateway.policy.clients.client_rules import Rules
from gateway.policy.models.successors import Successor

_SAFE_ID = re.compile(r"(?:tunedModels/)?[A-Za-z0-9][A-Za-z0-9._@-]*")
MAX_NAME = 256
"""Characters of a model name. Names are kept in caches, statistics and log lines; Gemini's longest have about 60."""
_NAMESPACES = ("models/", "google/", "gemini/")

_TUNED = "tunedModels/"
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
    _TUNED,
)


class ModelsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The mapping of requested names to Gemini's models."""

    default: Annotated[str, Meta(description="Chat model for names that match no alias and no prefix.")] = (
        "gemini-flash-latest"
    )
    embeddings: Annotated[
        str, Meta(description="Embedding model for names that match no alias and no prefix.")
    ] = "gemini-embedding-001"
    image: Annotated[
        str, Meta(description="Image model for names that match no alias and no prefix, such as dall-e-3.")
    ] = "gemini-nano-banana-2.1"
    speech: Annotated[
        str, Meta(description="Speech model for names that match no alias and no prefix, such as tts-1.")
    ] = "gemini-3.8-flash-lite-tts"
    transcription: Annotated[
        str,
        Meta(
            description="Transcription model for names that match no alias and no prefix, such as whisper-1."
        ),
    ] = "gemini-3.5-transcribe"
    live: Annotated[
        str, Meta(description="Live model for names that match no alias and no prefix, such as gpt-realtime.")
    ] = "gemini-3.8-live"
    video: Annotated[
        str, Meta(description="Video model for names that match no alias and no prefix, such as sora-2.")
    ] = "gemini-omni-1.2-flash"
    prefixes: Annotated[
        tuple[str, ...],
        Meta(description="Beginnings of names that are Gemini models and used unchanged."),
    ] = PREFIXES
    aliases: Annotated[
        dict[str, str], Meta(description="Other names for models, such as `gpt-4o: gemini-2.5-pro`.")
    ] = {}
    successors: Annotated[
        dict[str, Successor],
        Meta(
            description="Models that answer for others' names, over the shipped models.yaml; such as "
            "`gemini-2.5-pro: {model: gemini-3.8-flash, from: 2026-12-01}`."
        ),
    ] = {}
    fallbacks: Annotated[
        dict[str, tuple[str, ...]],
        Meta(
            description="Models to call in turn when one is out of quota or fails, by name pattern; "
            "the last pattern that matches applies. Such as `gemini-2.5-pro: [gemini-2.5-flash]`."
        ),
    ] = {}
    unknown: Annotated[
        Literal["default", "forward", "reject"],
        Meta(
            description="For names that match nothing: use the default model, forward the name, or answer 404."
        ),
    ] = "default"

    def __post_init__(self) -> None:
        chains = (name for chain in self.fallbacks.values() for name in chain)
        answering = (successor.model for successor in self.successors.values())
        defaults = self.defaults.values()
        for name in (*defaults, *self.aliases.values(), *chains, *answering):
            if not _SAFE_ID.fullmatch(name):
                raise ValueError(f"{name!r} is not a model name")

    @property
    def defaults(self) -> dict[str, str]:
        """The default model of each kind by the name of its setting."""
        return {kind: getattr(self, kind) for kind in _DEFAULTS}


_DEFAULTS = ("default", "embeddings", "image", "speech", "transcription", "live", "video")
_SEARCH = (":search", "-search-preview")
"""Suffixes of OpenAI's search models (`gpt-4o-search-preview`), and a short form: the model with Google Search."""


class ModelRoute(Struct, frozen=True):
    """The model to call. `substituted` is true when the client named another one."""

    model: str
    substituted: bool = False
    search: bool = False
    """Whether the requested name asks for Google Search."""
    overruled: str = ""
    """`model` or `deployment`, if the request names another model there, which does not count."""

    @property
    def notes(self) -> list[str]:
        """Fields that are not honoured."""
        return ["model"] if self.substituted else [self.overruled] if self.overruled else []


def alias_fault(config: ModelsConfig, name: str) -> str | None:
    """Return the fault of an alias in the configuration, or None."""
    target = config.aliases[name]
    if target in config.aliases:
        return f"{target!r} is an alias itself; name the model"
    if not target.startswith(tuple(config.prefixes)) and config.unknown != "forward":
        return f"{target!r} begins with none of models.prefixes, so it is not a Gemini model"
    return None


def fallback_fault(config: ModelsConfig, pattern: str) -> str | None:
    """Return the fault of a chain of fallbacks in the configuration, or None."""
    prefixes = tuple(config.prefixes)
    if not _may_match(pattern, prefixes) and config.unknown != "forward":
        return "begins with none of models.prefixes, so it matches no model; aliases are resolved before"
    for name in config.fallbacks[pattern]:
        if name == pattern:
            return f"{name!r} is its own fallback"
        if name in config.aliases:
            return f"{name!r} is an alias; name the model"
        if not name.startswith(prefixes) and config.unknown != "forward":
            return f"{name!r} begins with none of models.prefixes, so it is not a Gemini model"
    return None


def successor_fault(config: ModelsConfig, name: str) -> str | None:
    """Return the fault of a successor in the configuration, or None."""
    if name in config.aliases:
        return f"{name!r} is an alias, which names its model already"
    for model in (name, config.successors[name].model):
        if (message := model_fault(config, model)) is not None:
            return message
    return None


def model_fault(config: ModelsConfig, pattern: str) -> str | None:
    """Return the fault of a name or name pattern that stands for models of Gemini, or None."""
    if not _may_match(pattern, tuple(config.prefixes)) and config.unknown != "forward":
        return f"{pattern!r} begins with none of models.prefixes, so it matches no model"
    return None


def _may_match(pattern: str, prefixes: tuple[str, ...]) -> bool:
    """Return whether a pattern can match a name that begins with one of the prefixes."""
    literal = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    return literal.startswith(prefixes) or (
        literal != pattern and any(prefix.startswith(literal) for prefix in prefixes)
    )


def excluded_defaults(config: ModelsConfig, rules: Rules) -> list[str]:
    """Return a sentence for each default model that the rules of a key do not allow."""
    notes = []
    which = (
        "without a model, or with a name that is none of Gemini's,"
        if config.unknown == "default"
        else "without a model"
    )
    for kind, model in (("chat", config.default), ("embeddings", config.embeddings)):
        if not rules.allows(model):
            notes.append(
                f"The rules exclude {model}, the default model for {kind}: requests {which} get 403 model_not_allowed. "
                "Allow it with --models, or give such names an --alias for a model that is allowed."
            )
    return notes


class Catalog:
    """Resolves model names. Immutable; replaced as a whole when the configuration changes."""

    def __init__(self, config: ModelsConfig) -> None:
        self._config = config
        self._prefixes = tuple(config.prefixes)
        self._known = lru_cache(1024)(self.resolve)

    def resolve(self, requested: str | None, default: str | None = None) -> ModelRoute:
        """Return the model for a requested name. Without a name it is `default`, or else the default for chat.

        Raises BadRequest or NotFound with `param` "model".
        """
        check_length(requested)
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

    def route(
        self,
        rules: Rules,
        requested: str | None,
        default: str | None = None,
        *,
        issued: bool,
        deployment: str = "",
    ) -> ModelRoute:
        """Return the model that a name stands for to a client. Raises BadRequest, Forbidden or NotFound for `model`.

        A tuned model belongs to a whole Google project: a client with an `issued` key reaches it by aliases only.
        A `deployment`, Azure's name for a model, counts unless the request names one of Gemini's.
        """
        check_length(requested)
        if deployment and requested != deployment:
            counts = requested if requested and self._is_geminis(requested) else deployment
            overruled = "deployment" if counts == requested else "model" if requested else ""
            return structs.replace(self.route(rules, counts, default, issued=issued), overruled=overruled)
        route = self._known(rules.model(requested) if requested and rules.aliases else requested, default)
        if rules.models:
            rules.check(route.model, requested or "")
        if issued and requested and route.model.startswith(_TUNED) and route.model in requested:
            raise Forbidden(
                "This model needs a Gemini API key of your own, because it belongs to a whole Google project.",
                code="not_for_issued_keys",
                param="model",
            )
        return route

    def fallbacks(self, model: str) -> tuple[str, ...]:
        """Return the models to call in turn when `model` fails, without itself."""
        if not self._config.fallbacks:
            return ()
        chains = [chain for pattern, chain in self._config.fallbacks.items() if fnmatchcase(model, pattern)]
        return tuple(dict.fromkeys(name for name in chains[-1] if name != model)) if chains else ()

    def _is_geminis(self, name: str) -> bool:
        return name in self._config.aliases or _without_namespace(name).startswith(self._prefixes)

    def _named(self, name: str, requested: str, default: str) -> tuple[str, bool]:
        """Return the model for a name without namespace, and whether another model is substituted."""
        config = self._config
        if name in config.aliases:
            return config.aliases[name], False
        if name.startswith(self._prefixes) or config.unknown == "forward":
            return _safe(name), False
        if config.unknown == "reject":
            raise NotFound(
                f"The model `{scrub(requested)[:80]}` does not exist or you do not have access to it.",
                code="model_not_found",
                param="model",
            )
        return default, True


def check_length(name: str | None) -> None:
    """Raise BadRequest for a model name that is longer than any model's, in the words of OpenAI's API."""
    if name is not None and len(name) > MAX_NAME:
        raise BadRequest(
            f"Invalid 'model': string too long. Expected a string with maximum length {MAX_NAME}, "
            f"but got a string with length {len(name)} instead.",
            param="model",
            code="string_above_max_length",
        )


def _without_namespace(name: str) -> str:
    for namespace in _NAMESPACES:
        name = name.removeprefix(namespace)
    return name


@lru_cache(1024)
def _safe(name: str) -> str:
    """Return the name if it is safe in a URL path, where it is put unescaped, and no key. Raises BadRequest."""
    if not _SAFE_ID.fullmatch(name) or ".." in name or scrub(name) != name:
        raise BadRequest(
            "Invalid model name: only letters, digits and `._@-` are allowed.",
            param="model",
            code="invalid_value",
        )
    return name
