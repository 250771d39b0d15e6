"""Errors about a field of the client's request, in the words of OpenAI's API."""

from collections.abc import Iterable

from gateway.errors import BadRequest

_LONGEST = 40
"""Characters of a client's value that an error repeats."""


def missing(param: str) -> BadRequest:
    """Return the error for a required parameter that is not there."""
    return BadRequest(
        f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
    )


def unsupported_value(value: str, supported: Iterable[str], param: str) -> BadRequest:
    """Return the error for a value that is none of the supported ones."""
    known = ", ".join(f"'{name}'" for name in supported)
    return BadRequest(
        f"Invalid value: '{value[:_LONGEST]}'. Supported values are: {known}.",
        param=param,
        code="invalid_value",
    )


def too_long(param: str, most: int, length: int) -> BadRequest:
    """Return the error for an array with too many items."""
    return BadRequest(
        f"Invalid '{param}': array too long. Expected an array with maximum length {most}, "
        f"but got an array with length {length} instead.",
        param=param,
        code="array_above_max_length",
    )
