"""Google's error answers, and the errors for keys and models that a request may not use."""

import re
from typing import Any, NamedTuple, Self

from aiohttp import web
from msgspec import Struct

from gateway.emulator.models import MODELS, model_of

BIDI = "bidiGenerateContent"
"""Method of the models of the Live API."""
GEMINI = "generativelanguage.googleapis.com"
_RPC = "type.googleapis.com/google.rpc"
_BAD_KEY = re.compile(r"bad|invalid", re.I)
_NO_KEY = (
    "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or "
    "other form of API consumer identity to call this API."
)


class Violation(NamedTuple):
    """A mistake in a request (google.rpc.BadRequest.FieldViolation). `field` is empty for the request itself."""

    field: str
    description: str

    def body(self) -> dict[str, str]:
        """Return the JSON object, which has no empty field."""
        return {name: value for name, value in self._asdict().items() if value}


class Refusal(Struct, frozen=True):
    """A google.rpc.Status: HTTP code, status name and message, with its mistakes or the reason it names."""

    code: int
    status: str
    message: str
    violations: tuple[Violation, ...] = ()
    reason: str | None = None
    service: str = GEMINI

    def body(self) -> dict[str, Any]:
        """Return the JSON body that Google sends."""
        error: dict[str, Any] = {"code": self.code, "message": self.message, "status": self.status}
        if self.violations:
            violations = [violation.body() for violation in self.violations]
            error["details"] = [{"@type": f"{_RPC}.BadRequest", "fieldViolations": violations}]
        if self.reason is not None:
            service = {"service": self.service}
            info = {"reason": self.reason, "domain": "googleapis.com", "metadata": service}
            localized = {"locale": "en-US", "message": self.message}
            error["details"] = [
                {"@type": f"{_RPC}.ErrorInfo", **info},
                {"@type": f"{_RPC}.LocalizedMessage", **localized},
            ]
        return {"error": error}


class RefusedError(Exception):
    """An exception that carries a refusal, by default a 400."""

    def __init__(
        self,
        message: str,
        violations: tuple[Violation, ...] = (),
        code: int = 400,
        status: str = "INVALID_ARGUMENT",
    ) -> None:
        self.refusal = Refusal(code, status, message, violations)

    @classmethod
    def of(cls, refusal: Refusal) -> Self:
        """Return the exception that carries a refusal."""
        error = cls(refusal.message)
        error.refusal = refusal
        return error


def key_refusal(request: web.Request, service: str = GEMINI) -> Refusal | None:
    """Return the refusal of a missing key, or of one that contains `bad` or `invalid`."""
    key = request.headers.get("x-goog-api-key") or request.query.get("key")
    if not key:
        return Refusal(403, "PERMISSION_DENIED", _NO_KEY)
    if _BAD_KEY.search(key):
        message = "API key not valid. Please pass a valid API key."
        return Refusal(400, "INVALID_ARGUMENT", message, reason="API_KEY_INVALID", service=service)
    return None


def _supports(model: str, verb: str) -> bool:
    kind = model_of(model)
    if "transcribe" in model:  # interactions alone
        return verb == "countTokens"
    if kind.live or verb == BIDI:
        return kind.live and verb == BIDI
    return verb == "countTokens" or kind.embeddings == (verb in ("embedContent", "batchEmbedContents"))


def model_refusal(model: str, verb: str, version: str = "v1beta") -> Refusal | None:
    """Return the refusal of an unknown model, or of one that does not support the method; `""` is models.get."""
    if model in MODELS and (verb == "" or _supports(model, verb)):
        return None
    return Refusal(
        404, "NOT_FOUND",
        f"models/{model} is not found for API version {version}, or is not supported for {verb or 'GetModel'}. Call "
        "ListModels to see the list of available models and their supported methods.",
    )  # fmt: skip
