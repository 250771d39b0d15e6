"""Rules of the plugin `guard`: a pattern, and what happens to a text that contains it."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from gateway.plugins.guard.patterns import Pattern, compiled

Place = Literal["prompt", "answer"]
Action = Literal["refuse", "rewrite", "log"]
BOTH: tuple[Place, ...] = ("prompt", "answer")


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """A rule as it is configured."""

    name: Annotated[str, Meta(pattern="^[A-Za-z0-9_.-]{1,40}$", description="Name for log and metrics.")]
    pattern: Annotated[
        str,
        Meta(
            description="Pattern of Python's `re` that takes linear time: repetitions have an end, such as `{1,40}`, "
            "and there is no look-around and no reference to groups. `(?i)` at its beginning ignores case."
        ),
    ]
    on: Annotated[
        tuple[Place, ...],
        Meta(min_length=1, description="Texts that are checked: `prompt`, `answer` or both."),
    ] = BOTH
    action: Annotated[
        Action,
        Meta(
            description="`refuse`: a prompt is answered 400 `content_policy_violation`, an answer ends there with the "
            "finish reason `content_filter`. `rewrite`: `replacement` takes its place. `log`: it is logged and counted."
        ),
    ] = "refuse"
    replacement: Annotated[str, Meta(description="Text in place of a match.")] = "[removed]"
    message: Annotated[
        str | None, Meta(description="Sentence for the client, in place of a general one.")
    ] = None


class BoundRule(Struct, frozen=True):
    """A rule with its compiled pattern."""

    name: str
    pattern: Pattern
    action: Action
    replacement: str
    message: str | None


def bound(rules: tuple[Rule, ...], place: Place) -> list[BoundRule]:
    """Return the rules for a place. Raises ValueError with the name of one whose pattern cannot be used."""
    result = []
    for rule in rules:
        try:
            pattern = compiled(rule.pattern)
        except ValueError as error:
            raise ValueError(f"the pattern of rule {rule.name!r} cannot be used: {error}") from None
        if place in rule.on:
            result.append(BoundRule(rule.name, pattern, rule.action, rule.replacement, rule.message))
    return result
