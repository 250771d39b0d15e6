"""A Gemini that answers every request well: texts, streams, vectors, counts. Argument: port."""

import sys

from aiohttp import web

from tests.support.hostile import _upstream

if __name__ == "__main__":
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", _upstream)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
