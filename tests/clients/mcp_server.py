"""MCP server of one tool over standard input and output (https://modelcontextprotocol.io/specification)."""

import json
import sys
from typing import Any

TOOL = {
    "name": "lookup_ticket",
    "description": "Looks up a ticket.",
    "inputSchema": {
        "type": "object",
        "properties": {"number": {"type": "string"}},
        "required": ["number"],
    },
}


def result(request: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a request."""
    match request["method"]:
        case "initialize":
            version = request["params"]["protocolVersion"]
            server = {"name": "tracker", "version": "1"}
            return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": server}
        case "tools/list":
            return {"tools": [TOOL]}
        case "tools/call":
            return {"content": [{"type": "text", "text": "TICKET-42"}]}
    return {}


if __name__ == "__main__":
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:  # a notification gets no answer
            answer = {"jsonrpc": "2.0", "id": message["id"], "result": result(message)}
            print(json.dumps(answer), flush=True)
