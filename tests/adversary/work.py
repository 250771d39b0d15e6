"""The work of each surface on one body or one answer, as a plain function: no socket, no loop, no thread."""

import contextlib
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.field_policy import FieldPolicies, review
from gateway.conversation.notes import Notes
from gateway.conversation.translation import TranslationContext, translate
from gateway.errors import GatewayError
from gateway.exchange.incoming.request_body import parse
from gateway.gemini.call_names import NO_CALLS
from gateway.gemini.schemas.schema_references import LIGHT_INLINED, SchemaTooLarge
from gateway.gemini.stream_translator import Encoder, StreamTranslator, decode
from gateway.gemini.thought_signatures import SignatureKeys
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.wire import encode_request
from gateway.plugins.chat import request as chat_request
from gateway.plugins.chat import response as chat_response
from gateway.plugins.chat import wire as chat
from gateway.plugins.chat.answer_wire import encode as encode_chat
from gateway.plugins.completions import request as completions_request
from gateway.plugins.completions import response as completions_response
from gateway.plugins.completions import wire as completions
from gateway.plugins.embeddings import request as embeddings_request
from gateway.plugins.embeddings import wire as embeddings
from gateway.plugins.messages import request as messages_request
from gateway.plugins.messages import response as messages_response
from gateway.plugins.messages import wire as messages
from gateway.plugins.moderations import request as moderations_request
from gateway.plugins.moderations import wire as moderations
from gateway.plugins.native.request import named_body
from gateway.plugins.responses import request as responses_request
from gateway.plugins.responses import response as responses_response
from gateway.plugins.responses import response_object
from gateway.plugins.responses import wire as responses
from tests.support.bodies import CHAT, COMPLETION, EMBEDDING, MESSAGE, MODERATION, RESPONSE
from tests.support.models import TABLE

Say = Callable[[bytes], list[ConversationBuilder]]
NO_TABLE: FieldPolicies = {"": {}}


def _chat(data: bytes) -> list[ConversationBuilder]:
    return [chat_request.conversation(parse(data).decode(chat.decode_request), strict=False)]


def _responses(data: bytes) -> list[ConversationBuilder]:
    return [responses_request.conversation(parse(data).decode(responses.decode_request), [], strict=False)]


def _messages(data: bytes) -> list[ConversationBuilder]:
    return [messages_request.conversation(parse(data).decode(messages.decode_request), strict=False)]


def _completions(data: bytes) -> list[ConversationBuilder]:
    body = parse(data).decode(completions.decode_request)
    prompts = completions_request.prompts(body)[:8]  # `limits.choices`
    return [completions_request.conversation(body, prompt, "prompt", strict=False) for prompt in prompts]


def _embeddings(data: bytes) -> list[ConversationBuilder]:
    body = parse(data).decode(embeddings.decode_request)
    embeddings_request.to_gemini(body, embeddings_request.texts(body), "gemini-embedding-001")
    return []


def _moderations(data: bytes) -> list[ConversationBuilder]:
    return moderations_request.conversations(parse(data).decode(moderations.decode_request))


def _native(data: bytes) -> list[ConversationBuilder]:
    named_body(data)
    return []


NATIVE: dict[str, Any] = {
    "contents": [{"role": "user", "parts": [{"text": "hi"}, {"fileData": {"fileUri": "files/abc"}},
                                            {"functionCall": {"name": "f", "args": {"a": 1}}}]}],
    "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "object"}}]}],
    "generationConfig": {"stopSequences": ["x"], "responseSchema": {"type": "object"}},
}  # fmt: skip
SURFACES: dict[str, tuple[dict[str, Any], Say]] = {
    "chat": (CHAT, _chat),
    "responses": (RESPONSE, _responses),
    "messages": (MESSAGE, _messages),
    "completions": (COMPLETION, _completions),
    "embeddings": (EMBEDDING, _embeddings),
    "moderations": (MODERATION, _moderations),
    "native": (NATIVE, _native),
}
"""A good body of each surface, and what the surface does with any."""
MODELS = ("gemini-2.5-flash", "gemini-3-flash-preview")


