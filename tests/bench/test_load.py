"""Closed loops by wrk."""

import pytest

from bench.bodies import unusual
from bench.load import Closed, failures, parse, script_of


def test_the_time_of_a_request_is_that_of_all_servers() -> None:
    assert Closed(1000, 500.0, [0.05, 0.03]).micros == 80


def test_figures_are_read_off_the_line_of_the_script() -> None:
    output = 'Running 2s test\n  10 requests\nJSON {"requests": 10, "rps": 5.5}\n'

    assert parse(output) == {"requests": 10, "rps": 5.5}
    with pytest.raises(RuntimeError, match="no figures: 'unable to connect'"):
        parse("unable to connect")


def test_the_script_has_headers_and_body() -> None:
    request = unusual()["Messages"]

    script = script_of(request, "AQ.k")

    assert 'wrk.headers["Authorization"] = "Bearer AQ.k"\n' in script
    assert 'wrk.headers["anthropic-version"] = "2023-06-01"\n' in script
    assert f"wrk.body = [==[{request.body.decode()}]==]" in script
    assert 'JSON {"requests": %d' in script


def test_failures_are_told_by_kind() -> None:
    well = {"requests": 10.0, "connect": 0.0, "read": 0.0, "write": 0.0, "status": 0.0, "timeout": 0.0}

    assert failures(well) == ""
    assert failures({**well, "read": 2.0, "status": 1.0}) == "read 2, status 1"
