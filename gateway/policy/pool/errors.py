"""Errors of the pool for a call that no project is free for."""

from collections.abc import Collection

from gateway.errors import BadRequest, PoolExhausted

_LONG_WAIT = 60.0
"""Seconds above which the official SDKs are told not to retry by themselves."""


def too_large(model: str, limit: int) -> PoolExhausted:
    """Return the error for a prompt that no project takes: it is larger than their tokens per minute."""
    return PoolExhausted(
        f"Request too large for {model} on input tokens per minute (TPM): Limit {limit}. "
        "The input tokens must be reduced in order to run successfully.",
        type="tokens",
        should_retry=False,
    )


def exhausted(model: str, wait: float, spent: Collection[bool], *, pinned: bool) -> PoolExhausted:
    """Return the error for a model that no project is free for. `spent`: whether projects wait for quota or not."""
    projects, have, are = (
        ("The Google project that holds these files", "has", "is")
        if pinned
        else ("All Google projects of this gateway", "have", "are")
    )
    quota = f"{have} used up the quota" + (f" for {model}" if model else "")
    failures = f"{are} cooling down after failed calls"
    causes = [text for text, is_cause in ((quota, True in spent), (failures, False in spent)) if is_cause]
    return PoolExhausted(
        f"{projects} {' or '.join(causes)}.",
        retry_after=wait,
        should_retry=False if wait > _LONG_WAIT else None,
    )


class NotOnVertex(BadRequest):
    """A call that Vertex AI cannot serve, where all projects are on it."""

    code = "unsupported"

    def __init__(self, model: str) -> None:
        purpose = f" for {model}" if model else ""
        super().__init__(
            f"Vertex AI does not have this method, or a part of this request{purpose}, and all Google projects of "
            "this gateway are there. Its operator can add a project of the Gemini API to `pool.projects`."
        )