def on_body(surface: str, data: bytes) -> None:
    """Do what a request makes the gateway do on its loop: read, check, translate, encode. Errors are answers, too."""
    _, say = SURFACES[surface]
    with contextlib.suppress(GatewayError):
        review(parse(data).fields, NO_TABLE[""], notes := Notes())
        notes.distinct()
        for said in say(data):
            said.unsigned(SignatureKeys(""))
            for model in MODELS:
                context = TranslationContext(model, TABLE.of(model), media=_Anything())
                with contextlib.suppress(SchemaTooLarge):  # it would go on in a thread
                    encode_request(translate(said, context, LIGHT_INLINED).request)


class _Anything(dict[str, Any]):
    """Media of any address."""

    def __missing__(self, address: str) -> Any:
        from gateway.gemini.wire import Blob

        return Blob("image/png", "iVBO")


ANSWER: dict[str, Any] = {
    "candidates": [{
        "content": {"role": "model", "parts": [
            {"text": "Zürich"}, {"text": "thought", "thought": True}, {"text": "signed", "thoughtSignature": "c2ln"},
            {"functionCall": {"name": "f", "args": {"a": [1]}, "id": "c1"}, "thoughtSignature": "c2ln"},
            {"inlineData": {"mimeType": "image/png", "data": "iVBO"}},
            {"inlineData": {"mimeType": "audio/L16;rate=24000", "data": "AAAA"}},
            {"fileData": {"fileUri": "https://x.example/a", "mimeType": "a/b"}},
            {"executableCode": {"code": "1", "language": "PYTHON"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}]},
        "finishReason": "STOP", "index": 0, "safetyRatings": [{"category": "x", "probability": "LOW", "blocked": True}],
        "groundingMetadata": {
            "webSearchQueries": ["q"], "groundingChunks": [{"web": {"uri": "https://x.example/a b", "title": "t"}}],
            "groundingSupports": [{"segment": {"startIndex": 1, "endIndex": 3, "text": "rich"},
                                   "groundingChunkIndices": [0]}]},
        "citationMetadata": {"citationSources": [{"startIndex": 0, "endIndex": 5, "uri": "https://x.example"}]},
        "urlContextMetadata": {"urlMetadata": [{"retrievedUrl": "x"}]},
        "logprobsResult": {"chosenCandidates": [{"token": "a", "logProbability": -1}],
                           "topCandidates": [{"candidates": [{"token": "a", "logProbability": -1}]}]}}],
    "usageMetadata": {"promptTokenCount": 5, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 5}],
                      "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 5}]},
    "promptFeedback": {"safetyRatings": [{"category": "x", "probability": "LOW"}]},
    "modelVersion": "gemini-2.5-flash", "responseId": "r",
}  # fmt: skip
"""A good answer with every kind of part."""


def encoders() -> Iterator[tuple[str, Encoder]]:
    """Yield a new encoder of each surface."""
    numbers = count()
    yield "chat", chat_response.ChatStream(chat_response.Envelope("x", 1, "m"), include_usage=True)
    yield "messages", messages_response.MessagesStream({"model": "m", "content": [], "stop_reason": None})
    response = response_object.new_response("r", responses.ResponseRequest(), "m", 1)
    options = responses_response.ResponseOptions(NO_CALLS, encrypted=True)
    yield (
        "responses",
        responses_response.ResponseStream(
            response, options, lambda prefix: f"{prefix}{next(numbers)}", lambda: 1
        ),
    )
    envelope = completions_response.Envelope("x", 1, "m")
    yield "completions", completions_response.CompletionStream(envelope, [""], include_usage=True, calls=1)


def on_answer(surface: str, data: bytes) -> None:
    """Do what a whole answer makes the gateway do, and the same answer as one event of a stream."""
    numbers = count()
    encoder = dict(encoders())[surface]
    with contextlib.suppress(GatewayError):
        reader = TurnReader(lambda: f"call_{next(numbers)}", keyring=SignatureKeys(""))
        events = reader.feed(decode(data)) + reader.close(whole=True, accept_empty=True)
        if surface == "chat":
            encode_chat(chat_response.completion(events, chat_response.Envelope("x", 1, "m")))
        elif surface == "completions":
            answer = completions_response.completion(events, completions_response.Envelope("x", 1, "m"), [""])
            completions.encode(answer)
        translator = StreamTranslator(TurnReader(lambda: f"call_{next(numbers)}"), encoder)
        translator.feed(b"data: " + data + b"\n\n")
        translator.close()
