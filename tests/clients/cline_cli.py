"""Cline's command line: chat completions through the AI SDK, streamed, with its own tools; several turns of a session."""

import json
from pathlib import Path
from typing import Any

from tests.clients import cli, common
from tests.clients.terminal import Terminal

DATA = cli.HOME / ".cline" / "data"
ENVIRON = {"CLINE_SESSION_BACKEND_MODE": "local"}
NO_DAEMON = "compatible_hub_unavailable"
"""Reason of a fallback in Cline's log that has nothing to do with its model."""


def ask(prompt: str, *options: str, key: str = common.API_KEY) -> cli.Result:
    """Run Cline with one message; it prints its events as JSON lines, and logs to a file."""
    environ = {**cli.connect("cline", key), **ENVIRON}
    result = cli.execute("cline", ["--json", *options, prompt], environ)
    read_log()
    return result


def read_log() -> None:
    """Let the check's watch read Cline's log."""
    lines = (DATA / "logs" / "cline.log").read_text().splitlines()
    common.watch().read("\n".join(line for line in lines if NO_DAEMON not in line))


def outputs(result: cli.Result, name: str) -> list[Any]:
    """Return what a tool's calls put out. Raises AssertionError for a call that failed."""
    events = (line.get("event", {}) for line in cli.json_lines(result.stdout))
    ends = [event for event in events if event.get("type") == "content_end" and event.get("toolName") == name]
    entries = [entry for end in ends for entry in end["output"]]
    assert all(entry["success"] for entry in entries), entries
    return entries


def answer(result: cli.Result) -> str:
    """Return the text of the last event. Raises AssertionError if the run did not end well."""
    runs = [line for line in cli.json_lines(result.stdout) if line.get("type") == "run_result"]
    assert runs, f"no result: {cli.output_end(result)}"
    assert runs[-1]["finishReason"] == "completed", runs[-1]
    text: str = runs[-1]["text"]
    return text


def answers(session: Path) -> list[str]:
    """Return the model's texts of a session."""
    messages = json.loads((session / f"{session.name}.messages.json").read_text())["messages"]
    blocks = [block for message in messages if message["role"] == "assistant" for block in message["content"]]
    return [block["text"] for block in blocks if block["type"] == "text"]


def chat_stream() -> str:
    return common.excerpt(answer(ask(common.CHAT_PROMPT)))


def tools() -> str:
    path = cli.WORK / "cline.txt"
    prompt = f"Use the tool run_commands to run: echo {common.TOOL_RESULT} > {path}. Then report its output."
    result = ask(prompt)
    assert outputs(result, "run_commands"), f"no command ran: {cli.output_end(result)}"
    assert common.TOOL_RESULT in path.read_text()
    return common.excerpt(answer(result))


def turns() -> str:
    """Resume a session, which only the terminal offers, for two more turns with tools."""
    source = cli.WORK / "source.txt"
    source.write_text(common.TOOL_RESULT)
    first = ask("In two steps, use the tool run_commands to run: date")
    assert len(outputs(first, "run_commands")) == 2, cli.output_end(first)
    session = max((DATA / "sessions").iterdir(), key=lambda folder: int(folder.name.partition("_")[0]))
    environ = cli.environment({**cli.connect("cline", common.API_KEY), **ENVIRON})
    terminal = Terminal(cli.path_of("cline"), ["--id", session.name], environ, cli.WORK)
    try:
        terminal.wait(lambda screen: "Ask anything" in screen)
        for prompt in (
            f"Use the tool read_files on the file {source.name}.",
            f"Use the tool run_commands to run: cat {source.name}. Then report.",
        ):
            before = len(answers(session))
            terminal.enter(prompt, lambda count=before: len(answers(session)) > count)  # type: ignore[misc]
    finally:
        terminal.end()
        cli.execute("cline", ["hub", "stop"], environ)  # the terminal has started a daemon
    read_log()
    assert [common.TOOL_RESULT in text for text in answers(session)] == [False, True, True], answers(session)
    return "three turns"


def yolo() -> str:
    """End by a tool, which this mode demands."""
    result = ask(common.CHAT_PROMPT, "--yolo")
    return common.excerpt(answer(result))


def badkey() -> str:
    return cli.expect_401(ask("Say hello.", key=common.BAD_KEY))


if __name__ == "__main__":
    cli.run(
        "cline",
        {
            "chat_stream": chat_stream,
            "tools": tools,
            "turns": turns,
            "yolo": yolo,
            "structured": None,
            "image": None,
            "badkey": badkey,
        },
    )
