"""Live sessions of the emulator: by Google's SDK, and by messages of its own that Google would refuse."""

import base64
import json
from array import array
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType
from google import genai
from google.genai import types

from gateway.emulator.script import load_script
from gateway.emulator.server import build_fake
from tests.support.live import PATH, SETUP, M, closed, connected, received, setup
from tests.support.servers import Fake
from tests.support.tls_front import encrypted

LOUD = base64.b64encode(array("h", [3000] * 1600).tobytes()).decode()
QUIET = base64.b64encode(bytes(12_800)).decode()


async def test_googles_sdk_talks_and_gets_sound_words_and_counts(fake: Fake, tmp_path: Path) -> None:
    config = types.LiveConnectConfig(
        response_modalities=[types.Modality.AUDIO],
        output_audio_transcription=types.AudioTranscriptionConfig(),
        session_resumption=types.SessionResumptionConfig(),
    )
    async with (
        encrypted(fake.url, tmp_path) as options,
        genai.Client(api_key="k", http_options=types.HttpOptions(**options)).aio.live.connect(
            model=M, config=config
        ) as session,
    ):
        turn = types.Content(role="user", parts=[types.Part(text="hello there")])
        await session.send_client_content(turns=turn, turn_complete=True)
        messages = [message async for message in session.receive()]
    sound = b"".join(message.data or b"" for message in messages)
    assert len(sound) > 4800
    words = [m.server_content.output_transcription for m in messages if m.server_content]
    assert [w.text for w in words if w] == ["You said: hello there"]
    usage = messages[-1].usage_metadata
    assert usage is not None
    assert usage.prompt_token_count
    assert usage.total_token_count == usage.prompt_token_count + (usage.response_token_count or 0)


async def test_a_sound_comes_back_when_it_pauses(fake: Fake) -> None:
    async with connected(fake.url) as socket:
        await setup(socket, inputAudioTranscription={})
        for data in (LOUD, LOUD, QUIET):
            await socket.send_json(
                {"realtimeInput": {"audio": {"mimeType": "audio/pcm;rate=16000", "data": data}}}
            )
        messages = await received(socket)
    parts = [
        m["serverContent"]["modelTurn"]["parts"][0]
        for m in messages
        if "modelTurn" in m.get("serverContent", {})
    ]
    sound = array("h", b"".join(base64.b64decode(part["inlineData"]["data"]) for part in parts))
    assert sound[:4800] == array("h", [3000] * 4800)
    assert messages[0]["serverContent"]["inputTranscription"]["text"] == "0.6 seconds of sound"
    assert {"modality": "AUDIO", "tokenCount": 16} in messages[-1]["usageMetadata"]["promptTokensDetails"]


async def test_marks_of_the_client_end_an_utterance(fake: Fake) -> None:
    async with connected(fake.url) as socket:
        await setup(socket, realtimeInputConfig={"automaticActivityDetection": {"disabled": True}})
        marks: tuple[dict[str, Any], ...] = (
            {"activityStart": {}}, {"audio": {"mimeType": "audio/pcm", "data": QUIET}}, {"activityEnd": {}},
        )  # fmt: skip
        for realtime in marks:
            await socket.send_json({"realtimeInput": realtime})
        assert "modelTurn" in (await received(socket))[0]["serverContent"]


