"""Items of tools that Google ran in an earlier response, as the parts that Google gave.

A part that the store has goes back as it came. Of the others, code goes back as code and a search as text.
"""

from collections.abc import Mapping

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.foreign.telling import tell
from gateway.conversation.notes import typed
from gateway.conversation.parts import AnyPart, server_part
from gateway.gemini.wire import CodeExecutionResult, ExecutableCode, Part
from gateway.plugins.responses.hosted_items import FAILED, PREFIXES
from gateway.plugins.responses.wire import Item

_MOST_OUTPUTS = 1000
"""Outputs of one item that are read."""


def hosted_parts(
    builder: ConversationBuilder, item: Item, signature: str | None, at: str
) -> list[AnyPart] | None:
    """Return the parts of an item, or None for one that the request's own tools have not made."""
    built_ins = builder.declared.built_ins if builder.declared is not None else {}
    kind = item.type or ""
    step = (item.id or "").removeprefix(PREFIXES.get(kind, ""))
    at = typed(at, kind)
    if kind == "code_interpreter_call":
        if "code_execution" not in built_ins or not isinstance(item.code, str):
            return None
        return _code(item, item.code, signature, step, at)
    is_own = kind in PREFIXES and item.id is not None and item.id.startswith(PREFIXES[kind])
    if not is_own or not built_ins or builder.declared is None or not builder.declared.functions:
        return None  # Gemini gives searches as parts only beside functions
    words = tell({"action": item.action, "queries": item.queries}, kind)
    return [server_part(words, step, 0, at), server_part(Part(), step, 1, at)]


def _code(item: Item, source: str, signature: str | None, step: str, at: str) -> list[AnyPart]:
    code = Part(executable_code=ExecutableCode(source, "PYTHON"), thought_signature=signature)
    results = [
        Part(code_execution_result=_result(output["logs"]))
        for output in (item.outputs if isinstance(item.outputs, list) else ())[:_MOST_OUTPUTS]
        if isinstance(output, Mapping) and isinstance(output.get("logs"), str)
    ]
    if not results:  # Gemini wants a result after its code
        results = [Part(code_execution_result=CodeExecutionResult("OUTCOME_OK"))]
    return [server_part(part, step, i, at) for i, part in enumerate((code, *results))]


def _result(logs: str) -> CodeExecutionResult:
    failed = logs.startswith(FAILED)
    return CodeExecutionResult(
        "OUTCOME_FAILED" if failed else "OUTCOME_OK", logs.removeprefix(FAILED) if failed else logs
    )
