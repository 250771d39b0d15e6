"""Batches of issued keys: what their requests may contain, and the most that they cost.

A batch is in the project of the key that created it, and only the client that created it finds it by its name.
https://ai.google.dev/api/batch-api
"""

from collections.abc import Iterator
from typing import Any

from gateway.errors import Forbidden
from gateway.exchange.cost import CostEstimate, ModelOutput
from gateway.gemini.wire import encode_json
from gateway.plugins.native import cost
from gateway.plugins.native.request import check_named
from gateway.policy.file_refs import no_file_search

_METHODS = {"batchGenerateContent": "generateContent", "asyncBatchEmbedContent": "embedContent"}
"""The method that a single request would call."""


def checked_requests(body: dict[str, Any], model: str) -> list[dict[str, Any]]:
    """Return the requests of a batch. What is no object is left out, for Google to refuse.

    Raises BadRequest for another model than the path's, Forbidden for what an issued key may not use.
    """
    batches = list(_objects(body, "batch"))
    configs = [config for batch in batches for config in _objects(batch, "inputConfig")]
    for config in configs:
        if any(name is not None for name in cost.values(config, "fileName")):
            raise Forbidden(
                "The lines of an uploaded file cannot be checked for an API key of this gateway: send the requests "
                "inlined, up to 20 MB, or as a batch of OpenAI's or Anthropic's API.",
                code="not_for_issued_keys",
            )
    if any(config is not None for batch in batches for config in cost.values(batch, "webhookConfig")):
        raise Forbidden(
            "Webhooks need a Gemini API key of your own: read the batch by its name.",
            code="not_for_issued_keys",
        )
    requests = [
        request
        for config in configs
        for inlined in _objects(config, "requests")
        for entries in cost.values(inlined, "requests")
        for entry in (entries if isinstance(entries, list) else ())
        for request in _objects(entry, "request")
    ]
    check_named([*batches, *requests], model)
    for request in requests:
        if "fileSearch" in cost.tools(request):
            raise no_file_search()
    return requests


def batch_cost(method: str, requests: list[dict[str, Any]], model: ModelOutput) -> CostEstimate:
    """Return the most that a batch costs at the standard price.

    Its tokens count against no limit of tokens per minute: Google has a quota of its own for batches
    (https://ai.google.dev/gemini-api/docs/rate-limits#batch-api), and a batch takes up to a day.
    """
    inputs = outputs = heard = searches = 0
    for request in requests:
        estimate = cost.call_cost(_METHODS[method], request, len(encode_json(request)), model)
        most = estimate.most
        inputs += most.prompt
        outputs += most.completion
        heard += most.prompt_audio
        searches += most.searches
    return CostEstimate(0, outputs, inputs, heard, searches, calls=max(1, len(requests)))


def tier_factor(requests: list[dict[str, Any]]) -> int:
    """Return how many times the price of a batch the service tiers of its requests cost at most."""
    return max((cost.factor(request) for request in requests), default=1)


def _objects(message: Any, name: str) -> Iterator[dict[str, Any]]:
    """Yield the objects in a field, in either spelling."""
    yield from (value for value in cost.values(message, name) if isinstance(value, dict))