async def test_functions_are_called_and_their_results_answered(fake: Fake) -> None:
    tools = [{"functionDeclarations": [{"name": "weather", "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}}]}]  # fmt: skip
    async with connected(fake.url) as socket:
        await setup(socket, tools=tools)
        await socket.send_json({"realtimeInput": {"text": "what is the weather in Paris"}})
        call = json.loads(await socket.receive_bytes())["toolCall"]["functionCalls"][0]
        assert call["name"] == "weather"
        result = {"id": call["id"], "name": call["name"], "response": {"output": "sunny"}}
        await socket.send_json({"toolResponse": {"functionResponses": [result]}})
        assert (await received(socket))[-1]["usageMetadata"]["promptTokenCount"] > 0


async def test_a_handle_resumes_a_session_of_the_same_key(fake: Fake) -> None:
    async with connected(fake.url) as socket:
        await setup(socket, sessionResumption={})
        await socket.send_json({"realtimeInput": {"text": "one"}})
        first = await received(socket)
        handle = json.loads(await socket.receive_bytes())["sessionResumptionUpdate"]["newHandle"]
    async with connected(fake.url) as socket:
        await setup(socket, sessionResumption={"handle": handle})
        await socket.send_json({"realtimeInput": {"text": "two"}})
        second = await received(socket)
    counts = [messages[-1]["usageMetadata"]["promptTokenCount"] for messages in (first, second)]
    assert counts[1] > counts[0]
    async with connected(fake.url, key="other") as socket:
        await socket.send_json({"setup": {"model": f"models/{M}", "sessionResumption": {"handle": handle}}})
        assert await closed(socket) == (1008, "BidiGenerateContent session not found")


@pytest.mark.parametrize(
    ("first", "code", "words"),
    [
        ({"clientContent": {}}, 1007, "setup must be the first message"),
        ({"setup": {"model": "gemini-3.8-live"}}, 1007, "unexpected model name format"),
        ({"setup": {"model": "models/gemini-2.5-flash"}}, 1008, "is not supported for bidiGenerateContent"),
        ({"setup": {"model": f"models/{M}", "colour": 1}}, 1007, 'Unknown name "colour" at \'setup\''),
        ({"setup": {"model": f"models/{M}", "generationConfig": {"responseModalities": ["TEXT"]}}}, 1007, "invalid argument"),
        ({"setup": {"model": f"models/{M}", "proactivity": {"proactiveAudio": True}}}, 1007, "invalid argument"),
        ([], 1007, "Invalid JSON payload"),
    ],
)  # fmt: skip
async def test_it_refuses_what_google_refuses(fake: Fake, first: Any, code: int, words: str) -> None:
    async with connected(fake.url) as socket:
        await socket.send_json(first)
        result = await closed(socket)
    assert result[0] == code
    assert words in result[1]


async def test_a_second_setup_and_compressed_sound_end_a_session(fake: Fake) -> None:
    for message in (SETUP, {"realtimeInput": {"audio": {"mimeType": "audio/mp3", "data": ""}}}):
        async with connected(fake.url) as socket:
            await setup(socket)
            await socket.send_json(message)
            assert (await closed(socket))[0] == 1007


async def test_keys_are_refused_in_googles_ways(fake: Fake) -> None:
    async with connected(fake.url, key="bad") as socket:
        assert await closed(socket) == (1007, "API key not valid. Please pass a valid API key.")
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await session.ws_connect(fake.url + PATH)
    assert refusal.value.status == 403


async def test_a_token_opens_as_many_sessions_as_it_says_with_its_own_setup(fake: Fake) -> None:
    fixed = {
        "model": "models/gemini-live-2.5-flash-preview",
        "generationConfig": {"responseModalities": ["TEXT"]},
    }
    async with aiohttp.ClientSession() as http:
        body = {"uses": 1, "bidiGenerateContentSetup": fixed}
        async with http.post(
            f"{fake.url}/v1alpha/auth_tokens", json=body, headers={"x-goog-api-key": "k"}
        ) as answer:
            token = (await answer.json())["name"]
        url = fake.url + PATH.replace("v1beta", "v1alpha") + "Constrained"
        for expected in ("text", "refusal"):
            async with http.ws_connect(url, headers={"Authorization": f"Token {token}"}) as socket:
                if expected == "refusal":
                    assert (await closed(socket))[0] == 1008
                    continue
                await setup(socket)
                await socket.send_json({"realtimeInput": {"text": "hi"}})
                message = json.loads(await socket.receive_bytes())
                assert message["serverContent"]["modelTurn"]["parts"] == [{"text": "You said: hi"}]


async def test_commands_break_a_session(fake: Fake) -> None:
    async with connected(fake.url) as socket:
        await setup(socket)
        await socket.send_json({"realtimeInput": {"text": "[[429]]"}})
        code, reason = await closed(socket)
        assert code == 1011
        assert reason.startswith("You exceeded your current quota")
    async with connected(fake.url) as socket:
        await setup(socket)
        await socket.send_json({"realtimeInput": {"text": "[[cut]]"}})
        await socket.receive_bytes()
        assert (await socket.receive(timeout=10)).type in (WSMsgType.CLOSED, WSMsgType.ERROR)


async def test_a_script_answers(tmp_path: Path, aiohttp_server: Any) -> None:
    (tmp_path / "rules.yaml").write_text("[{match: {prompt: ping}, reply: {text: pong}}]")
    server = await aiohttp_server(build_fake(load_script(tmp_path / "rules.yaml"), pace=0))
    async with connected(str(server.make_url("")).rstrip("/")) as socket:
        await setup(socket, outputAudioTranscription={})
        await socket.send_json({"clientContent": {"turns": [{"role": "user", "parts": [{"text": "ping"}]}]}})
        await socket.send_json({"contextUpdate": {"systemInstruction": {"parts": [{"text": "be terse"}]}}})
        await socket.send_json({"clientContent": {"turnComplete": True}})
        messages = await received(socket)
    assert {"serverContent": {"outputTranscription": {"text": "pong", "finished": True}}} in messages
