"""Errors about a field say what is wrong, where, and what would be right, in OpenAI's words."""

from gateway.conversation.invalid import missing, too_long, unsupported_value


def test_a_missing_parameter_is_named() -> None:
    error = missing("tools[0].name")

    assert error.message == "Missing required parameter: 'tools[0].name'."
    assert (error.status, error.param, error.code) == (400, "tools[0].name", "missing_required_parameter")


def test_the_supported_values_are_listed_and_a_long_value_is_cut() -> None:
    error = unsupported_value("x" * 41, ("low", "high"), "effort")

    assert error.message == f"Invalid value: '{'x' * 40}'. Supported values are: 'low', 'high'."
    assert (error.status, error.param, error.code) == (400, "effort", "invalid_value")


def test_an_error_about_a_long_array_says_both_lengths() -> None:
    error = too_long("stop", 5, 6)

    assert error.message == (
        "Invalid 'stop': array too long. Expected an array with maximum length 5, "
        "but got an array with length 6 instead."
    )
    assert (error.status, error.param, error.code) == (400, "stop", "array_above_max_length")
