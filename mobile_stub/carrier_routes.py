"""The stub's telephone company for people and scripts: phones that ring, keys to press, and what is to go wrong.

=========================================  ==================================================================
GET /carrier                               the account, the faults in force, every phone
POST /carrier/faults {kind, to?, …}        misbehave like this (`carrier_faults.Fault` has the members)
DELETE /carrier/faults                     behave
POST /carrier/calls/{id}/answer {by?}      pick up; `by` is what the provider hears (human, machine_start, …)
POST /carrier/calls/{id}/press {keys}      press keys
POST /carrier/calls/{id}/hang-up           put the phone down, or turn the call away
=========================================  ==================================================================

Translates only. Composed by `world.py`.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from aiohttp import web

from mobile_stub.carrier import FROM, Carrier
from mobile_stub.carrier_calls import NotNow, StubCall
from mobile_stub.carrier_faults import Fault
from mobile_stub.carrier_views import CallView, HandsetView

Body = TypeVar("Body")


class CarrierView(msgspec.Struct, frozen=True, kw_only=True):
    """What anyone may see of it. The token is the stub's own, and opens nothing else."""

    account_sid: str
    auth_token: str
    sender: str
    faults: tuple[Fault, ...]
    handsets: tuple[HandsetView, ...]


class Answered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of …/answer."""

    by: str = "human"


class Pressed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of …/press."""

    keys: str


class CarrierRoutes:
    """Handlers over one carrier."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/carrier", self.look)
        app.router.add_post("/carrier/faults", self.misbehave)
        app.router.add_delete("/carrier/faults", self.behave)
        app.router.add_post("/carrier/calls/{id}/answer", self.answer)
        app.router.add_post("/carrier/calls/{id}/press", self.press)
        app.router.add_post("/carrier/calls/{id}/hang-up", self.hang_up)

    async def look(self, _: web.Request) -> web.StreamResponse:
        """Everything."""
        carrier = self._carrier
        return _json(
            CarrierView(
                account_sid=carrier.account_sid,
                auth_token=carrier.auth_token,
                sender=FROM,
                faults=carrier.faults.listed(),
                handsets=tuple(HandsetView.of(each) for each in carrier.handsets()),
            )
        )

    async def misbehave(self, request: web.Request) -> web.StreamResponse:
        """Add a fault."""
        self._carrier.faults.add(await _body(request, Fault))
        return web.Response(status=204)

    async def behave(self, _: web.Request) -> web.StreamResponse:
        """Take all faults back."""
        self._carrier.faults.clear()
        return web.Response(status=204)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Pick up."""
        call, by = self._call(request), (await _body(request, Answered)).by
        try:
            call.answer(by)
        except NotNow as error:
            raise web.HTTPConflict(text=str(error)) from error
        return _json(CallView.of(call))

    async def press(self, request: web.Request) -> web.StreamResponse:
        """Press keys."""
        call, keys = self._call(request), (await _body(request, Pressed)).keys
        if not call.press(keys):
            raise web.HTTPConflict(text="nobody listens to keys now")
        return _json(CallView.of(call))

    async def hang_up(self, request: web.Request) -> web.StreamResponse:
        """Put the phone down."""
        call = self._call(request)
        call.hang_up()
        return _json(CallView.of(call))

    def _call(self, request: web.Request) -> StubCall:
        call = self._carrier.call(request.match_info["id"])
        if call is None:
            raise web.HTTPNotFound(text="there is no such call")
        return call


def _json(view: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(view), content_type="application/json")


async def _body(request: web.Request, kind: type[Body]) -> Body:
    try:
        return msgspec.json.decode(await request.read() or b"{}", type=kind)
    except msgspec.DecodeError as error:
        raise web.HTTPBadRequest(text=str(error)) from error
