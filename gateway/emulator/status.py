"""Google's error object: what a refusal says, and the exception that carries it out of a check."""

from typing import Any

from msgspec import Struct

_RPC = "type.googleapis.com/google.rpc"


class Refusal(Struct, frozen=True):
    """Google's error status: HTTP code, name, message, and the field it blames."""

    code: int
    status: str
    message: str
    field: str | None = None
    reason: str | None = None

    def body(self) -> dict[str, Any]:
        """google.rpc.Status as Google prints it."""
        error: dict[str, Any] = {"code": self.code, "message": self.message, "status": self.status}
        if self.field is not None:
            violation = {"field": self.field, "description": self.message}
            error["details"] = [{"@type": f"{_RPC}.BadRequest", "fieldViolations": [violation]}]
        if self.reason is not None:
            info = {"reason": self.reason, "domain": "googleapis.com"}
            error["details"] = [{"@type": f"{_RPC}.ErrorInfo", **info}]
        return {"error": error}


class RefusedError(Exception):
    """Carries the refusal; a 400 unless the status says otherwise."""

    def __init__(
        self, message: str, field: str | None = None, code: int = 400, status: str = "INVALID_ARGUMENT"
    ) -> None:
        self.refusal = Refusal(code, status, message, field)
