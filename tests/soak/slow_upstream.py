"""A Gemini whose streams go on until the client leaves: an event every ten seconds. Argument: port."""

import asyncio
import json
import sys

PERIOD = 10.0
_CANDIDATE = {"content": {"parts": [{"text": "word "}], "role": "model"}, "index": 0}
_EVENT = (
    b"data: "
    + json.dumps({"candidates": [_CANDIDATE], "modelVersion": "gemini-2.5-flash"}).encode()
    + b"\r\n\r\n"
)
_WHOLE = json.dumps({
    "candidates": [{**_CANDIDATE, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1, "totalTokenCount": 4},
}).encode()  # fmt: skip
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or b"0"))
            if b":streamgenerate" not in head:
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                    % len(_WHOLE)
                )
                writer.write(_WHOLE)
                continue
            writer.write(_HEAD)
            while not reader.at_eof():
                writer.write(b"%x\r\n%s\r\n" % (len(_EVENT), _EVENT))
                await writer.drain()
                await asyncio.sleep(PERIOD)
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def serve(port: int) -> None:
    """Serve until terminated."""
    server = await asyncio.start_server(answer, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(int(sys.argv[1])))
