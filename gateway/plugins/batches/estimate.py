"""The most that a batch can cost, from a look at its lines, before they are translated."""

from collections.abc import Callable, Iterable

import msgspec

from gateway.errors import BudgetExceeded, GatewayError
from gateway.exchange.batches.charges import Charges
from gateway.exchange.batches.reading import Lines
from gateway.exchange.calls.accounting import CallAccounting
from gateway.exchange.calls.cost import CostEstimate
from gateway.plugins.batches.wire import LineModel, decode_model
from gateway.policy.clients.access import Client
from gateway.policy.clients.budgets import Budget, BudgetUse, dollars
from gateway.policy.ledger import MOST_AMOUNT

Cost = tuple[int, int]
"""Millionths of a US dollar, and tokens."""


def most(
    file: Lines,
    model_of: Callable[[str | None], str],
    accounting: CallAccounting,
    longest: int | None = None,
) -> Cost:
    """Return the most that the lines of a file cost; nothing for a file with faults, which is not sent. Blocks.

    `model_of` returns the model that a name stands for. `longest` is the most tokens of an answer; None for the
    model's or the line's own limit.
    """
    charges, names = Charges(accounting), dict[str | None, str]()
    micros = tokens = 0
    try:
        for line in file.read():
            fields = decode_model(line.body)
            if (model := names.get(fields.model)) is None:
                model = names[fields.model] = model_of(fields.model)
            output = longest or _output(fields, accounting.model_output(model).tokens)
            cost = CostEstimate(len(line.body), output)
            more, most_tokens = charges.most(model, [cost.most])
            choices = max(1, fields.n or 1)  # a number of the client's, of any size
            micros, tokens = micros + more * choices, tokens + most_tokens * choices
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, GatewayError):
        return 0, 0
    return min(MOST_AMOUNT, micros), min(MOST_AMOUNT, tokens)


def _output(fields: LineModel, longest: int) -> int:
    limits = (fields.max_tokens, fields.max_completion_tokens, fields.max_output_tokens)
    return next((limit for limit in limits if limit is not None and limit > 0), longest)


def check(cost: Cost, uses: Iterable[BudgetUse], client: Client) -> None:
    """Raise BudgetExceeded for a batch that may cost more than is left of one of its client's budgets."""
    for use in uses:
        if use.key_id != client.id:
            continue
        budget = use.budget
        needed = cost[0] if budget.unit == "money" else cost[1]
        if use.spent + needed > budget.limit:
            left, most = (_amount(budget, n) for n in (max(0, budget.limit - use.spent), needed))
            name = (
                f"{budget.unit.removesuffix('s')} budget ({_amount(budget, budget.limit)}, {budget.period})"
            )
            error = BudgetExceeded(
                f"You exceeded this API key's {name}: {left} left, and this batch may take {most}. "
                "Set a smaller max_tokens in each line, or send fewer lines.",
                (budget.unit, budget.period, budget.limit),
            )
            error.refused_by = f"budget.{budget.unit}_{budget.period}"
            raise error


def _amount(budget: Budget, amount: int) -> str:
    return dollars(amount) if budget.unit == "money" else f"{amount} tokens"
