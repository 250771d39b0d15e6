"""The response object before anything was said."""

import json

from gateway.plugins.responses.response_object import new_response
from tests.support.responses import body_of


def test_tools_and_their_choice_are_repeated_without_nulls() -> None:
    allowed = {
        "type": "allowed_tools",
        "mode": "auto",
        "tools": [{"type": "function", "name": "f"}, {"type": "web_search"}],
    }
    request = {
        "input": "x",
        "tool_choice": allowed,
        "tools": [
            {"type": "function", "name": "f"},
            {"type": "namespace", "name": "n", "tools": [{"type": "custom", "name": "c"}]},
        ],
    }
    response = json.loads(json.dumps(new_response("resp_1", body_of(request), "m", 1)))

    assert response["tool_choice"] == allowed
    assert response["tools"] == [
        {"type": "function", "name": "f", "description": None, "parameters": None, "strict": False},
        {"type": "namespace", "name": "n", "tools": [{"type": "custom", "name": "c"}]},
    ]
