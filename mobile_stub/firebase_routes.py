"""The stub's Firebase for people and scripts: what came, and what it is to do wrong.

=======================================  ===============================================================
GET /firebase                            the service account's file, the faults in force, what was received
POST /firebase/faults {kind, token?, …}  misbehave like this (`firebase_faults.Fault` has the members)
DELETE /firebase/faults                  behave
=======================================  ===============================================================

Translates only. Composed by `world.py`.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from aiohttp import web

from mobile_stub.firebase import Firebase, Received
from mobile_stub.firebase_faults import Fault

SHOWN = 50


class FirebaseView(msgspec.Struct, frozen=True, kw_only=True):
    """What anyone may see of it; the newest message comes first."""

    credentials: str
    faults: tuple[Fault, ...]
    received: tuple[Received, ...]


class FirebaseRoutes:
    """Handlers over one Firebase; `credentials` is where its service-account file lies."""

    def __init__(self, firebase: Firebase, credentials: Path) -> None:
        self._firebase, self._credentials = firebase, credentials

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/firebase", self.look)
        app.router.add_post("/firebase/faults", self.misbehave)
        app.router.add_delete("/firebase/faults", self.behave)

    async def look(self, _: web.Request) -> web.StreamResponse:
        """What came, and what goes wrong."""
        newest = tuple(reversed(self._firebase.received))[:SHOWN]
        view = FirebaseView(credentials=str(self._credentials), faults=self._firebase.faults.listed(), received=newest)
        return web.Response(body=msgspec.json.encode(view), content_type="application/json")

    async def misbehave(self, request: web.Request) -> web.StreamResponse:
        """Add a fault."""
        try:
            self._firebase.faults.add(msgspec.json.decode(await request.read(), type=Fault))
        except msgspec.DecodeError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        return web.Response(status=204)

    async def behave(self, _: web.Request) -> web.StreamResponse:
        """Take all faults back."""
        self._firebase.faults.clear()
        return web.Response(status=204)
