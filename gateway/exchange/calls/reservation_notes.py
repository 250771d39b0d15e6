"""Notes for those who issue a key with a budget that is smaller than what a single request reserves."""

from gateway.exchange.calls.cost import CostEstimate
from gateway.policy.clients.client_rules import Rules
from gateway.policy.models.pricing import Prices


def small_budgets(rules: Rules, model: str, output: int, prices: Prices, at: float) -> list[str]:
    """Return a sentence for each unit of which a key's smallest budget is below what a request of a model reserves.

    `output` is the most tokens that the model can write, which a request without a limit of its own reserves. The
    prompt is reserved beside them.
    """
    if not rules.allows(model):
        return []  # another note says so
    most = CostEstimate(output=output).most
    dollars = prices.ceiling(model, most, at) / 1e6
    notes = []
    for unit, budgets, needed in (("dollars", rules.dollars, dollars), ("tokens", rules.tokens, most.total)):
        budget, period = min(
            ((budget, period) for period, budget in budgets.items()), default=(needed, "total")
        )
        if budget < needed:
            when = "in total" if period == "total" else f"per {period}"
            notes.append(
                f"The budget of {budget:g} {unit} {when} is less than one request of {model}, the default model, "
                f"reserves for its longest answer ({output} tokens): {needed:g} {unit}. Requests without `max_tokens` "
                "get 429 insufficient_quota. Raise the budget, or have clients send a small `max_tokens`."
            )
    return notes
