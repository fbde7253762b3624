"""The least that a route can cost: aiohttp on uvloop reads a small JSON body, and answers with a small JSON document.

Started by `bench.processes` as `python -m bench.bare_route PORT`; a yardstick for `bench.client_sign_ins`.
"""

import sys

import msgspec
import uvloop
from aiohttp import web


class _Asked(msgspec.Struct):
    username: str
    password: str
    purpose: str


class _Answer(msgspec.Struct):
    allowed: bool
    user: str


_decode = msgspec.json.Decoder(_Asked).decode
_encode = msgspec.json.Encoder().encode


async def _answer(request: web.Request) -> web.Response:
    asked = _decode(await request.read())
    return web.Response(body=_encode(_Answer(allowed=True, user=asked.username)), content_type="application/json")


async def _serve(port: int) -> web.Application:
    app = web.Application()
    app.router.add_post("/v1/client-sign-ins", _answer)

    async def say_ready(_: web.Application) -> None:
        print(f"listening on 127.0.0.1:{port}", flush=True)

    app.on_startup.append(say_ready)
    return app


if __name__ == "__main__":
    uvloop.install()
    web.run_app(_serve(int(sys.argv[1])), host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
