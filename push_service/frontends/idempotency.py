"""`Idempotency-Key`: the same request within ten minutes gets the first answer again.

Scoped to the caller and the route, so that nobody fetches another's answer with a key they saw; the body is kept only
as a keyed hash, because it may hold a password, and the answer sealed, because it holds tokens.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from aiohttp import web

from push_service.crypto.sealing import Sealer
from push_service.frontends.http import JSON, json_reply
from push_service.model.decision import Remembered
from push_service.model.errors import Fault, IdempotencyKeyReused, InvalidRequest, ServiceError
from push_service.model.instant import Instant, after
from push_service.ports import Duplicate, Store

KEPT_SECONDS = 600
_KEY = re.compile(r"[!-~]{16,128}")
_CREATED = 201

R = TypeVar("R")
Remember = Callable[[R], Remembered]


class Idempotency:
    """Answers repeated requests."""

    def __init__(self, store: Store, sealer: Sealer) -> None:
        """Find answers in the store, sealed."""
        self._store, self._sealer = store, sealer

    async def answer(
        self,
        request: web.Request,
        caller: str,
        body: bytes,
        work: Callable[[Remember[R] | None], Awaitable[R]],
        wire: Callable[[R], object],
    ) -> web.Response:
        """Do the work once, and answer 201 with `wire` of what it gives; repeated, answer the same without the work."""
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return json_reply(wire(await work(None)), _CREATED)
        if not _KEY.fullmatch(key):
            fault = Fault("Idempotency-Key", "must be 16 to 128 visible ASCII characters")
            raise InvalidRequest(f"Idempotency-Key {fault.detail}.", faults=(fault,))
        slot = _Slot(caller, f"{request.method} {request.path}", self._sealer.mac(key.encode()), self._sealer.mac(body))
        now = await self._store.now()
        again = await self._again(slot)
        if again is not None:
            return again
        try:
            done = await work(lambda made: self._remembered(slot, now, wire(made)))
        except (Duplicate, ServiceError):
            # The same request, sent twice at once: the other was first, and may have used up what this one was refused.
            again = await self._again(slot)
            if again is None:
                raise
            return again
        return json_reply(wire(done), _CREATED)

    async def _again(self, slot: _Slot) -> web.Response | None:
        kept = await self._store.remembered(slot.caller, slot.route, slot.key_hash)
        if kept is None:
            return None
        if kept.body_mac != slot.body_mac:
            raise IdempotencyKeyReused
        return web.Response(text=self._sealer.open(kept.answer, slot.place), status=_CREATED, content_type=JSON)

    def _remembered(self, slot: _Slot, now: Instant, document: object) -> Remembered:
        answer = self._sealer.seal(msgspec.json.encode(document).decode(), slot.place)
        return Remembered(slot.caller, slot.route, slot.key_hash, slot.body_mac, answer, after(now, KEPT_SECONDS))


class _Slot(msgspec.Struct, frozen=True):
    caller: str
    route: str
    key_hash: str
    body_mac: str

    @property
    def place(self) -> str:
        return f"remembered.answer:{self.caller}:{self.route}:{self.key_hash}"
