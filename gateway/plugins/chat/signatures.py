"""Thought signatures in a chat history: the places where clients keep them."""

from gateway.gemini.thought_signatures import split_id
from gateway.plugins.chat.wire import CallIn, Message


class CallSignatures:
    """The thought signatures of one message's calls."""

    def __init__(self, message: Message) -> None:
        self.message = message
        self._details: dict[str | None, str] = {}
        """OpenRouter's signatures by the call's id; the first of one id counts."""
        for detail in message.reasoning_details or ():
            if detail.type == "reasoning.encrypted" and detail.data:
                self._details.setdefault(detail.id, detail.data)

    def of_call(self, call: CallIn, position: int) -> str | None:
        """Return a call's thought signature from any of the places where clients keep it.

        Google documents `extra_content.google.thought_signature`
        (https://ai.google.dev/gemini-api/docs/openai#thought-signatures); LiteLLM, OpenRouter and Databricks have
        others.
        """
        extra, fields, function = call.extra_content, call.provider_specific_fields, call.function
        if extra is not None:
            for place in (extra.google, extra.vertex):
                if place is not None and place.thought_signature:
                    return place.thought_signature
        if fields is not None and fields.thought_signature:
            return fields.thought_signature
        if function is not None:
            nested = function.provider_specific_fields
            if nested is not None and nested.thought_signature:
                return nested.thought_signature
            if function.thought_signature:
                return function.thought_signature
        return call.thought_signature or call.thoughtSignature or self._of_message(call, position)

    def _of_message(self, call: CallIn, position: int) -> str | None:
        """Return a call's signature from its id, OpenRouter's details, LiteLLM's list, or a message without text."""
        call_id, signature = split_id(call.id or "")
        if signature:
            return signature
        if self._details and (signature := self._details.get(call.id) or self._details.get(call_id)):
            return signature
        if position:
            return None
        fields = self.message.provider_specific_fields
        if fields is not None and fields.thought_signatures:
            return fields.thought_signatures[0]
        return None if self.message.content else of_text(self.message)


def of_text(message: Message) -> str | None:
    """Return the signature of a message's text."""
    extra = message.extra_content
    if extra is None:
        return None
    places = (extra.google, extra.vertex)
    return next((place.thought_signature for place in places if place and place.thought_signature), None)
